"""How the product's JSON parser reads a document. A notifier passes a delivery of another channel through unchanged,
with every unknown member, so that a document inside such a line comes back as it was parsed. No database is needed."""

import base64
import json

import handlers

HANDLER = "notify-slack"
LINE = {
    "id": "00000000-0000-4000-8000-0000000000d1", "fence": 3, "attempt": 1, "channel": "email", "recipient": "default",
    "eventType": "lead.created", "eventAt": "2026-11-22T21:00:00.000Z", "payload": {}}
# The line itself is one level of nesting.
BEFORE, AFTER = json.dumps(LINE)[:-1].encode() + b',"document":', b"}"


def inside(document):
    return BEFORE + document + AFTER


def bodies(documents):
    """The replies to documents as bodies of envelopes in base 64, so that any bytes can be sent. (status, body) of
    each."""
    lines = (
        b'{"requestContext":{"http":{"method":"POST"}},"headers":{"content-type":"application/json"},'
        b'"isBase64Encoded":true,"body":"' + base64.b64encode(document) + b'"}\n' for document in documents)
    done = handlers.run(HANDLER, b"".join(lines), "--stream", seconds=50)
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(replies) == len(documents), f"{len(documents)} lines, {len(replies)} replies: {done.stderr[-500:]}"
    return [(reply["statusCode"], reply["body"].encode()) for reply in replies]


def bare(documents):
    """The replies to documents as bare lines."""
    done = handlers.run(HANDLER, b"".join(document + b"\n" for document in documents), "--stream", seconds=50)
    replies = done.stdout.splitlines()
    assert len(replies) == len(documents), f"{len(documents)} lines, {len(replies)} replies: {done.stderr[-500:]}"
    return replies


def is_read(status, body):
    """True if the parser accepted the document, whatever the notifier then did with it."""
    return status == 200 or json.loads(body)["code"] == "invalid_delivery"
