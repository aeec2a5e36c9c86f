"""Runs a case and compares the result with its expectations."""

import contextlib
import json
import re

import handlers
from common import untimed

PLACEHOLDERS = {
    "<uuid>": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "<time>": r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z",
    "<any>": r"(?s:.+)",
}


def changes_the_schema(case):
    """True if the SQL of a case does more than add rows. Such a case needs a database of its own."""
    return re.search(r"\b(drop|alter|create)\b", case.before, re.IGNORECASE) is not None


def run(case, database):
    """Runs the handler once. `database` is an empty migrated database, or None if the case has none."""
    settings = dict(case.settings)
    if case.database:
        settings["DATABASE_URL"] = database.url
        if case.before:
            database.run(case.before)
    return handlers.run(case.handler, case.stdin, *case.arguments, **settings)


def text_matches(expected, actual):
    """True if the string matches. A placeholder stands for what differs from run to run."""
    pattern = re.escape(expected)
    for placeholder, meaning in PLACEHOLDERS.items():
        pattern = pattern.replace(re.escape(placeholder), meaning)
    return re.fullmatch(pattern, actual) is not None


def matches(expected, actual):
    """True if the document matches. An object or a list in place of a string is compared with the JSON in that string."""
    if expected == "<any>":
        return True
    if isinstance(expected, dict | list) and isinstance(actual, str):
        with contextlib.suppress(ValueError):
            return matches(expected, json.loads(actual))
        return False
    if isinstance(expected, dict) and isinstance(actual, dict):
        return expected.keys() == actual.keys() and all(matches(expected[key], actual[key]) for key in expected)
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(matches, expected, actual))
    if isinstance(expected, str) and isinstance(actual, str):
        return text_matches(expected, actual)
    return type(expected) is type(actual) and expected == actual


def check(case, done, database):
    """Compares exit status, stdout, log and rows with the case. Fails also if the log contains a name, phone number or
    email address of stdin."""
    errors = done.stderr.decode()
    story = f"exit {done.returncode}\n{done.stdout.decode()}\n{errors}"
    assert done.returncode == case.exit, f"expected exit {case.exit}\n{story}"
    written = handlers.lines(done.stdout)
    assert matches(case.writes, written), f"expected {json.dumps(case.writes, ensure_ascii=False, indent=1)}\n{story}"
    if case.required is not None:
        assert written[0]["input"].get("required", []) == case.required, f"expected to require {case.required}\n{story}"
    log = [untimed(line) for line in errors.splitlines()]
    for line in case.log:
        assert any(text_matches(line, said) for said in log), f"no line {line!r} in the log\n{story}"
    for secret in canaries(case.stdin):
        assert secret not in errors, f"{secret!r} is in the log\n{story}"
    for query, rows in case.after:
        found = database.text(query)
        assert text_matches(rows, found), f"{query}\nexpected\n{rows}\nfound\n{found}\n{story}"


def canaries(given):
    """The names, phone numbers and email addresses on stdin. The log must contain none of them."""
    found = set()

    def look(value):
        if isinstance(value, dict):
            for key, item in value.items():
                if key in ("customerName", "customerPhone", "customerEmail") and isinstance(item, str) and len(item) > 4:
                    found.add(item)
                look(item)
        elif isinstance(value, list):
            for item in value:
                look(item)
        elif isinstance(value, str) and value.startswith("{"):
            with contextlib.suppress(ValueError):
                look(json.loads(value))

    text = given.decode(errors="replace")
    for document in [*text.splitlines(), text]:
        with contextlib.suppress(ValueError, RecursionError):
            look(json.loads(document))
    return found
