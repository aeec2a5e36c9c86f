"""Clients that ask and do not read: they get no further requests served, and lose their connection in time."""

import threading
import time

from common import until
from gateway import Gateway
from unread import GET, MIB, ask, drain, dropped, large_lists, offer, resident

LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
LIST = b"GET /list HTTP/1.1\r\nHost: a\r\n"


def test_a_client_that_reads_no_replies_gets_no_more_of_them(tmp_path):
    with Gateway(tmp_path) as gateway:
        gateway.raw(GET)
        before = resident(gateway.process.pid)
        with ask(gateway.port, b"") as connection:
            taken = offer(connection, 400_000)
            answered = len(gateway.lines)
            assert taken < 0.9 * 400_000 * len(GET)
            assert resident(gateway.process.pid) < before + 16 * MIB
            time.sleep(0.5)
            assert len(gateway.lines) <= answered + 10
            # It may still read: every whole request that was taken has its reply.
            connection.setblocking(True)
            rest = -taken % len(GET)
            threading.Thread(target=connection.sendall, args=(GET[len(GET) - rest:] + LAST,), daemon=True).start()
            replies = drain(connection)
        assert replies.count(b"HTTP/1.1 404 ") == (taken + rest) // len(GET) + 1


def test_requests_before_a_closed_output_are_not_all_kept(tmp_path):
    """NIO reads everything that the system has when a client closes its side, whether it was asked to or not."""
    with Gateway(tmp_path) as gateway:
        gateway.raw(GET)
        before, connections = resident(gateway.process.pid), []
        for _ in range(20):
            connections.append(ask(gateway.port, b""))
            offer(connections[-1], 100_000, 0.1)
            connections[-1].shutdown(1)
        time.sleep(0.5)
        assert resident(gateway.process.pid) < before + 16 * MIB
        for connection in connections:
            connection.close()


def test_requests_that_arrive_together_are_answered_one_after_another(tmp_path):
    """Thousands in one segment, each answered before the next, without a deep recursion."""
    with Gateway(tmp_path) as gateway:
        _, replies = gateway.raw(GET * 20_000 + LAST, seconds=30)
        assert replies.count(b"HTTP/1.1 404 ") == 20_001


def test_a_client_that_does_not_take_its_reply_is_cut_off(tmp_path):
    with large_lists(tmp_path, 12 * MIB, LEADPIPE_WRITE_MS="400") as gateway:
        start = time.monotonic()
        with ask(gateway.port, LIST + b"\r\n") as connection:
            until(lambda: dropped(tmp_path) == 1, 8, "the end of the connection")
            assert time.monotonic() - start < 5
            assert len(drain(connection)) < 12 * MIB


def test_a_slow_client_that_keeps_reading_gets_its_whole_reply(tmp_path):
    with large_lists(tmp_path, 12 * MIB, LEADPIPE_WRITE_MS="1500") as gateway, ask(gateway.port, LIST + b"Connection: close\r\n\r\n") as connection:
        start = time.monotonic()
        assert len(drain(connection, 262_144, 0.1)) > 12 * MIB
        assert time.monotonic() - start > 3 and dropped(tmp_path) == 0


def test_all_unread_replies_together_are_limited(tmp_path):
    with large_lists(tmp_path, 12 * MIB) as gateway:
        # The memory of one such reply is needed anyway.
        gateway.raw(LIST + b"Connection: close\r\n\r\n")
        before, connections = resident(gateway.process.pid), []
        for _ in range(8):
            connections.append(ask(gateway.port, LIST + b"\r\n"))
            time.sleep(0.3)
        until(lambda: dropped(tmp_path) >= 6, 8, "the end of most connections")
        # A client that reads is served meanwhile.
        assert len(gateway.raw(LIST + b"Connection: close\r\n\r\n")[1]) > 12 * MIB
        for connection in connections:
            connection.close()
        until(lambda: resident(gateway.process.pid) < before + 16 * MIB, 15, "the return of the memory")
