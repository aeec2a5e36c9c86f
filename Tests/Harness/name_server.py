"""A name server (RFC 1035) on UDP port 53 of a loopback address: every name is 127.0.0.1."""

import socket
import struct
import threading


class NameServer:
    """Used as a context. `asked` are the names that were asked for."""

    def __init__(self, address):
        self.asked = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(512)
            except OSError:
                return
            end = query.index(0, 12) + 1
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            self.asked.add(".".join(labels))
            kind, = struct.unpack("!H", query[end:end + 2])
            # An address of version 4; no other record exists.
            answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + b"\x7f\0\0\x01" if kind == 1 else b""
            self.socket.sendto(query[:2] + b"\x81\x80\0\x01" + struct.pack("!H", bool(answer)) + b"\0\0\0\0" + query[12:end + 4] + answer, peer)
