"""A stand-in for AWS Lambda: the four endpoints of its runtime API (2018-06-01), and a function that runs against it."""

import contextlib
import json
import queue
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import BIN, HANDLERS, clean_environment, until

BASE = "/2018-06-01/runtime/"


class Result:
    """What a function has posted for an event: `kind` is response or error."""

    def __init__(self, kind, headers, body):
        self.kind, self.headers, self.body = kind, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def reply(self):
        """The HTTP reply within the result."""
        assert self.kind == "response", self.body
        assert self.json["isBase64Encoded"] is False
        return self.json

    @property
    def problem(self):
        return json.loads(self.reply["body"])


class RuntimeAPI:
    """The API of one function. `isChunked`: events are sent in chunks. `closes`: the connection is closed after each
    reply; "silently" without a word about it."""

    def __init__(self, isChunked=False, closes=None, statuses=None):
        self.isChunked, self.closes = isChunked, closes
        # Status of the next posts, in order, by kind.
        self.statuses = statuses or {}
        self.events, self.results = queue.Queue(), queue.Queue()
        self.init_errors, self.taken, self.connections, self.asked = [], [], set(), 0
        # When the first event was asked for.
        self.asked_at = None
        self.number = 0
        # Bytes that replace a whole reply to GET next.
        self.broken = None
        api = self

        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                api.connections.add(self.client_address)

            def log_message(self, *_):
                pass

            def do_GET(self):
                assert self.path == BASE + "invocation/next", self.path
                api.asked_at = api.asked_at or time.monotonic()
                api.asked += 1
                while True:
                    with contextlib.suppress(queue.Empty):
                        event = api.events.get(timeout=0.2)
                        break
                    if api.isStopped:
                        self.close_connection = True
                        return
                if api.broken is not None:
                    self.wfile.write(api.broken)
                    self.close_connection = True
                    return
                headers, body = event
                api.taken.append(headers["Lambda-Runtime-Aws-Request-Id"])
                self.answer(200, body, headers, api.isChunked)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kind = self.path.removeprefix(BASE)
                if kind == "init/error":
                    api.init_errors.append(Result("init", dict(self.headers), body))
                else:
                    _, invocation, kind = kind.split("/")
                    assert invocation == api.taken[-1]
                status = (api.statuses.get(kind) or [202]).pop(0)
                self.answer(status, b'{"status":"OK"}\n', {})
                if kind in ("response", "error"):
                    api.results.put(Result(kind, dict(self.headers), body))

            def answer(self, status, body, headers, isChunked=False):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if api.closes == "openly":
                    self.send_header("Connection", "close")
                if isChunked:
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for start in range(0, len(body), 7):
                        piece = body[start:start + 7]
                        self.wfile.write(f"{len(piece):x};x=y\r\n".encode() + piece + b"\r\n")
                    self.wfile.write(b"0\r\nTrailer: x\r\n\r\n")
                else:
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                if api.closes:
                    self.close_connection = True

        self.isStopped = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.server.server_port}"

    def put(self, event, milliseconds=10_000, **headers):
        """Adds an event without waiting for its result. `milliseconds` is what the function has."""
        self.number += 1
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        self.events.put(({
            "Lambda-Runtime-Aws-Request-Id": f"00000000-0000-4000-8000-{self.number:012}",
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + milliseconds),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:000000000000:function:test",
            **headers}, body))

    def invoke(self, event, seconds=15, **more):
        self.put(event, **more)
        return self.results.get(timeout=seconds)

    def close(self):
        self.isStopped = True
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


class Function:
    """A handler's executable as Lambda starts it, or `worker` as the bootstrap of its package does."""

    def __init__(self, api, handler, **settings):
        command = [str(BIN / "leadpipe"), "worker"] if handler == "worker" else [str(HANDLERS / handler)]
        self.process = subprocess.Popen(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_environment(
                AWS_LAMBDA_RUNTIME_API=api.address, AWS_LAMBDA_FUNCTION_NAME=handler, LAMBDA_TASK_ROOT="/var/task",
                _HANDLER=handler, **settings))

    def wait(self, seconds=15):
        """The exit status, with everything on stderr."""
        _, errors = self.process.communicate(timeout=seconds)
        return self.process.returncode, errors.decode()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        if self.process.stdout and not self.process.stdout.closed:
            return self.process.communicate(timeout=10)[1].decode()
        return ""


@contextlib.contextmanager
def function(handler, api=None, **settings):
    """A running function with its API, which has already asked for the first event."""
    api = api or RuntimeAPI()
    started = Function(api, handler, **settings)
    try:
        until(lambda: api.asked or started.process.poll() is not None, what="the first GET next")
        assert api.asked, started.close()
        yield api, started
    finally:
        started.close()
        api.close()
