"""The gateway alone, with handlers in shell. No database, no worker."""

import json
import re
import signal
import socket
import subprocess
import threading

from common import BIN, clean_environment, until, untimed

DESCRIPTION = """{"name":"NAME","kind":"endpoint","summary":"s","routes":[ROUTES],"access":"ACCESS","rateClass":"CLASS",
  "bodyLimit":65536,"timeLimitMs":5000,"environment":[],"input":{"type":"object"},"output":{"type":"object"}}"""


def route(method, path):
    return f'{{"method":"{method}","path":"{path}"}}'


class GatewayWith:
    """A gateway with the handlers of a folder. Used as a context. `handlers` maps a name to a program's text, `trust` a
    name to its entry in LEADPIPE_TRUST. `user` prefixes the command with words that run it as another user."""

    def __init__(self, folder, handlers, trust=None, user=list, **environment):
        self.folder = folder
        self.handlers = folder / "handlers"
        self.handlers.mkdir()
        for name, text in handlers.items():
            (self.handlers / name).write_text(text)
            (self.handlers / name).chmod(0o755)
        if trust:
            (folder / "trust.json").write_text(json.dumps(trust))
            environment["LEADPIPE_TRUST"] = str(folder / "trust.json")
        self.command = user([str(BIN / "gateway")])
        self.environment = clean_environment(**{"PORT": "0", "LEADPIPE_HANDLERS": str(self.handlers), **environment})
        self.raw_lines = []

    def __enter__(self):
        self.process = subprocess.Popen(self.command, env=self.environment, cwd="/", stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=lambda: self.raw_lines.extend(self.process.stderr), daemon=True)
        self.reader.start()
        line = until(lambda: next((line for line in self.lines if "Gateway listening" in line), None), 15, "the gateway")
        self.address = re.search(r'address(?:=|":")([^"\s]+)', line)[1]
        self.port = None if self.address.startswith("unix:") else int(self.address.rpartition(":")[2])
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(5)
        self.process.stderr.close()

    def connect(self, source=None, host="127.0.0.1", seconds=8):
        if self.port is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(seconds)
            connection.connect(self.address.removeprefix("unix:"))
            return connection
        return socket.create_connection((host, self.port), timeout=seconds, source_address=(source, 0) if source else None)

    def raw(self, data, source=None, host="127.0.0.1", port=None, seconds=8):
        """Sends the bytes and reads until the other side closes. Returns (whether it closed, the bytes received)."""
        answer = b""
        with self.connect(source, host, seconds) if port is None else socket.create_connection((host, port), timeout=seconds,
                                                                                               source_address=(source, 0) if source else None) as connection:
            try:
                connection.sendall(data)
                while chunk := connection.recv(65_536):
                    answer += chunk
            except (BrokenPipeError, ConnectionResetError):
                pass
            except TimeoutError:
                return False, answer
        return True, answer

    def request(self, method="GET", path="/form", headers=(), body=None, **where):
        """(status, headers with names in lower case). Several headers with one name are joined with a comma."""
        return parse(self.answer(method, path, headers, body, **where))

    def answer(self, method, path, headers=(), body=None, **where):
        """The whole response as received."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return self.raw(("\r\n".join(lines) + "\r\n\r\n" + (body or "")).encode(), **where)[1]

    @property
    def lines(self):
        """The log lines so far, without their times."""
        return [untimed(line) for line in self.raw_lines]

    @property
    def log(self):
        return "".join(self.raw_lines)


class Gateway(GatewayWith):
    """Its one handler replies 200 with the client's address and adds a line to a file for each process."""

    def __init__(self, folder, access="public", rate_class="default", path="/form", **environment):
        self.spawned = folder / "spawned"
        self.spawned.touch()
        description = (DESCRIPTION.replace("NAME", "form").replace("ROUTES", ",".join(route(m, path) for m in ("GET", "POST")))
                       .replace("ACCESS", access).replace("CLASS", rate_class))
        text = f"""#!/bin/sh
if [ "$1" = --describe ]; then echo '{description}'; exit; fi
echo >> {self.spawned}
client=$(sed 's/.*"sourceIp":"\\([^"]*\\)".*/\\1/')
printf '{{"statusCode":200,"headers":{{"x-client":"%s"}},"body":"ok"}}' "$client"
"""
        super().__init__(folder, {"form": text}, {"form": {"class": "none", "write": [str(self.spawned)]}}, **environment)

    @property
    def processes(self):
        """The number of handler processes so far."""
        return self.spawned.read_text().count("\n")


def parse(answer):
    head, _, _ = answer.decode(errors="replace").partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    headers = {}
    for field in fields:
        name, _, value = field.partition(": ")
        headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
    return int(first.split()[1]) if first.startswith("HTTP/1.") else 0, headers
