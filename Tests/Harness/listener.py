"""A client of GET /api/admin/live."""

import http.client
import json
import selectors
import socket
import time
from collections import namedtuple

from admin import KEY

Event = namedtuple("Event", "name id data")


class Listener:
    """Reads events like a browser's EventSource: it keeps the id of the last event for its next connection."""

    def __init__(self, instance, after=None, key=KEY, source=None, seconds=20, path="/api/admin/live", **headers):
        self.id = after
        self.connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=seconds, source_address=(source, 0) if source else None)
        shown = {"x-admin-api-key": key} if key else {}
        self.connection.request("GET", path, headers={**shown, **({"Last-Event-ID": after} if after else {}), **headers})
        self.answer = self.connection.getresponse()
        self.status = self.answer.status

    def block(self):
        """The fields of the next block, or None at the end of the stream."""
        fields = {}
        while line := self.answer.readline().decode():
            if line == "\n":
                self.id = fields.get("id", self.id)
                return fields
            name, _, value = line.rstrip("\n").partition(":")
            fields[name] = value.removeprefix(" ")
        return None

    def next(self):
        """The next event, or None at the end. Blocks that only have an id are no events."""
        while (block := self.block()) is not None:
            if "data" in block and block["event"] != "hello":
                return Event(block["event"], self.id, json.loads(block["data"]))
        return None

    def until(self, wanted):
        """The events up to and including the first that `wanted` accepts."""
        events = []
        while event := self.next():
            events.append(event)
            if wanted(event):
                return events
        raise AssertionError(f"the stream ended after {events}")

    def beginning(self):
        """Reads up to the first id. From then on no event is missed."""
        while not self.id and self.block() is not None:
            pass
        return self

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Listeners:
    """Many listeners at once, on one thread. Each keeps what it has received."""

    def __init__(self, instance, count, key=KEY):
        self.selector = selectors.DefaultSelector()
        self.received = []
        for number in range(count):
            # A client may have 256 connections.
            connection = socket.create_connection(("127.0.0.1", instance.port), 10, (f"127.0.1.{number // 200 + 1}", 0))
            self.selector.register(connection, selectors.EVENT_READ, number)
            self.received.append(bytearray())
        # All at the same moment, as after a restart.
        for one in self.selector.get_map().values():
            one.fileobj.sendall(f"GET /api/admin/live HTTP/1.1\r\nHost: localhost\r\nX-Admin-Api-Key: {key}\r\n\r\n".encode())
            one.fileobj.setblocking(False)
        self.listen(lambda received: all(received))
        assert {bytes(one[:12]) for one in self.received} == {b"HTTP/1.1 200"}
        self.listen(lambda received: all(b"\nid: " in one for one in received))

    def listen(self, until, seconds=30):
        """Reads for all listeners until `until` is true."""
        end = time.monotonic() + seconds
        while not until(self.received):
            assert time.monotonic() < end, f"they received {sorted({bytes(one)[-300:] for one in self.received})}"[:2000]
            for key, _ in self.selector.select(0.2):
                chunk = key.fileobj.recv(262_144)
                assert chunk, f"listener {key.data} was cut off"
                self.received[key.data] += chunk

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
