"""A client of the gateway's SCGI listener."""

import re
import socket

from common import until


def netstring(text):
    return b"%d:%s," % (len(text), text)


def variables(method="POST", target="/form", body=b"", **more):
    """The variables of a request as nginx sends them. `more` replaces or adds some; None removes one."""
    all = {"CONTENT_LENGTH": str(len(body)), "SCGI": "1", "REQUEST_METHOD": method, "REQUEST_URI": target, "QUERY_STRING": target.partition("?")[2],
           "CONTENT_TYPE": "application/json" if body else "", "DOCUMENT_URI": target.partition("?")[0], "SERVER_PROTOCOL": "HTTP/1.1",
           "REMOTE_ADDR": "192.0.2.1", "SERVER_NAME": "localhost", "HTTP_HOST": "localhost", **more}
    return {name: value for name, value in all.items() if value is not None}


def request(method="POST", target="/form", body=b"", **more):
    pairs = variables(method, target, body, **more)
    return netstring(b"".join(part.encode("latin-1") + b"\0" for pair in pairs.items() for part in pair)) + body


def address(gateway):
    """The port, or the path of the socket, where a gateway that has been started serves SCGI."""
    found = until(lambda: re.search(r"SCGI listening address=(\S+)", gateway.log), 10, "the SCGI listener")[1]
    return found.removeprefix("unix:") if found.startswith("unix:") else int(found.rpartition(":")[2])


def connect(place, seconds=8):
    if isinstance(place, int):
        return socket.create_connection(("127.0.0.1", place), timeout=seconds)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(seconds)
    connection.connect(place)
    return connection


def raw(place, *pieces, close=False, seconds=8):
    """Sends the pieces, and reads until the other side closes."""
    answer = b""
    with connect(place, seconds) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            if close:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65_536):
                answer += chunk
        except (BrokenPipeError, ConnectionResetError):
            pass
    return answer


def parse(answer):
    """(status, headers, body). Several headers with one name are joined with a comma."""
    head, _, body = answer.partition(b"\r\n\r\n")
    headers = {}
    for field in head.decode().split("\r\n"):
        name, _, value = field.partition(": ")
        headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
    return int(headers.pop("status", "0").split()[0]), headers, body


def ask(place, *args, **more):
    return parse(raw(place, request(*args, **more)))
