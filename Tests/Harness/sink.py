"""`leadpipe sink` as a separate program, with configured faults."""

import json
import subprocess
import urllib.error
import urllib.request

from common import BIN, clean_environment, free_port, until


class Sink:
    """A sink on free ports. It writes the messages that it accepts to a file in `folder`."""

    def __init__(self, folder, behaviour=None):
        self.http, self.smtp, self.file = free_port(), free_port(), folder / "sink.ndjson"
        words = [BIN / "leadpipe", "sink", "--http-port", str(self.http), "--smtp-port", str(self.smtp), "--file", self.file]
        if behaviour is not None:
            (folder / "behaviour.json").write_text(json.dumps(behaviour))
            words += ["--fail", folder / "behaviour.json"]
        self.words, self.folder = words, folder
        self.start()

    def start(self):
        """Starts it, also again after `close` on the same ports."""
        self.process = subprocess.Popen(self.words, env=clean_environment(), cwd=self.folder, stderr=subprocess.DEVNULL)
        until(lambda: self.request("GET", "/counts"), 10, "the sink")

    def request(self, method, path, document=None):
        body = document.encode() if isinstance(document, str) else None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError:
            return None

    @property
    def counts(self):
        return self.request("GET", "/counts")[1]

    @property
    def messages(self):
        return [json.loads(line) for line in self.file.read_text().split("\n") if line]

    @property
    def settings(self):
        base = f"http://127.0.0.1:{self.http}"
        return {"SLACK_WEBHOOK_URL": f"{base}/services/T0/B0/sink", "TELEGRAM_API_URL": base, "TELEGRAM_BOT_TOKEN": "1:sink",
                "TELEGRAM_CHAT_ID": "-1001", "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(self.smtp),
                "EMAIL_FROM": "leads@example.com", "EMAIL_TO": "agents@example.com"}

    def close(self):
        self.process.terminate()
        self.process.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
