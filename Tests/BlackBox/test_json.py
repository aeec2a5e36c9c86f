"""How documents are parsed: the real binary is compared with a table, with a second parser in Python, and with
PostgreSQL."""

import base64
import json
import random
from decimal import Decimal

import pytest
from json_table import BROKEN, READ, STRICTER

import echo
import strict_json

NAMES = sorted(READ) + sorted(STRICTER) + sorted(BROKEN)
TABLE = {**READ, **STRICTER, **BROKEN}


@pytest.fixture(scope="module")
def replies():
    """The product's replies to the table: each document as a body, as a bare line if it has one line, and inside a
    line."""
    lines = [name for name in NAMES if b"\n" not in TABLE[name] and TABLE[name].strip(b" \r")]
    shallow = [name for name in READ if strict_json.depth(strict_json.read(READ[name])) < strict_json.DEPTH]
    return {
        "body": dict(zip(NAMES, echo.bodies([TABLE[name] for name in NAMES]), strict=True)),
        "line": dict(zip(lines, echo.bare([TABLE[name] for name in lines]), strict=True)),
        "inside": dict(zip(shallow, echo.bodies([echo.inside(READ[name]) for name in shallow]), strict=True)),
    }


def test_table_has_at_least_250_documents():
    assert len(READ) + len(STRICTER) + len(BROKEN) == len(TABLE) >= 250


@pytest.mark.parametrize("name", NAMES)
def test_parses_each_document_of_the_table(replies, name):
    """A document is accepted or rejected as the table says, in each form of input, and keeps its meaning."""
    status, body = replies["body"][name]
    story = f"{TABLE[name][:80]!r}: {body[:300]!r}"
    assert echo.is_read(status, body) == (name in READ), story
    if line := replies["line"].get(name):
        assert (b"malformed_json" not in line) == (name in READ), line
    if name in replies["inside"]:
        status, body = replies["inside"][name]
        assert status == 200, body
        assert strict_json.same(dict(strict_json.read(body))["document"], strict_json.read(READ[name])), body


@pytest.mark.parametrize("name", NAMES)
def test_python_parser_agrees_with_the_table(name):
    try:
        strict_json.read(TABLE[name])
        assert name in READ
    except strict_json.Refused:
        assert name not in READ


# ── Random documents ──

ALPHABET = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"\n", b"\t", b"\r", b"0", b"1", b"9", b"-", b"+", b".", b"e", b"E", b"/",
    b"u", b"a", b"\\u", b"\\u0000", b"\\u0061", b"\\ud83d", b"\\ude00", b"\\ud83d\\ude00", b"\\n", b"\\/", b"true", b"null",
    b"false", b"NaN", b'"a":', b'"a"', b"\x00", b"\x01", b"\x1f", b"\x7f", b"\x80", b"\xff", b"\xc3", b"\xa9", b"\xc3\xa9",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf0\x9f\x98\x80", b"\xc0\x80", b"\xe2\x80\xa8", b"1e99", b"1e100", b"e-99", b"0.0", b"-0",
    b"9223372036854775808", b"0" * 40, b"1" * 110,
    b"[[[[[[[[", b"]]]]]]]]", b'{"":{"":']
CHARACTERS = list("aZ09 _-/\"\\{}[]:,é\u0301\u0645\u200d\u202e\u2028\ufeff\U0001f600\u007f\u0085\ufffd\uffff\U0010ffff")


def text(dice):
    """A string in any possible notation: each character raw or escaped."""
    out = []
    for _ in range(dice.choice((0, 1, 1, 2, 3, 8))):
        character = dice.choice(CHARACTERS)
        if character in '"\\' or dice.random() < 0.25:
            units = character.encode("utf-16-be")
            escape = "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))
            out.append(escape.replace("a", "A") if dice.random() < 0.3 else escape)
        else:
            out.append(character)
    if dice.random() < 0.03:
        out.append(dice.choice(["\\u0000", "\\ud800", "\\udc00", "\\b\\f\\r\\t", "\\x"]))
    return '"' + "".join(out) + '"'


def number(dice):
    whole = dice.choice(["0", "-0", "7", "-13", str(dice.getrandbits(64)), "1" * dice.choice((20, 36, 37, 148, 149, 150, 151))])
    fraction = dice.choice(["", "", "", ".0", ".50", "." + "3" * dice.choice((1, 20, 147))])
    exponent = dice.choice(["", "", "", "", "e1", "E+09", "e-99", "e99", "e100", "e007"])
    return whole + fraction + exponent


def document(dice, depth=0):
    kind = dice.random()
    if depth < 6 and kind < 0.45 or depth == 0 and kind < 0.9:
        blank = dice.choice(["", "", "", " ", "\n", "\t \r"])
        if dice.random() < 0.5:
            items = [document(dice, depth + 1) for _ in range(dice.choice((0, 1, 2, 3)))]
            return "[" + blank + ("," + blank).join(items) + blank + "]"
        names = [text(dice) if dice.random() < 0.5 else f'"{dice.choice("abcdefghijklmnop")}"' for _ in range(dice.choice((0, 1, 2, 4)))]
        return "{" + blank + ",".join(f"{name}{blank}:{document(dice, depth + 1)}" for name in names) + blank + "}"
    if kind < 0.6:
        return dice.choice(["true", "false", "null"])
    return number(dice) if kind < 0.8 else text(dice)


