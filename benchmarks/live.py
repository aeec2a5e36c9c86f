"""Measures how soon after its commit a change is on the live feed, for 1 listener and for 500."""

import random
import selectors
import socket
import subprocess
import time

from loads import URL, Client, login, psql
from measure import PLAIN, keep, row, setting, table
from servers import gateway

KEY = "the-key-of-the-benchmark"
REQUEST = f"GET /api/admin/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Admin-Api-Key: {KEY}\r\n\r\n".encode()
CHANGES = setting("LIVE_CHANGES", 300)


class Crowd:
    """Listeners on one thread. `heard` has the bytes that each has received since the last call of `times_of`."""

    def __init__(self, port: int, count: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.heard = [b""] * count
        for number in range(count):
            # A client address can have at most 256 connections.
            connection = socket.create_connection(("127.0.0.1", port), 10, (f"127.0.1.{number // 200 + 1}", 0))
            self.selector.register(connection, selectors.EVENT_READ, number)
        for listener in self.selector.get_map().values():
            listener.fileobj.sendall(REQUEST)
        self.times_of(b"\nid: ")

    def times_of(self, text: bytes) -> list[float]:
        """Waits until every listener has received the text. Returns the times at which they received it, sorted."""
        self.heard = [b""] * len(self.heard)
        times: dict[int, float] = {}
        while len(times) < len(self.heard):
            for listener, _ in self.selector.select(10) or [(None, 0)]:
                if not listener or not (more := listener.fileobj.recv(65_536)):
                    raise SystemExit(f"a listener received only {next(told for told in self.heard if text not in told)[-300:]}")
                self.heard[listener.data] += more
                if text in self.heard[listener.data]:
                    times.setdefault(listener.data, time.perf_counter())
        return sorted(times.values())

    def close(self) -> None:
        for listener in list(self.selector.get_map().values()):
            listener.fileobj.close()


def live() -> None:
    server = gateway("stream")
    server.environment |= {"ADMIN_API_KEY": KEY, "DATABASE_URL_ADMIN": login(URL, "admin")}
    table("from the response to a commit to the line on the live feed", "p50 ms", "p99 ms", "the last listener, p50", "p99", "changes")
    kept = {}
    with server.up() as (_, port):
        with Client(port) as client:
            client.post()
        lead = psql("select id from conversations limit 1")
        with subprocess.Popen(["psql", "-XqAt", URL], env=PLAIN, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
            for count in 1, 500:
                crowd, each, last = Crowd(port, count), [], []
                for number in range(CHANGES):
                    mark = f"{count}-{number}-{random.random()}"
                    session.stdin.write(f"update conversations set notes = '{mark}' where id = '{lead}';\n"
                                        f"select 'done' from emit_lead_event('lead.updated', '{lead}');\n")
                    session.stdin.flush()
                    session.stdout.readline()
                    committed = time.perf_counter()
                    times = [1000 * (at - committed) for at in crowd.times_of(mark.encode())]
                    each += times
                    last.append(times[-1])
                    time.sleep(random.uniform(0.02, 0.12))
                crowd.close()
                kept[count] = share(each, 0.99)
                row(f"{count} listening", *(f"{share(times, part):.1f}" for times in (each, last) for part in (0.5, 0.99)), CHANGES)
            session.stdin.close()
    keep(live=kept)


def share(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]
