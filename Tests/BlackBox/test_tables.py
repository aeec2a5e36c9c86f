"""The tables in Cases/tables: each row has a field of a submission and its stored value. One stream process runs a
whole table."""

import base64
import json
import unicodedata

import pytest

import handlers
import strict_json
from capture_handlers import CAPTURES
from common import CASES

LEAD = {"customerName": "Test User", "customerPhone": "+971501234567"}
# The fields whose unusable value is set aside beside a valid phone number: they do not identify the customer.
LENIENT = {"mail", "long"}
# handler: (a valid body, the table for each field). Add a new handler here.
PERSON = {"phones": "customerPhone", "mail": "customerEmail", "name": "customerName"}
FORMS = {
    "lead-capture": (LEAD, {**PERSON, "long": "notes"}),
    "contact-capture": ({**LEAD, "message": "Please call me"}, PERSON),
    "inquiry-capture": (LEAD, PERSON),
    "sell-capture": (LEAD, PERSON),
}
PATHS = {capture.handler: capture.path for capture in CAPTURES}
COLUMNS = {"customerPhone": "customer_phone", "customerEmail": "customer_email", "customerName": "customer_name", "notes": "notes"}


def whole(value):
    """A row with {before, of, times, after} expanded to a long string."""
    if isinstance(value, dict) and "times" in value:
        return value.get("before", "") + value["of"] * value["times"] + value.get("after", "")
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    return [whole(item) for item in value] if isinstance(value, list) else value


def table(name):
    return whole(json.loads((CASES / "tables" / f"{name}.json").read_text()))


PHONES, MAIL, TEXT, NUMBERS, KEYS = map(table, ("phones", "mail", "text", "numbers", "keys"))
ACCEPTED = {
    "phones": list(PHONES["accepted"].items()), "mail": [*MAIL["accepted"].items(), *((given, None) for given in MAIL["absent"])],
    "name": TEXT["name"], "long": TEXT["long"]}
REJECTED = {"phones": PHONES["rejected"], "mail": MAIL["rejected"], "name": TEXT["name-rejected"], "long": TEXT["long-rejected"]}


def rows(tables):
    """(handler, table, name of the row, row)."""
    for handler, (_, fields) in FORMS.items():
        for name in fields:
            entries = tables[name].items() if isinstance(tables[name], dict) else enumerate(tables[name])
            for key, row in entries:
                label = key if isinstance(key, str) else ascii(row[0] if isinstance(row, (list, tuple)) else row)[:40]
                yield pytest.param(handler, name, row, id=f"{handler}-{name}-{label}")


class Intake:
    """Sends many bodies through one stream and returns what was stored."""

    def __init__(self, database):
        self.database = database

    def send(self, handler, bodies):
        """The replies to bodies. A string is sent as it is."""
        lines = "".join((body if isinstance(body, str) else json.dumps(body)) + "\n" for body in bodies)
        done = handlers.run(handler, lines, "--stream", seconds=50, DATABASE_URL=self.database.url)
        replies = [strict_json.read(line) for line in done.stdout.splitlines()]
        assert len(replies) == len(bodies), done.stderr[-500:]
        return list(map(plain, replies))

    def stored(self, columns="*"):
        """The stored rows by conversation id. In base 64, because psql drops some characters."""
        text = self.database.text(
            f"""select encode(convert_to(coalesce(jsonb_object_agg(id, to_jsonb(c)), '{{}}')::text, 'UTF8'), 'base64')
                from (select {columns} from conversations) c""")
        return plain(strict_json.read(base64.b64decode(text)))


def plain(value):
    """Objects as dictionaries. Numbers stay strings."""
    if isinstance(value, strict_json.Members):
        return {key: plain(item) for key, item in value}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def intake(cluster):
    database = cluster.migrated()
    yield Intake(database)
    cluster.drop(database)


@pytest.fixture(scope="module")
def fields(intake):
    """The result of every row of the field tables: (reply, stored row) by handler, table and given value."""
    outcomes = {}
    for handler, (body, names) in FORMS.items():
        given = [(name, row[0]) for name in names for row in (ACCEPTED[name].values() if isinstance(ACCEPTED[name], dict) else ACCEPTED[name])]
        given += [(name, row) for name in names for row in (REJECTED[name].values() if isinstance(REJECTED[name], dict) else REJECTED[name])]
        replies = intake.send(handler, [{**body, names[name]: value} for name, value in given])
        kept = intake.stored()
        for (name, value), reply in zip(given, replies, strict=True):
            outcomes[handler, name, json.dumps(value)] = reply, kept.get(reply.get("id"))
    return outcomes


