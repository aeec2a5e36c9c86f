"""A process per request with the envelope on stdin, and a process per handler with an envelope on each line."""

import base64
import json
import os
import subprocess
import tempfile

import handlers
from common import HANDLERS, clean_environment
from doors.door import Door
from doors.messages import Reply
from doors.routing import envelope


def reply(document):
    """The reply in an envelope."""
    body = document.get("body", "")
    return Reply(
        document["statusCode"], [*document.get("headers", {}).items(), *(("set-cookie", cookie) for cookie in document.get("cookies", []))],
        base64.b64decode(body) if document["isBase64Encoded"] else body.encode())


class PipeDoor(Door):
    name = "pipe"
    routes = limits = adds_headers = False

    def open(self):
        self.errors = []

    def send(self, request):
        name, document = envelope(request)
        done = handlers.run(name, document, **self.settings)
        self.errors.append(done.stderr.decode())
        return reply(json.loads(done.stdout))

    @property
    def log(self):
        return "".join(self.errors)


class StreamDoor(Door):
    name = "stream"
    routes = limits = adds_headers = False

    def open(self):
        self.processes = {}
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the door
        self.callback(self.errors.close)

    def send(self, request):
        name, document = envelope(request)
        process = self.processes.get(name) or self.start(name)
        process.stdin.write(json.dumps(document).encode() + b"\n")
        process.stdin.flush()
        return reply(json.loads(process.stdout.readline()))

    def start(self, name):
        process = self.processes[name] = subprocess.Popen(
            [HANDLERS / name, "--stream"], env=clean_environment(**self.settings), cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors)
        self.callback(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    @property
    def log(self):
        descriptor = self.errors.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()
