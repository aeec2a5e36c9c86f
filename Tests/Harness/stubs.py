"""Stand-ins for the providers on loopback. They keep what they receive and reply as configured."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller

from common import free_port


class Providers:
    """Slack's webhook and Telegram's API. `answers` maps a name to (status, body, headers), to a function that returns
    one, to "hang", or to "hold" until `release`. With `tls`, a server's SSL context, they use https."""

    def __init__(self, tls=None):
        self.scheme = "https" if tls else "http"
        self.answers = {}
        self.received = []
        self.lock = threading.Lock()
        self.release = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                name = "slack" if self.path.startswith("/services/") else "telegram" if self.path.startswith("/bot") else "other"
                message = {"name": name, "path": self.path, "headers": dict(self.headers), "at": time.monotonic(),
                           "json": json.loads(body), "body": body.decode()}
                with stub.lock:
                    stub.received.append(message)
                    answer = stub.answers.get(name)
                    answer = answer(message) if callable(answer) else answer
                if answer == "hold":
                    stub.release.wait(60)
                    answer = None
                if answer == "hang":
                    stub.release.wait(60)
                    self.close_connection = True
                    return
                status, text, headers = answer or self.standard(name)
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())
                message |= {"status": status, "answered": time.monotonic()}

            def standard(self, name):
                if name == "slack":
                    return 200, "ok", {"Content-Type": "text/plain"}
                return 200, '{"ok":true,"result":{"message_id":7}}', {"Content-Type": "application/json"}

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def settings(self):
        base = f"{self.scheme}://127.0.0.1:{self.port}"
        return {
            "SLACK_WEBHOOK_URL": f"{base}/services/T0/B0/secretwebhook", "TELEGRAM_API_URL": base,
            "TELEGRAM_BOT_TOKEN": "123456:secret-token", "TELEGRAM_CHAT_ID": "-100123456789"}

    def of(self, name):
        with self.lock:
            return [message for message in self.received if message["name"] == name]

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


class MailServer:
    """A real SMTP server that keeps every envelope."""

    def __init__(self):
        self.envelopes = []
        self.controller = Controller(self, hostname="127.0.0.1", port=free_port(), ready_timeout=10)
        self.controller.start()

    async def handle_DATA(self, _server, _session, envelope):
        self.envelopes.append(envelope)
        return "250 2.0.0 queued as 1"

    @property
    def settings(self):
        return {
            "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(self.controller.port),
            "EMAIL_FROM": "TrueNester <notifications@truenester.com>", "EMAIL_TO": "agents@truenester.com"}

    def close(self):
        self.controller.stop()