@pytest.mark.parametrize("handler, name, row", rows(ACCEPTED))
def test_accepts_a_field(fields, handler, name, row):
    """The field is stored in its normal form. The reply has the same value if it contains the field."""
    given, expected = row
    field = FORMS[handler][1][name]
    reply, stored = fields[handler, name, json.dumps(given)]
    assert "id" in reply, reply
    assert stored[COLUMNS[field]] == expected
    if "conversation" in reply:
        assert reply["conversation"].get(field) == expected


@pytest.mark.parametrize("handler, name, row", rows(REJECTED))
def test_rejects_a_field(fields, handler, name, row):
    """The only error names the field, and nothing is stored. A field that does not identify the customer is set aside."""
    field = FORMS[handler][1][name]
    reply, stored = fields[handler, name, json.dumps(row)]
    if name in LENIENT:
        assert [warning["path"] for warning in reply["warnings"]] == [field], reply
        assert stored[COLUMNS[field]] is None and list(stored["metadata"]["setAside"]) == [field]
        return
    assert "problem" in reply, f"stored {stored and stored[COLUMNS[field]]!r}"
    assert reply["problem"]["status"] == "400" and [error["path"] for error in reply["problem"]["details"]] == [field], reply


@pytest.mark.parametrize("written, meant", [
    ("0971501234567", "+971501234567"), ("0 971 50 123 4567", "+971501234567"), ("1 415 555 2671", None), ("+97150123456789", None)])
def test_local_numbers_have_a_possible_length(intake, written, meant):
    """A number is read as intended or rejected. An impossible number is never stored."""
    reply = intake.send("lead-capture", [{**LEAD, "customerPhone": written}])[0]
    if "problem" in reply:
        assert reply["problem"]["status"] == "400"
    else:
        assert reply["conversation"]["customerPhone"] == meant


# ── Numbers: in the score, in metadata, in a budget ──

def with_raw(body, field, raw):
    """The body with one more field, whose value is JSON text that Python could not write."""
    return json.dumps(body)[:-1] + f', "{field}": {raw}}}'


@pytest.fixture(scope="module")
def scores(intake):
    given = [*NUMBERS["score"], *NUMBERS["score-rejected"], *NUMBERS["score-invalid-json"]]
    replies = intake.send("lead-capture", [with_raw(LEAD, "leadScore", raw) for raw in given])
    kept = intake.stored("id, lead_score")
    return {raw: (reply, kept.get(reply.get("id"))) for raw, reply in zip(given, replies, strict=True)}


@pytest.mark.parametrize("raw", NUMBERS["score"])
def test_accepts_a_score(scores, raw):
    reply, stored = scores[raw]
    assert reply["conversation"]["leadScore"] == stored["lead_score"] == raw


@pytest.mark.parametrize("raw", NUMBERS["score-rejected"] + NUMBERS["score-invalid-json"], ids=lambda raw: raw[:30])
def test_never_stores_an_invalid_score(scores, raw):
    """A score is never rounded, cut or wrapped. It is set aside, or the document is invalid JSON."""
    reply, stored = scores[raw]
    if raw in NUMBERS["score-invalid-json"]:
        assert reply.get("problem", {}).get("code") == "malformed_json" and stored is None, reply
    else:
        assert [warning["path"] for warning in reply["warnings"]] == ["leadScore"], reply
        assert reply["conversation"]["leadScoreBreakdown"]["source"] == "server"


def test_numbers_in_metadata_keep_their_text(intake):
    """The reply has the numbers as they were sent. The database has the same values."""
    given = NUMBERS["metadata"]
    reply = intake.send("lead-capture", [with_raw(LEAD, "metadata", '{"n": [' + ", ".join(given) + "]}")])[0]
    assert reply["conversation"]["metadata"]["n"] == given
    sums = intake.database.text("select count(*) from conversations, jsonb_array_elements(metadata -> 'n') with ordinality as k (v, i)"
                                f" where id = '{reply['id']}'"
                                f" and v::numeric = (array[{', '.join(given)}]::numeric[])[i]")
    assert sums == str(len(given))


@pytest.fixture(scope="module")
def budgets(intake):
    given = NUMBERS["budget"] + NUMBERS["budget-at-most"]
    replies = intake.send("lead-capture", [{**LEAD, "intent": intent, "budget": text} for intent, text, _ in given])
    return {(intent, text): reply for (intent, text, _), reply in zip(given, replies, strict=True)}


