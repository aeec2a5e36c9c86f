"""Hostile requests from a seed. Each is full of canaries: secrets and personal values that must not be in any log."""

import contextlib
import json
import random
import re
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from common import TIME, until, untimed
from instance import Instance, without_limits
from stubs import Providers

LEADS = "/api/chatbot/leads"
# Values sent by clients.
SENT = [
    "sk_live_c4n4ry51Gx7TqLm", "Bearer.c4n4ry.eyJhbGciOi", "c4n4ry-session-9f31a7", "c4n4ry+basic/QWxhZGRpbg", "hunter2-c4n4ry!",
    "AKIAC4N4RYEXAMPLE07",
    "ghp_c4n4ryTokenOfSomebody", "key c4n4ry of admin", "Zahra Alcanari", "محمد الكناري", "+971509876543", "050 987 6543",
    "zahra.alcanari@example.org",
    "Villa 77, Canary Frond", "passport N5512345 canary", "4111 1111 1111 1234", "IBAN AE07 0331 2345 c4n4ry", "Notiz-Kanarienvogel"]
# Values set by the operator.
SET = {
    "ADMIN_API_KEY": "c4n4ry-admin-key-0123456789abcdef", "SLACK": "c4n4ryWebhookPath", "TELEGRAM_BOT_TOKEN": "123456:c4n4ry-telegram-token"}
CANARIES = SENT + list(SET.values())
# Characters that would forge a log line, colour a terminal or reverse the text.
FORGERIES = ["\n[ERROR] forged c4n4ry", "\r\n[INFO] forged", "\x1b[31m", "\u2028[WARN] forged", "\u202e", "\u0085", "\x00", "\x7f",
    '{"level":"ERROR"}', "\u2066"]
FIELDS = [
    "customerName", "customerPhone", "customerEmail", "conversationId", "customerId", "intent", "budget", "propertyType", "preferredArea",
    "leadScore",
    "leadQuality", "tags", "notes", "leadScoreBreakdown", "metadata", "idempotencyKey", "consent", "messages"]
HEADERS = [
    "Authorization", "Cookie", "X-Admin-Api-Key", "Idempotency-Key", "User-Agent", "Referer", "Origin", "X-Forwarded-For", "Forwarded", "X-Real-IP",
    "Proxy",
    "X-Api-Key", "Accept", "Accept-Language", "Content-Language", "From", "Via", "Access-Control-Request-Headers", "If-Match", "traceparent", "X_Y"]


