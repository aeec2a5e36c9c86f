"""What the schemas mean beyond JSON Schema's vocabulary, for schemathesis. Runs in schemathesis' Python, not in
pytest's."""

import datetime
import itertools
import math
import re
import unicodedata

import schemathesis
from hypothesis import strategies as st

# `format: phone`: phone numbers of several countries in common notations.
home = st.from_regex(r"(00971|\+971 ?|971|0|)5[0-9] ?[0-9]{3}[- ]?[0-9]{4}", fullmatch=True)
abroad = st.from_regex(r"(\+|00|tel:\+)(44|49|91|1) ?[2-9][0-9]{2}([ ./-]?[0-9]{3}){2}[0-9]?", fullmatch=True)
schemathesis.openapi.format("phone", home | abroad)

# Formats of which JSON Schema cannot say which values are rejected. A cursor belongs to its list, so no invented cursor
# is sent.
days = st.dates(datetime.date(1971, 1, 1), datetime.date(2099, 12, 31)).map(str)
moments = st.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2099, 12, 31)).map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z")
schemathesis.openapi.format("day-or-time", days | moments)
schemathesis.openapi.format("day-at-the-start", st.dates(datetime.date(2020, 1, 1), datetime.date(2022, 12, 31)).map(str))
schemathesis.openapi.format("day-at-the-end", st.dates(datetime.date(2024, 1, 1), datetime.date(2026, 11, 30)).map(str))
schemathesis.openapi.format("range", st.lists(st.integers(0, 100), min_size=2, max_size=2).map(lambda ends: "{}:{}".format(*sorted(ends))))
schemathesis.openapi.format("time-zone", st.sampled_from(["Asia/Dubai", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "UTC"]))
schemathesis.openapi.format("cursor", st.just(""))
schemathesis.openapi.format("json-filters", st.sampled_from(["{}", '{"status": ["new"]}', '{"scoreRange": [10, 90], "tags": ["vip"]}']))

clients = itertools.count(1)

REMOVED = {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)} - {0x09, 0x0A}
# Whitespace for one of these only: JSON Schema's regular expressions, Python, Unicode.
DISPUTED = {0x1C, 0x1D, 0x1E, 0x1F, 0x85, 0xFEFF}


def is_plain(text):
    """True if cleaning leaves the string unchanged, and every parser agrees on whether it has visible content."""
    if any(ord(sign) in REMOVED | DISPUTED for sign in text) or unicodedata.normalize("NFC", text) != text:
        return False
    # Marks, joiners and fillers alone are invisible.
    return not text or text == text.strip() and any(unicodedata.category(sign)[0] in "LNPS" for sign in text)


def members(schema):
    """The names of all members in a schema."""
    if isinstance(schema, list):
        return set().union(*map(members, schema))
    if not isinstance(schema, dict):
        return set()
    return {*schema.get("properties", {})}.union(*map(members, schema.values()))


def is_sayable(value, known, name=None):
    """True if JSON Schema can express exactly which values are accepted here. Members outside the schema are
    ignored."""
    match value:
        case dict():
            return all(is_sayable(item, known, key) for key, item in value.items())
        case list():
            return all(is_sayable(item, known, name) for item in value)
        # These must be in the future.
        case str() if name in ("followUpDate", "expiresAt") and value[:4].isdigit() and int(value[:4]) <= datetime.datetime.now(datetime.UTC).year:
            return False
        case str():
            return name not in known or is_plain(value)
        case bool() | None:
            return True
        # An integer is written in digits. For JSON Schema, 85.0 is an integer too.
        case float() if name in known and value.is_integer():
            return False
        # Money has at most two decimal places, which JSON Schema cannot express for binary fractions.
        case float() if name in known and name == "conversionValue":
            return round(value, 2) == value and "e" not in repr(value)
        # The product keeps the digits of a number and rejects exponents of three digits (RFC 8259, section 9).
        case _:
            return value == 0 or math.isfinite(value) and 1e-90 < abs(value) < 1e90


def accepts_any_length(schema):
    """True if one branch of an anyOf does not limit the list: a list that is too long is set aside, with a warning."""
    return any(branch.keys() <= {"description", "items"} for branch in schema.get("anyOf", []))


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops failures about whether a request is accepted if the request contains a string that cleaning changes
    (lengths count the cleaned string), a number beyond the supported range, a time that may be in the past, or a
    cursor. BlackBox/test_tables.py, test_json.py, test_bodies.py and the Cases test such requests. All other failures
    are kept."""
    if type(failure).__name__ not in ("AcceptedNegativeData", "RejectedPositiveData"):
        return True
    # Cursors come from earlier replies and cannot be invented.
    if type(failure).__name__ == "RejectedPositiveData" and {"cursor", "lastEventId", "Last-Event-ID"} & {*(case.query or {}), *(case.headers or {})}:
        return False
    # Which of two random times is later is chance.
    if type(failure).__name__ == "RejectedPositiveData" and {"since", "until"} <= {*(case.query or {})}:
        return False
    # A search for invisible characters is an empty search.
    if type(failure).__name__ == "RejectedPositiveData" and not is_plain(str((case.query or {}).get("query", ""))):
        return False
    request_body = case.operation.definition.raw.get("requestBody", {})
    # The coverage phase breaks one branch of an anyOf, although the other branch accepts a list of any length.
    named = re.search(r"in body - (\w+): Array with more items", str(failure.message))
    if named and accepts_any_length(request_body["content"]["application/json"]["schema"].get("properties", {}).get(named[1], {})):
        return False
    known = members(request_body)
    return not isinstance(case.body, dict) or is_sayable(case.body, known)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Each request comes from another client, according to the trusted proxy, because wrong keys are counted by
    address."""
    number = next(clients)
    case.headers = {**(case.headers or {}), "X-Forwarded-For": f"203.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