def deep(dice):
    """Nesting close to the limit, on either side of it."""
    levels = [dice.choice([("[", "]"), ('{"a":', "}"), ('[0,{"b":', "}]")]) for _ in range(dice.randint(13, 34))]
    return "".join(a for a, _ in levels) + "1" + "".join(b for _, b in reversed(levels))


def mutated(dice, one, other):
    """A document with a few bytes changed."""
    out = bytearray(one)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        at, to = sorted((dice.randint(0, len(out)), dice.randint(0, len(out))))
        to = min(to, at + 12)
        change = dice.random()
        if change < 0.35:
            out[at:at] = dice.choice(ALPHABET)
        elif change < 0.5 and at < len(out):
            out[at] = dice.getrandbits(8)
        elif change < 0.6 and at < len(out):
            out[at] ^= 1 << dice.randrange(8)
        elif change < 0.75:
            del out[at:at + dice.choice((1, 1, 2, 5))]
        elif change < 0.85:
            out[at:at] = out[at:to]
        elif change < 0.9:
            del out[at:]
        elif change < 0.95:
            out[at:to] = dice.choice(ALPHABET)
        else:
            out[at:at] = other[:dice.randint(0, len(other))]
    return bytes(out)


def documents(seed, count):
    """Valid documents, valid documents with a few bytes changed, sequences of tokens, and mutations of the table."""
    dice = random.Random(seed)
    table = list(TABLE.values())
    valid = [b"{}"]
    out = []
    for _ in range(count):
        kind = dice.random()
        if kind < 0.35:
            valid.append(document(dice).encode())
            out.append(valid[-1])
        elif kind < 0.4:
            out.append(deep(dice).encode())
        elif kind < 0.8:
            out.append(mutated(dice, dice.choice(valid[-50:]), dice.choice(valid[-50:])))
        elif kind < 0.9:
            out.append(mutated(dice, dice.choice(table)[:2000], dice.choice(valid[-50:])))
        else:
            out.append(b"".join(dice.choice(ALPHABET) for _ in range(dice.randint(1, 12))))
    return out


def verdict(document):
    try:
        return strict_json.read(document), None
    except strict_json.Refused as reason:
        return None, reason


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_agrees_with_the_python_parser(seed, count=10_000):
    """Both parsers accept a document with the same value, or both reject it."""
    given = documents(seed, count)
    verdicts = [verdict(document) for document in given]
    wrong = [
        (document, reason, body[:200])
        for document, (_, reason), (status, body) in zip(given, verdicts, echo.bodies(given), strict=True) if echo.is_read(status, body) != (reason is None)]
    assert not wrong, f"{len(wrong)} are parsed differently: {wrong[:5]}"

    taken = [(document, value) for document, (value, reason) in zip(given, verdicts, strict=True)
             if reason is None and strict_json.depth(value) < strict_json.DEPTH]
    assert len(given) / 4 < len(taken) < len(given) / 1.25, len(taken)
    for (document, value), (status, body) in zip(taken, echo.bodies([echo.inside(document) for document, _ in taken]), strict=True):
        assert status == 200, (document, body)
        assert strict_json.same(dict(strict_json.read(body))["document"], value), (document, body)


def meaning(value):
    """What jsonb keeps of a value: the value of a number, and an object without its order."""
    if isinstance(value, strict_json.Members):
        return {key: meaning(item) for key, item in value}
    if isinstance(value, list):
        return [meaning(item) for item in value]
    return ("number", Decimal(value)) if isinstance(value, (strict_json.Number, Decimal)) else value


def test_postgresql_agrees_on_accepted_documents(cluster):
    """PostgreSQL parses every stored body too. It must accept every document that the product accepts, with the same
    meaning."""
    given = documents(4, 9_000) + list(READ.values())
    taken = [(text, value) for text, (value, reason) in zip(given, map(verdict, given), strict=True) if reason is None]
    texts = json.dumps([text.decode() for text, _ in taken])
    assert "$documents$" not in texts
    # In base 64, because psql drops some characters, such as U+10FFFF.
    answer = cluster.database("postgres").text(
        "select encode(convert_to(jsonb_agg(t::jsonb order by n)::text, 'UTF8'), 'base64')"
        f" from json_array_elements_text($documents${texts}$documents$) with ordinality as sent (t, n)")
    stored = json.loads(
        base64.b64decode(answer), object_pairs_hook=strict_json.Members, parse_int=strict_json.Number, parse_float=strict_json.Number)
    assert len(stored) == len(taken) > 2_500
    for (text, value), kept in zip(taken, stored, strict=True):
        assert meaning(value) == meaning(kept), text
