"""A request and a reply, as HTTP has them."""

import json
from dataclasses import dataclass, field


@dataclass
class Request:
    method: str
    target: str
    # (name, value) as written, in their order. Host and Content-Length are among them.
    headers: list
    body: bytes
    # The address from which it is sent.
    client: str

    @property
    def head(self):
        return b"\r\n".join(line.encode("utf-8", "surrogateescape") for line in [
            f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers), "Connection: close", "", ""])


@dataclass
class Reply:
    status: int
    # (name in lower case, value) in any order. Set-Cookie may repeat.
    headers: list = field(default_factory=list)
    body: bytes = b""

    def header(self, name):
        return ", ".join(value for other, value in self.headers if other == name) or None

    @property
    def document(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None
