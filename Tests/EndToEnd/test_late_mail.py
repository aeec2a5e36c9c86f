"""A mail server that replies late. Its reply is never taken for the reply to the next email."""

import json
import socket
import subprocess
import threading
import time
import uuid

import pytest

import handlers
from common import HANDLERS, clean_environment


class LateServer:
    """Replies to the end of the first email after `seconds` with `verdict`, and immediately to everything else."""

    def __init__(self, verdict, seconds):
        self.verdict, self.seconds, self.taken, self.connections = verdict, seconds, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection, connection.makefile("rwb", 0) as stream:
            try:
                stream.write(b"220 late\r\n")
                for line in stream:
                    word = line.split()[0].upper()
                    stream.write(b"354 go on\r\n" if word == b"DATA" else b"250 2.0.0 ok\r\n")
                    if word == b"DATA":
                        stream.write(self.take(b"".join(iter(stream.readline, b".\r\n"))))
            except OSError:
                pass

    def take(self, mail):
        self.taken.append(mail.partition(b"Message-ID: <")[2].partition(b"@")[0].decode())
        if len(self.taken) > 1:
            return b"250 2.0.0 queued as X\r\n"
        time.sleep(self.seconds)
        return self.verdict.encode() + b"\r\n"

    def close(self):
        self.listener.close()


def envelope(id, seconds):
    line = {"id": id, "fence": 1, "attempt": 1, "channel": "email", "recipient": "desk@example.com", "eventType": "lead.created",
            "eventAt": "2026-01-01T00:00:00Z", "payload": {"customerName": "Test User"}}
    document = handlers.envelope(line)
    document["requestContext"]["x"] = {"deadlineMs": int((time.time() + seconds) * 1000)}
    return json.dumps(document) + "\n"


@pytest.mark.parametrize("verdict", ["554 5.6.0 no", "535 5.7.8 no", "451 4.7.1 later", "250 2.0.0 queued as LATE"])
def test_late_reply_is_not_used_for_the_next_email(verdict):
    server = LateServer(verdict, 2)
    environment = clean_environment(EMAIL_HOST="127.0.0.1", EMAIL_PORT=str(server.port), EMAIL_FROM="leads@example.com")
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    running = subprocess.Popen([str(HANDLERS / "notify-email"), "--stream"], env=environment, cwd="/", text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        outcomes = []
        for id, seconds in ((first, 2.5), (second, 10)):
            running.stdin.write(envelope(id, seconds))
            running.stdin.flush()
            outcomes.append(json.loads(json.loads(running.stdout.readline())["body"])["outcome"])
    finally:
        running.stdin.close()
        running.wait(20)
        running.stdout.close()
        server.close()
    assert outcomes[0]["class"] == "unknown" and outcomes[0]["statusCode"] == 354
    assert outcomes[1]["class"] == "delivered" and outcomes[1]["providerId"] == "X", outcomes[1]
    assert server.taken == [first, second] and server.connections == 2
