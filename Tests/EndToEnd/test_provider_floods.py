"""Providers whose replies have no end, in the parts that libcurl keeps: the notifier stops after 256 KiB, with a
reason, and its memory stays small."""

import json
import socket
import subprocess
import threading
import time

import pytest

from common import HANDLERS, clean_environment

MIB = 1 << 20
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
LIMIT = "more than 256 KiB were received (curl 63)"
LINE = b"x-%07d: " + b"y" * 1000 + b"\r\n"
HTTP = {
    # What is sent first, what is repeated, and the outcome: the reply has arrived if its head has.
    "trailers": (HEAD + b"\r\n2\r\nok\r\n0\r\n", LINE, "delivered", ""),
    "headers": (HEAD, LINE, "unknown", LIMIT),
    "interim replies": (b"", b"HTTP/1.1 103 Early Hints\r\nx-%07d: " + b"y" * 1000 + b"\r\n\r\n", "unknown", LIMIT),
    "a body": (HEAD + b"\r\n", b"7\r\n%07d\r\n" * 100, "unknown", "answered 200"),
    "a trailer": (HEAD + b"\r\n2\r\nok\r\n0\r\nx: ", b"%07d" * 100, "unknown", "curl"),
}
# The lines before the endless one.
SMTP = {"greeting": (0, b"220-%07d\r\n", "retry", LIMIT), "hello": (1, b"250-x%07d\r\n", "retry", "curl"), "text": (4, b"250-%07d\r\n", "unknown", LIMIT),
        "no line end": (1, b"250-%07d", "retry", "curl")}


class Endless:
    """A server that calls `talk` for each connection, and then sends `line` until the client closes."""

    def __init__(self, talk, line):
        self.talk, self.line, self.sent = talk, line, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()

    def serve(self):
        connection = self.server.accept()[0]
        with connection:
            connection.settimeout(15)
            try:
                self.talk(connection)
                number = 0
                while True:
                    data = b"".join(self.line.replace(b"%07d", b"%07d" % (number + own)) for own in range(100))
                    number += 100
                    connection.sendall(data)
                    self.sent += len(data)
            except OSError:
                pass


def notify(channel, **settings):
    """(the notifier's reply, the peak of its memory in bytes, seconds)."""
    line = {
        "id": "00000000-0000-4000-8000-0000000000d1", "fence": 3, "attempt": 1, "channel": channel, "recipient": "desk@agency.example",
        "eventId": "00000000-0000-4000-8000-0000000000e1", "eventType": "lead.created", "eventAt": "2026-11-28T00:00:00.000Z",
        "conversationId": "00000000-0000-4000-8000-0000000000c1", "payload": {"customerName": "Canary Lead"}}
    command = [HANDLERS / f"notify-{channel}", "--stream"]
    with subprocess.Popen(command, env=clean_environment(**settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        start = time.monotonic()
        process.stdin.write(json.dumps(line) + "\n")
        process.stdin.flush()
        reply, seconds = process.stdout.readline(), time.monotonic() - start
        with open(f"/proc/{process.pid}/status") as file:
            peak = next(int(own.split()[1]) for own in file if own.startswith("VmHWM:")) * 1024
        process.stdin.close()
    return json.loads(reply), peak, seconds


def check(reply, expected, reason, peak, seconds, sent):
    outcome = reply["outcome"]
    assert outcome["class"] == expected, outcome
    assert reason in outcome.get("reason", ""), outcome
    assert peak < 64 * MIB and seconds < 5 and sent < 16 * MIB, (peak, seconds, sent)


@pytest.mark.parametrize("part", HTTP)
def test_endless_http_reply(part):
    begin, line, expected, reason = HTTP[part]

    def talk(connection):
        connection.recv(65_536)
        connection.sendall(begin)
    with Endless(talk, line) as server:
        reply, peak, seconds = notify("slack", SLACK_WEBHOOK_URL=f"http://127.0.0.1:{server.port}/services/T/B/x")
        check(reply, expected, reason, peak, seconds, server.sent)


@pytest.mark.parametrize("stage", SMTP)
def test_endless_smtp_reply(stage):
    before, line, expected, reason = SMTP[stage]

    def talk(connection):
        replies = [b"220 hello\r\n", b"250 mail.example\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"]
        for number in range(before):
            connection.sendall(replies[number])
            connection.recv(65_536)
        if before == 4:
            connection.sendall(replies[4])
            text = b""
            while b"\r\n.\r\n" not in text:
                text += connection.recv(65_536)
    with Endless(talk, line) as server:
        reply, peak, seconds = notify("email", EMAIL_HOST="127.0.0.1", EMAIL_PORT=str(server.port), EMAIL_FROM="leads@agency.example")
        check(reply, expected, reason, peak, seconds, server.sent)