@pytest.mark.parametrize("intent, text, points", NUMBERS["budget"], ids=lambda value: ascii(value)[:30])
def test_scores_a_budget(budgets, intent, text, points):
    """Points on the scale of the intent. A budget that cannot be parsed scores nothing and is stored as it was sent."""
    conversation = budgets[intent, text]["conversation"]
    assert (conversation["leadScoreBreakdown"]["budget"], conversation["budget"]) == (str(points), text)


@pytest.mark.parametrize("intent, text, points", NUMBERS["budget-at-most"], ids=lambda value: ascii(value)[:30])
def test_scores_an_unclear_budget_low(budgets, intent, text, points):
    assert int(budgets[intent, text]["conversation"]["leadScoreBreakdown"]["budget"]) <= points


# ── Idempotency keys ──

KEY_ROWS = [(name, key, True) for name, key in KEYS["accepted"].items()] + [(name, key, False) for name, key in KEYS["rejected"].items()]
KEY_ROWS_OF_A_BODY = [(name, key, False) for name, key in KEYS["rejected-in-a-body"].items()] + [(name, key, None) for name,
    key in KEYS["absent-in-a-body"].items()]


def inner(reply):
    """The content of a reply, enveloped or bare."""
    said = plain(strict_json.read(reply["body"].encode())) if "statusCode" in reply else reply
    return said.get("problem", said)


@pytest.fixture(scope="module")
def keyed(intake):
    """The replies to each key, sent twice in a header and twice in a body."""
    outcomes = {}
    for handler, (body, _) in FORMS.items():
        ways = {
            "header": [(name, handlers.envelope(body, path=PATHS[handler], headers={"idempotency-key": key})) for name, key, _ in KEY_ROWS],
            "body": [(name, {**body, "idempotencyKey": key}) for name, key, _ in KEY_ROWS + KEY_ROWS_OF_A_BODY]}
        for way, sent in ways.items():
            intake.database.wipe()
            replies = intake.send(handler, [given for _, given in sent for _ in range(2)])
            for n, (name, _) in enumerate(sent):
                outcomes[handler, way, name] = [inner(reply) for reply in replies[2 * n:2 * n + 2]]
    return outcomes


@pytest.mark.parametrize("handler", FORMS)
@pytest.mark.parametrize("place, name, accepted", [
    *(("header", name, accepted) for name, _, accepted in KEY_ROWS), *(("body", name, accepted) for name, _, accepted in KEY_ROWS + KEY_ROWS_OF_A_BODY)])
def test_idempotency_key(keyed, handler, place, name, accepted):
    """With 1 to 200 visible ASCII characters, the second reply equals the first. Any other key is rejected by name."""
    if accepted is False:
        for reply in keyed[handler, place, name]:
            assert [error["path"] for error in reply["details"]] == ["idempotencyKey"], reply
    else:
        first, again = keyed[handler, place, name]
        assert (first["id"] == again["id"]) == (accepted is True)


# ── One Unicode form ──

def test_normalises_every_character_to_nfc(intake):
    """Each assigned character alone, after a letter and between marks. The handler's NFC must equal Python's, and the
    stored value too."""
    samples = []
    for code in range(0xA0, 0x110000):
        character = chr(code)
        category = unicodedata.category(character)
        if category in ("Cn", "Cs", "Co", "Cc") or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069:
            continue
        # Characters that never change are sampled.
        if unicodedata.decomposition(character) or unicodedata.combining(character) or category[0] == "M" or code % 97 == 0:
            samples.append(f"{character} a{character} {character}\u0323\u0301 \u1100{character}")
    # Not U+11A7, which is not a trailing consonant: PostgreSQL 15 treats it as one and loses it.
    samples += [f"\u1100{chr(0x1161 + n % 21)}{chr(0x11A8 + n % 27)} {chr(0xAC00 + 28 * n)}\u11a8" for n in range(399)]
    notes = ["x " + " | ".join(samples[n:n + 200]) + " x" for n in range(0, len(samples), 200)]
    replies = intake.send("lead-capture", [{**LEAD, "notes": note} for note in notes])
    stored = intake.stored("id, notes")
    for note, reply in zip(notes, replies, strict=True):
        expected = unicodedata.normalize("NFC", note)
        said = reply["conversation"]["notes"]
        wrong = [(ascii(a), ascii(b)) for a, b in zip(expected.split(" | "), said.split(" | "), strict=True) if a != b]
        assert not wrong, f"in the reply: {wrong[:5]}"
        kept = stored[reply["id"]]["notes"]
        wrong = [(ascii(a), ascii(b)) for a, b in zip(expected.split(" | "), kept.split(" | "), strict=True) if a != b]
        assert not wrong, f"in the database: {wrong[:5]}"
