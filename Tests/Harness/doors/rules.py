"""What must differ between two doors, and nothing else. Each rule has a name, by which a report can be understood."""

import re
from datetime import UTC, datetime, timedelta

from doors.messages import Reply

UUID = re.compile(r"\b(?!0{8}-)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# Each connection and each server has its own.
CONNECTION = {"connection", "date", "keep-alive", "server", "transfer-encoding"}
# A gateway, or the code that stands in its place, adds them to what a handler says.
ADDED = re.compile(r"access-control-.*|vary|x-request-id|ratelimit.*|x-ratelimit-.*")
LIMITS = re.compile(r"ratelimit.*|x-ratelimit-.*")


def connection(reply, _):
    """Connection, Date, Server; the length of a body that is there to be counted."""
    length = reply.header("content-length")
    if reply.body and length not in (None, str(len(reply.body))):
        raise AssertionError(f"Content-Length is {length}, the body has {len(reply.body)} bytes")
    drop = CONNECTION | {"content-length"}
    return Reply(reply.status, [(name, value) for name, value in reply.headers if name not in drop], reply.body)


def request_id(reply, sent):
    """An id that was made: the client sent none that can be taken, or the server in front gives its own."""
    document = reply.document if isinstance(reply.document, dict) else {}
    own = reply.header("x-request-id") or document.get("requestId")
    return reply if not own or own in sent else replaced(reply, lambda text: text.replace(own, "<request-id>"))


def ids(reply, _):
    """UUIDs that the handlers made. Those of the starting state begin with eight zeros and are compared."""
    seen = {}
    return replaced(reply, lambda text: UUID.sub(lambda found: seen.setdefault(found[0], f"<uuid-{len(seen) + 1}>"), text))


def times(reply, _):
    """Times of this test: of the last hour or later. The times of the starting state are compared."""
    begin = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="milliseconds")
    return replaced(reply, lambda text: TIME.sub(lambda found: "<time>" if found[0] > begin else found[0], text))


def secrets(reply, _):
    """A session's random bits."""
    return replaced(reply, lambda text: re.sub(r"\b[0-9a-f]{32,64}\b", "<secret>", text))


def etags(reply, _):
    """A version of a row: the number of the transaction that changed it."""
    return Reply(reply.status, [(name, "<version>" if name == "etag" else value) for name, value in reply.headers], reply.body)


def seconds(reply, _):
    """The seconds until a limit admits again."""
    def without(name, value):
        if name in ("retry-after", "x-ratelimit-reset"):
            return "<seconds>"
        return re.sub(r";t=\d+", ";t=<seconds>", value) if name == "ratelimit" else value
    body = re.sub(rb'"retryAfterSeconds":\d+', b'"retryAfterSeconds":0', reply.body)
    return Reply(reply.status, [(name, without(name, value)) for name, value in reply.headers], body)


def encoding(reply, _):
    """The gateway compresses for clients that take it, and says so to caches. Elsewhere the web server in front does."""
    def without(name, value):
        return value.replace("Accept-Encoding, ", "") if name == "vary" else value
    return Reply(reply.status, [(name, without(name, value)) for name, value in reply.headers], reply.body)


def port(reply, _):
    """The port of /health."""
    return Reply(reply.status, reply.headers, re.sub(rb'"port":(\d+|null)', b'"port":0', reply.body))


RULES = [connection, request_id, ids, times, secrets, etags, seconds, encoding, port]


def replaced(reply, change):
    """The reply with its text changed. A body that is not text is left as it is."""
    text = reply.body.decode("utf-8", "surrogateescape")
    return Reply(reply.status, [(name, change(value)) for name, value in reply.headers], change(text).encode("utf-8", "surrogateescape"))


def comparable(reply, request, door):
    """What a reply of `door` and one of the reference must have in common."""
    sent = [value for name, value in request.headers if name.lower() == "x-request-id" and not door.gives_ids]
    for rule in RULES:
        reply = rule(reply, sent)
    hidden = ADDED if not door.adds_headers else None if door.limits else LIMITS
    headers = sorted((name, value) for name, value in reply.headers if not (hidden and hidden.fullmatch(name)))
    return Reply(reply.status, headers, b"" if request.method == "HEAD" else reply.body)