class Hostile:
    """A sequence of requests that is always the same for a seed."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.kinds = [getattr(self, name) for name in sorted(dir(type(self))) if name.startswith("as_")]

    def requests(self, count):
        """The requests as bytes, each for a connection of its own. The kinds take turns."""
        return [self.kinds[n % len(self.kinds)]() for n in range(count)]

    # ── Parts ──

    def canary(self):
        return self.dice.choice(SENT)

    def text(self):
        """A canary, or a canary with a forgery before, after or inside it."""
        canary = self.canary()
        if self.dice.random() < 0.6:
            return canary
        at = self.dice.randint(0, len(canary))
        return canary[:at] + self.dice.choice(FORGERIES) + canary[at:] if self.dice.random() < 0.3 else self.dice.choice(FORGERIES) + canary

    def value(self, depth=0):
        kind = self.dice.random()
        if depth < 3 and kind < 0.2:
            return {self.text(): self.value(depth + 1) for _ in range(2)}
        if depth < 3 and kind < 0.35:
            return [self.value(depth + 1) for _ in range(2)]
        return self.text() if kind < 0.9 else self.dice.choice([None, True, -1, 1e9])

    def lead(self):
        """A valid lead."""
        return {
            "customerName": self.dice.choice(["Zahra Alcanari", "محمد الكناري"]),
            "customerPhone": self.dice.choice(["+971509876543", "050 987 6543"]),
            "customerEmail": "zahra.alcanari@example.org", "notes": self.text().replace("\0", ""), "budget": self.canary(),
            "messages": [{"id": "m1", "messageText": self.canary()}], "metadata": {"token": self.canary()}}

    def header(self, name=None):
        """One header line in bytes. It may or may not be valid."""
        value = self.text() if self.dice.random() < 0.4 else self.canary()
        return f"{name or self.dice.choice(HEADERS)}: {value}\r\n".encode()

    def raw(self, body=b"", method="POST", path=LEADS, headers=b"", content_type="application/json", length=None):
        if not isinstance(body, bytes):
            body = json.dumps(body, ensure_ascii=self.dice.random() < 0.5).encode(errors="surrogatepass")
        length = len(body) if length is None else length
        path = path if isinstance(path, bytes) else path.encode()
        return b"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n%s" % (
            method.encode(), path, content_type.encode(), length, headers, body)

    # ── Kinds ──

    def as_a_lead(self):
        return self.raw(self.lead())

    def as_a_lead_with_headers(self):
        names = self.dice.sample([name for name in HEADERS if name != "Idempotency-Key"], 6)
        return self.raw(self.lead(), headers=b"".join(f"{name}: {self.canary()}\r\n".encode() for name in names))

    def as_a_key_again(self):
        return self.raw({**self.lead(), "idempotencyKey": self.dice.choice(["sk_live_c4n4ry51Gx7TqLm", "AKIAC4N4RYEXAMPLE07"])})

    def as_wrong_fields(self):
        return self.raw({**self.lead(), **{self.dice.choice(FIELDS): self.value() for _ in range(3)}})

    def as_unknown_fields(self):
        return self.raw({**self.lead(), **{self.text(): self.value() for _ in range(3)}})

    def as_a_conversation(self):
        return self.raw({**self.lead(), "conversationId": self.dice.choice([self.text(), "7d444840-9dc0-11d1-b245-5ffdce74fad2"])})

    def as_no_object(self):
        return self.raw(self.dice.choice([[self.text()], self.text(), self.lead()["messages"]]))

    def as_broken_json(self):
        body = json.dumps(self.lead(), ensure_ascii=False).encode()
        at = self.dice.randint(1, len(body) - 1)
        return self.raw(self.dice.choice([body[:at], body + body, body[:at] + b"\xff" + body[at:], b"[" * 5000 + body,
            body.replace(b'"notes"', b'"budget"'), b"\xef\xbb\xbf" + body]))

    def as_no_json(self):
        canary = self.canary()
        return self.raw(self.dice.choice([f"name={quote(canary)}", f"<xml>{canary}</xml>", canary, f"--b\r\n\r\n{canary}"]).encode(),
                        content_type=self.dice.choice(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b",
                        "application/json; charset=utf-16", "application/json"]))

    def as_a_content_type(self):
        return self.raw(self.lead(), content_type=self.canary().encode("ascii", "ignore").decode() or "x")

    def as_too_large(self):
        return self.raw((self.canary() + " ").encode() * 16_000)

    def as_a_false_length(self):
        return self.raw(self.lead(), length=10**9)

    def as_a_path(self):
        text = self.canary()
        path = self.dice.choice([f"/{quote(text)}", f"{LEADS}/{quote(text)}", f"/api/admin/conversations/{quote(text)}", f"/../{quote(text)}",
            f"/%2e%2e/{quote(text)}", f"//{quote(text)}"])
        return self.raw(method=self.dice.choice(["GET", "POST", "DELETE"]), path=path)

    def as_raw_bytes_in_the_path(self):
        return self.raw(method="GET", path=b"/" + self.text().replace(" ", "").replace("\r", "").replace("\n", "").encode())

    def as_a_query(self):
        return self.raw(self.dice.choice([b"", self.lead()]),
            path=f"{self.dice.choice([LEADS, '/health', '/none'])}?token={quote(self.text())}&{quote(self.canary())}=1")

    def as_a_method(self):
        word = "".join(c for c in self.canary() if c.isascii() and c.isalnum())
        return self.raw(method=self.dice.choice([word, word.upper(), "TRACE", "CONNECT", "PROPFIND", "get"]))

    def as_headers(self):
        return self.raw(self.lead(), headers=b"".join(self.header() for _ in range(4)))

    def as_a_request_id(self):
        """An invalid request id. A valid one would be in the log by design."""
        return self.raw(self.lead(), headers=b"X-Request-Id: " + self.dice.choice(["key c4n4ry of admin", "+971509876543",
            "zahra.alcanari@example.org", "\u202eZahra Alcanari"]).encode() + b"\r\n")

    def as_large_headers(self):
        return self.raw(headers=b"X-Large: " + (self.canary() * 3000).encode()[:40_000] + b"\r\n")

    def as_many_headers(self):
        return self.raw(headers=b"".join(self.header() for _ in range(140)))

    def as_a_long_line(self):
        return self.raw(method="GET", path="/" + quote(self.canary()) * 900)

    def as_broken_http(self):
        text = self.text().encode()
        return self.dice.choice([
            text + b"\r\n\r\n", b"POST " + LEADS.encode() + b" " + text + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: " + text + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + text + b"\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + text + b"\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + text + b"\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + text + b"\r\n", b"\x16\x03\x01\x02\x00\x01" + text,
            b"PRI * HTTP/2.0\r\n\r\n" + text + b"\r\n\r\n",
            b"GET / HTTP/9.9\r\nX: " + text + b"\r\n\r\n", b"GET http://" + text.split()[0] + b"/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])

    def as_a_preflight(self):
        return self.raw(method="OPTIONS",
            # The log names a blocked origin, so it has no canary.
            headers=b"Origin: https://stranger.example\r\nAccess-Control-Request-Method: POST\r\n" + self.header("Access-Control-Request-Headers"))

    def as_other_methods(self):
        return self.raw(self.lead(), method=self.dice.choice(["GET", "PUT", "PATCH", "DELETE", "HEAD"]), headers=self.header("Authorization"))


# ── Sending and checking ──

def send(port, request, seconds=40):
    """The response to one request: everything up to the end of the connection, or up to the end of the response if the
    connection stays open."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(request)
        while True:
            head, found, body = answer.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            if found and b"\r\nconnection: close" not in head.lower() and len(body) >= int(length[1] if length else 0):
                return answer
            try:
                chunk = connection.recv(65_536)
            except ConnectionResetError:
                return answer
            except TimeoutError:
                raise AssertionError(f"no complete response within {seconds} s: {request[:300]!r} {answer[:300]!r}") from None
            if not chunk:
                return answer
            answer += chunk


