"""The gateway's memory under clients that ask and do not read, hold connections, or listen and do not read: within 64
MiB of its start, and good clients are served meanwhile. HOSTILE_SECONDS sets how long the feed is listened to (60)."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

from admin import KEY, AdminClient
from common import TEST_USER, until
from gateway import Gateway
from instance import Instance
from unread import GET, MIB, ask, dropped, large_lists, offer, resident

SECONDS = int(os.environ.get("HOSTILE_SECONDS", "60"))
LIST = b"GET /list HTTP/1.1\r\nHost: a\r\n\r\n"
ALLOWED = 64 * MIB


@contextlib.contextmanager
def watched(pid, allowed=ALLOWED):
    """Measures the peak of a process's memory above its beginning while the block runs. In the end, it must have
    returned most of it."""
    before, peak, ended = resident(pid), [0], threading.Event()

    def watch():
        while not ended.wait(0.2):
            peak[0] = max(peak[0], resident(pid) - before)
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    until(lambda: resident(pid) - before < ALLOWED / 4, 75, "the return of the memory")
    print(f"MiB: {before / MIB:.1f} at the start, at most {peak[0] / MIB:.1f} more, {(resident(pid) - before) / MIB:.1f} more in the end")
    assert peak[0] < allowed


def sources(count):
    """Addresses of different clients."""
    return [f"127.{number >> 8}.{number & 255}.1" for number in range(256, 256 + count)]


# Opens 250 connections from each address that it is given, and holds them.
HOLDER = """
import resource, socket, sys
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
held = []
for source in sys.argv[2:]:
    for _ in range(250):
        held.append(socket.socket())
        held[-1].setblocking(False)
        held[-1].bind((source, 0))
        held[-1].connect_ex(("127.0.0.1", int(sys.argv[1])))
print(len(held), flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holders(port, addresses):
    """Processes that together hold 250 idle connections from each of the addresses, as far as they are accepted. The
    value is the number of connections that they have tried."""
    groups = [addresses[start:start + 40] for start in range(0, len(addresses), 40)]
    processes = [subprocess.Popen([sys.executable, "-c", HOLDER, str(port), *group], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                 for group in groups]
    try:
        yield sum(int(process.stdout.readline()) for process in processes)
    finally:
        for process in processes:
            process.stdin.close()
            process.wait(60)
            process.stdout.close()


def test_a_million_unread_requests(tmp_path):
    with Gateway(tmp_path) as gateway:
        gateway.raw(GET * 1000)
        with watched(gateway.process.pid):
            connections, taken = [], 0
            while taken < 1_000_000 * len(GET):
                connections.append(ask(gateway.port, b"", f"127.0.2.{len(connections) % 50 + 1}"))
                taken += offer(connections[-1], 1_000_000, 0.2)
            print(f"{taken / MIB:.0f} MiB of requests on {len(connections)} connections")
            assert gateway.request(path="/form")[0] == 200
            for connection in connections:
                connection.close()


def test_many_requests_on_one_connection_that_reads(tmp_path):
    with Gateway(tmp_path, LOG_LEVEL="info") as gateway:
        gateway.raw(GET * 1000)
        with watched(gateway.process.pid), socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
            threading.Thread(target=connection.sendall, args=(GET * 200_000,), daemon=True).start()
            count, start, end = 0, time.monotonic(), b""
            while count < 200_000:
                chunk = end + connection.recv(1 << 20)
                count, end = count + chunk.count(b"HTTP/1.1 404"), chunk[-11:]
            print(f"{count / (time.monotonic() - start):.0f} requests a second")


def test_a_thousand_slow_readers_of_large_lists(tmp_path):
    # Few at a time, because each list that is being made has its own memory.
    settings = {"LEADPIPE_CONCURRENCY": "2", "LEADPIPE_QUEUE": "2000", "LEADPIPE_QUEUE_MS": "60000"}
    # While they wait, up to 48 MiB may be unread, and lists are being made.
    with large_lists(tmp_path, 2 * MIB, **settings) as gateway, watched(gateway.process.pid, 2 * ALLOWED):
        connections = [ask(gateway.port, LIST, source) for source in sources(20) for _ in range(50)]
        time.sleep(20)
        print(f"{dropped(tmp_path)} were cut off")
        for connection in connections:
            connection.close()


def test_listeners_that_do_not_read(database):
    """As many as the feed accepts, and more: those beyond get a 503."""
    with Instance(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false", LEADPIPE_CLIENT_CONNECTIONS="2000") as instance:
        gateway = next(pid for pid in instance.processes() if os.readlink(f"/proc/{pid}/exe").endswith("/gateway"))
        admin = AdminClient(instance)
        leads = [
            instance.capture({**TEST_USER, "customerPhone": f"+9715012345{number}", "customerEmail": f"a{number}@example.com"})
            for number in range(10, 30)]
        head = f"GET /api/admin/live HTTP/1.1\r\nHost: a\r\nx-admin-api-key: {KEY}\r\n".encode()
        with watched(gateway):
            end, listeners, events = time.monotonic() + SECONDS, [], 0
            while time.monotonic() < end:
                # A stream lasts for 40 to 50 seconds.
                if events % 300 == 0:
                    for listener in listeners:
                        listener.close()
                    listeners = [ask(instance.port, head + b"\r\n", source) for source in sources(11) for _ in range(100)]
                admin.patch(f"/api/admin/conversations/{leads[events % 20]}", {"notes": f"{events} " + "y" * 1500})
                events += 1
            refused = 0
            for listener in listeners:
                with contextlib.suppress(OSError), listener:
                    refused += listener.recv(4096).startswith(b"HTTP/1.1 503 ")
            print(f"{events} events; {refused} of {len(listeners)} listeners were refused")
            assert refused >= 50


def test_a_hundred_thousand_idle_connections(tmp_path):
    """From 400 addresses with 250 each, far more than the gateway has descriptors. A good client is served, though it
    may have to wait until the first ones time out; all are closed in the end."""
    with Gateway(tmp_path) as gateway:
        gateway.raw(GET * 1000)
        # A connection takes about 10 KiB.
        with watched(gateway.process.pid, 4 * ALLOWED):
            start = time.monotonic()
            with holders(gateway.port, sources(400)) as tried:
                opened, waits = time.monotonic() - start, []
                descriptors = len(os.listdir(f"/proc/{gateway.process.pid}/fd"))
                for _ in range(5):
                    begin = time.monotonic()
                    assert gateway.request(path="/form", source="127.0.0.9", seconds=90)[0] == 200
                    waits.append(round(time.monotonic() - begin, 1))
                print(f"{tried} tried in {opened:.0f} s, {descriptors} descriptors used; good requests took {waits} s")
        until(lambda: len(os.listdir(f"/proc/{gateway.process.pid}/fd")) < 64, 30, "the end of all connections")
        assert gateway.request(path="/form")[0] == 200
