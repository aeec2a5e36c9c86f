"""Reads the requests of Tests/EndToEnd/doors/requests.toml."""

import base64
import json
import re
import tomllib
from dataclasses import dataclass

from common import REPO
from doors.door import ADMIN_KEY, HOST, ORIGIN, READER_KEY
from doors.messages import Request

FILE = REPO / "Tests" / "EndToEnd" / "doors" / "requests.toml"
KEYS = {"admin": ADMIN_KEY, "reader": READER_KEY}
WORDS = {
    # The request
    "send", "as", "host", "type", "headers", "body", "base64", "length", "client",
    # The reply
    "status", "code", "errors", "reply", "has", "absent", "empty", "save", "like",
    # The doors
    "needs", "nginx", "lighttpd", "apache", "cgi-nginx", "cgi-apache"}


@dataclass
class Entry:
    """One request with its expected reply. `number` gives it a client address of its own."""

    name: str
    number: int
    words: dict

    def __post_init__(self):
        if unknown := self.words.keys() - WORDS:
            raise ValueError(f"{self.name}: unknown words {sorted(unknown)}")

    def __getattr__(self, word):
        return self.words.get(word)

    def request(self, saved):
        """The request, with `{name}` replaced by what earlier replies saved."""
        saved = {"origin": ORIGIN, **saved}
        method, target = self.send.split(" ", 1)
        target = filled(target, saved)
        body = self.bytes(saved)
        headers = [("Host", self.host)] if self.host is not None else [("Host", HOST)]
        if self.words.get("as"):
            headers.append(("X-Admin-Api-Key", KEYS[self.words["as"]]))
        if body and self.type != "":
            headers.append(("Content-Type", self.type or "application/json"))
        for line in self.headers or []:
            name, _, value = line.partition(":")
            headers.append((name, filled(value.strip(), saved)))
        length = len(body) if self.length is None else self.length
        if body or self.length is not None or method in ("POST", "PUT", "PATCH"):
            headers.append(("Content-Length", str(length)))
        return Request(method, target, headers, body, self.client or f"127.0.1.{self.number}")

    def bytes(self, saved):
        if self.base64 is not None:
            return base64.b64decode(self.base64)
        text = filled(self.body or "", saved)
        # {fill 65536} is replaced by as many x as make the body so long.
        if found := re.search(r"\{fill (\d+)\}", text):
            rest = len(text.encode()) - len(found[0])
            text = text.replace(found[0], "x" * (int(found[1]) - rest))
        return text.encode()

    def answered_by(self, door):
        """The status that a program in front causes; None if the reply must be that of the reference."""
        text = self.words.get(door.name) or self.words.get(door.outer)
        return int(text.split(":")[0]) if text else None

    def saves(self, reply):
        """What later entries may use: a member of the document, a header, or a cookie's `name=value`."""
        found = {}
        for name, source in (self.save or {}).items():
            kind, _, word = source.partition(" ")
            if kind == "member":
                found[name] = str(json.loads(reply.body)[word])
            elif kind == "header":
                found[name] = reply.header(word)
            else:
                found[name] = reply.header("set-cookie").split(";")[0]
        return found


def filled(text, saved):
    # Names are replaced one by one, because a JSON body has braces too.
    for name, value in saved.items():
        text = text.replace("{" + name + "}", value)
    # {x 7000} is a long text.
    return re.sub(r"\{x (\d+)\}", lambda found: "x" * int(found[1]), text)


def entries():
    with FILE.open("rb") as file:
        read = tomllib.load(file)["request"]
    return [Entry(name, number, words) for number, (name, words) in enumerate(read.items(), 1)]