def send_all(port, requests, at_once=4):
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda request: send(port, request), requests))


def request_id(answer):
    found = re.search(rb"(?i)\r\nx-request-id: ([^\r]*)\r\n", answer)
    return found and found[1].decode()


ACCESS = re.compile(r"(\S+) (\S+) (\d{3})")
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def lines(log, as_json):
    """The lines of a log as (line, request id of an access line or None). Each line must be well formed."""
    out = []
    for line in log.split("\n")[:-1]:
        assert not UNPRINTABLE.search(line), ascii(line)
        assert len(line) < 4096, line[:200]
        if as_json:
            document = json.loads(line)
            assert document["level"] in ("DEBUG", "INFO", "WARN", "ERROR") and document["message"] and document["time"], line
            is_access = "bytes" in document and ACCESS.fullmatch(document["message"])
            out.append((line, document["requestId"] if is_access else None))
        else:
            assert re.match(TIME + r"\[(DEBUG|INFO|WARN|ERROR)\] \S", line), ascii(line)
            is_access = re.match(rf"\[INFO\] {ACCESS.pattern} ", untimed(line)) and re.search(r" bytes=\d+", line)
            out.append((line, re.search(r" requestId=(\S+)", line)[1] if is_access else None))
    return out


def check_log_of(count, seed, database, log_format):
    """Sends the requests to an instance whose providers fail and repeat what was sent to them, and checks the log."""
    assert len(CANARIES) >= 20
    providers = Providers()
    # Slack rejects and repeats what it was sent, and more. Telegram accepts.
    providers.answers["slack"] = (500, f"no_service for {' '.join(SENT)}", {"Content-Type": "text/plain"})
    settings = {
        **providers.settings, "SLACK_WEBHOOK_URL": f"http://127.0.0.1:{providers.port}/services/T0/B0/{SET['SLACK']}",
        "TELEGRAM_BOT_TOKEN": SET["TELEGRAM_BOT_TOKEN"], "ADMIN_API_KEY": SET["ADMIN_API_KEY"]}
    requests = Hostile(seed).requests(count)
    try:
        with Instance(DATABASE_URL=database.url, LOG_FORMAT=log_format, LOG_LEVEL="debug", **settings, **without_limits()) as instance:
            answers = send_all(instance.port, requests)
            until(lambda: providers.of("slack") and providers.of("telegram"), 15, "notifications")
            assert instance.http("/health")[0] == 200
            instance.stop()
            log = instance.log
    finally:
        providers.close()

    silent = [request[:300] for request, answer in zip(requests, answers, strict=True) if not answer.startswith(b"HTTP/1.1 ")]
    assert not silent, f"{len(silent)} got no response: {silent[:3]}"
    assert {int(answer[9:12]) for answer in answers} >= {200, 201, 400, 404, 405, 413, 414, 415, 422, 431}
    assert not [answer for answer in answers if answer[9:12] == b"500" or answer[9:12] == b"502"]

    found = {canary: [line for line in log.split("\n") if canary in line][:1] for canary in CANARIES if canary in log}
    assert not found, found
    assert "c4n4ry" not in log.lower() and "forged" not in log
    read = lines(log, log_format == "json")
    accessed = Counter(identifier for _, identifier in read if identifier)
    asked = [request_id(answer) for answer in answers]
    assert None not in asked
    wrong = [(request[:200], accessed[identifier]) for request, identifier in zip(requests, asked, strict=True) if accessed[identifier] != 1]
    assert not wrong, wrong[:3]
    # The extra request is this test's own GET /health.
    assert sum(accessed.values()) == count + 1
