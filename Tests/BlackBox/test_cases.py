"""Every folder Cases/HANDLER/SENTENCE is one run of the real binary; Tests/README.md says what its files mean."""

import contextlib
import io
import json
import re
import runpy

import pytest

import handlers
from parts import CASES, untimed

FOLDERS = sorted(path.parent for path in CASES.glob("*/*/exit"))
PLACEHOLDERS = {
    "<uuid>": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "<time>": r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z",
    "<any>": r"(?s:.+)",
}


def read(folder, name):
    path = folder / name
    return path.read_text() if path.exists() else None


def text_matches(expected, actual):
    """Whether a text is as expected, where a placeholder stands for what differs from run to run."""
    pattern = re.escape(expected)
    for placeholder, meaning in PLACEHOLDERS.items():
        pattern = pattern.replace(re.escape(placeholder), meaning)
    return re.fullmatch(pattern, actual) is not None


def matches(expected, actual):
    if expected == "<any>":
        return True
    if isinstance(expected, dict) and isinstance(actual, str):
        # A body travels as text inside its envelope.
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


def stdin(folder):
    for name in ("stdin.json", "stdin.ndjson"):
        if (folder / name).exists():
            return (folder / name).read_bytes()
    if (folder / "stdin.py").exists():
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            runpy.run_path(str(folder / "stdin.py"))
        return printed.getvalue().encode()
    return b""


def canaries(given):
    """The names, telephone numbers and mail addresses that stdin holds: the log must hold none of them."""
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

    for line in given.decode(errors="replace").splitlines() or [""]:
        with contextlib.suppress(ValueError, RecursionError):
            look(json.loads(line))
    with contextlib.suppress(ValueError, RecursionError):
        look(json.loads(given))
    return found


@pytest.fixture(scope="module")
def shared_database(cluster):
    return cluster.migrated()


def own_database(before, request):
    """An empty migrated database; a clone of its own where the case changes more than rows."""
    if re.search(r"\b(drop|alter|create)\b", before, re.IGNORECASE):
        return request.getfixturevalue("database")
    database = request.getfixturevalue("shared_database")
    database.wipe()
    return database


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_case(folder, request):
    environment = json.loads(read(folder, "env.json") or "{}")
    database = None
    if environment.get("DATABASE_URL", "") == "":
        database = own_database(read(folder, "before.sql") or "", request)
        environment["DATABASE_URL"] = database.url
    # A null takes a setting away.
    environment = {name: value for name, value in environment.items() if value is not None}
    if before := read(folder, "before.sql"):
        database.run(before)
    arguments = (read(folder, "args") or "").split()
    given = stdin(folder)

    done = handlers.run(folder.parent.name, given, *arguments, **environment)

    story = f"exit {done.returncode}\n{done.stdout.decode()}\n{done.stderr.decode()}"
    assert done.returncode == int(read(folder, "exit")), story
    expected = [json.loads(line) for line in (read(folder, "stdout.ndjson") or "").splitlines()]
    if document := read(folder, "stdout.json"):
        expected = [json.loads(document)]
    written = handlers.lines(done.stdout)
    assert matches(expected, written), f"expected {json.dumps(expected, ensure_ascii=False, indent=1)}\n{story}"
    log = [untimed(line) for line in done.stderr.decode().splitlines()]
    for line in (read(folder, "stderr") or "").splitlines():
        assert any(text_matches(line, said) for said in log), f"no line {line!r} in the log\n{story}"
    for secret in canaries(given):
        assert secret not in done.stderr.decode(), f"{secret!r} is in the log\n{story}"
    if query := read(folder, "after.sql"):
        assert text_matches(read(folder, "after.txt").rstrip("\n"), database.text(query)), database.text(query)


def test_every_handler_has_cases():
    from parts import HANDLERS
    assert {path.name for path in HANDLERS.iterdir()} == {path.parent.name for path in FOLDERS}
