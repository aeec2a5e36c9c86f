"""Clients that do not read what they asked for, and the memory of a gateway."""

import contextlib
import select
import socket
import time

from gateway import DESCRIPTION, GatewayWith, route

GET = b"GET /none HTTP/1.1\r\nHost: 1\r\n\r\n"
MIB = 1 << 20


def list_handler(size):
    """A handler whose reply has `size` bytes, and another whose reply is short."""
    text = DESCRIPTION.replace("NAME", "list").replace("ROUTES", route("GET", "/list")).replace("ACCESS", "admin").replace("CLASS", "default")
    return {"list": f"""#!/bin/sh
if [ "$1" = --describe ]; then echo '{text}'; exit; fi
printf '{{"statusCode":200,"body":"'
head -c {size} /dev/zero | tr '\\0' x
printf '"}}'
"""}


def large_lists(folder, size, **settings):
    """A gateway with a handler whose replies have `size` bytes."""
    return GatewayWith(folder, list_handler(size), RATE_LIMIT_DEFAULT="off", LEADPIPE_REPLY="16777216",
                       LEADPIPE_OPERATIONS=f"unix:{folder}/operations", **settings)


def resident(pid):
    """The resident memory of a process in bytes."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Rss:")) * 1024


def ask(port, data, source=None):
    """A connection with a small receive buffer that has sent `data` and reads nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    if source:
        connection.bind((source, 0))
    connection.settimeout(8)
    connection.connect(("127.0.0.1", port))
    connection.sendall(data)
    return connection


def offer(connection, requests, patience=1.0):
    """Sends up to this many GETs and reads nothing. Ends early when the other side takes no more for a while. Returns
    the number of bytes that were taken."""
    connection.setblocking(False)
    data, taken = memoryview(GET * min(requests, 20_000)), 0
    while taken < requests * len(GET) and select.select([], [connection], [], patience)[1]:
        start = taken % len(data)
        with contextlib.suppress(BlockingIOError):
            taken += connection.send(data[start:start + requests * len(GET) - taken])
    return taken


def drain(connection, size=65_536, pause=0.0, seconds=20):
    """Reads to the end, `size` bytes at a time. Returns the bytes; a reset ends them too."""
    connection.settimeout(seconds)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * size)
    received = []
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(size):
            received.append(chunk)
            time.sleep(pause)
    return b"".join(received)


def dropped(folder):
    """The number of connections that the gateway of `folder` has closed because their clients did not read."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{folder}/operations")
        connection.sendall(b"GET /-/metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        page = drain(connection).decode()
    return int(page.partition("\nleadpipe_readers_dropped_total ")[2].split()[0])
