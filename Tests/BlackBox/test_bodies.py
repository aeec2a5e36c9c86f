"""Random bodies. Whatever a field contains, the reply is that the lead is stored or what is wrong with it, never an
internal error."""

import json
import random

import pytest

import handlers
from capture_handlers import CAPTURES, by_name

FIELDS = [
    "customerName", "customerPhone", "customerEmail", "conversationId", "customerId", "intent", "budget", "propertyType", "preferredArea",
    "leadScore",
    "leadQuality", "tags", "notes", "leadScoreBreakdown", "metadata", "idempotencyKey", "consent", "messages", "message", "subject", "department",
    "propertyTitle",
    "propertyUrl", "propertyAddress", "expectedPrice", "propertyDescription", "urgency", "email", "source", "token", "status", "id", "receivedAt",
    "slaDeadline"]
UUID = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
TEXTS = [
    "", " ", "a", "Ab", "x" * 200, "x" * 201, "y" * 5000, "😀" * 200, "e" + "\u0301" * 190, "\u200b\u200b", "\ufeff", "\u202e\u2066", "\x7f\x01",
    "\u2028\u2029", "\uffff\U0010ffff",
    "\u1112\u1161\u11ab", "\u0958" * 100, "\ufb2c" * 200, "\u0390" * 200, "\U0001d160" * 150, "null", "NaN", "-0", "1e999", "9" * 200, "0x1p3",
    "\\", "\\u0000", "'", "\"", "$$", "{}", "[]",
    "%00", "<!channel>", "=1+1", UUID, UUID.upper(), UUID + " ", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "+971501234567", "0" * 32, "+" + "9" * 15,
    "a@example.com", "a@b", "2026-11-22T21:00:00Z", "2026-11-22T21:00:00.123456789+04:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "2026-02-30T00:00:00Z", "2026-11-22T24:00:00Z",
    "2016-12-31T23:59:60Z", "infinity", "-infinity", "epoch", "now", "hot", "buy", "bot", "https://example.com/x", "javascript:alert(1)",
    "http://[::1]/", "AED 1.5M - 2M", "٢٠٠٠٠٠٠", "1 crore", "k", "1e5k", "..", ",1,", "1" + "," * 199]
OTHERS = [None, True, False, 0, 1, -1, 100, 101, 2**31, 2**53 + 1, 2**63, 10**149, 0.5, 1e99, -1e-99, [], {}, [[]], [None], [{}], {"": ""},
    {"a": None}, ["a", "a"], ["x"] * 51]


def anything(dice, depth=0):
    kind = dice.random()
    if depth < 4 and kind < 0.15:
        return {dice.choice(TEXTS + FIELDS): anything(dice, depth + 1) for _ in range(dice.randint(0, 3))}
    if depth < 4 and kind < 0.25:
        return [anything(dice, depth + 1) for _ in range(dice.randint(0, 3))]
    return dice.choice(OTHERS) if kind < 0.4 else dice.choice(TEXTS)


def message(dice):
    return {
        "id": dice.choice([UUID, "m1", *TEXTS]), "messageText": dice.choice(TEXTS), "timestamp": dice.choice(TEXTS),
        "sender": dice.choice(["bot", "user", "customer", "agent"]),
        **({dice.choice(["messageType", "metadata", "timestamp", "id", "sender", "clientId"]): anything(dice)} if dice.random() < 0.4 else {})}


def body(dice, good):
    """A valid body in which a few fields contain anything. Enough of the bodies stay valid for many to be stored."""
    out = dict(good)
    for _ in range(dice.choice((1, 1, 2, 4))):
        field = dice.choice(FIELDS)
        out[field] = anything(dice)
    if dice.random() < 0.3:
        out["messages"] = [message(dice) for _ in range(dice.randint(0, 4))]
    if dice.random() < 0.4:
        out["metadata"] = {dice.choice(TEXTS): anything(dice), "device": anything(dice)}
    if dice.random() < 0.3:
        out["notes" if "message" not in good else "message"] = dice.choice(TEXTS)
    return out


def check(capture, database, seed, count):
    dice = random.Random(seed)
    bodies = [body(dice, capture.body) for _ in range(count)]
    lines = "".join(json.dumps(one, ensure_ascii=dice.random() < 0.5) + "\n" for one in bodies)
    done = handlers.run(capture.handler, lines.encode(errors="surrogatepass"), "--stream", seconds=55, DATABASE_URL=database.url)
    replies = handlers.lines(done.stdout)
    assert len(replies) == count, done.stderr[-1000:]
    wrong = [(one, reply["problem"]) for one, reply in zip(bodies, replies, strict=True) if "problem" in reply and reply["problem"]["status"] not in (400, 422)]
    assert not wrong, f"{len(wrong)} of {count} caused an internal error: {wrong[:3]}"
    taken = sum("id" in reply for reply in replies)
    assert count / 10 < taken < count, taken
    assert database.count("conversations") <= taken
    assert b"[ERROR]" not in done.stderr, done.stderr[-1000:]


@pytest.mark.parametrize("capture", CAPTURES, ids=by_name)
def test_no_body_causes_an_internal_error(database, capture, seed=5, count=1500):
    """Each body is stored or rejected with a reason. There is no database error, no crash and no error in the log."""
    check(capture, database, seed, count)
