"""Handlers that a person starts: help, usage at a terminal, refusals on stderr, and the summary of a stream."""

import json

import pytest

import handlers
from common import HANDLERS, TEST_USER, untimed
from terminal import Terminal

NAMES = sorted(path.name for path in HANDLERS.glob("[!.]*"))


def described(name):
    return json.loads(handlers.run(name, b"", "--describe").stdout)


@pytest.mark.parametrize("name", NAMES)
def test_prints_help_and_version_without_settings(name):
    helped = handlers.run(name, b"", "--help")
    assert (helped.returncode, helped.stderr) == (0, b"")
    text = helped.stdout.decode()
    assert text.startswith(f"usage: {name} ") and described(name)["summary"] in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100
    assert handlers.run(name, b"", "-h").stdout == helped.stdout
    version = handlers.run(name, b"", "--version")
    assert (version.returncode, version.stdout.decode()) == (0, f"{name} 0.1.0\n")


@pytest.mark.parametrize("name", NAMES)
def test_prints_usage_on_a_terminal_if_it_needs_input(name):
    with Terminal(str(HANDLERS / name)) as terminal:
        status = terminal.end()
    assert "ends too early" not in terminal.seen
    description = described(name)
    required = any(schema.get("required") or schema.get("anyOf") for schema in (description["input"], description.get("query", {})))
    named = bool(description["routes"]) and all("{" in route["path"] for route in description["routes"])
    needs_input = required or named
    assert (status == 64) == needs_input == terminal.seen.startswith(f"usage: {name} "), terminal.seen


@pytest.mark.parametrize("words, word", [
    (["--strem"], "--strem"), (["lead.json"], "lead.json"), (["version"], "version"), (["--stream", "lead.json"], "lead.json"),
    (["--stream", "--describe"], "--describe"), (["-"], "-"), (["a\x1b[31m\tb"], "a[31m b"),
], ids=str)
def test_unexpected_argument_is_named(words, word):
    done = handlers.run("lead-capture", TEST_USER, *words)
    assert (done.returncode, done.stdout) == (64, b"")
    assert done.stderr.decode().splitlines() == [
        f"lead-capture: unexpected argument {word}; the document is read from stdin",
        "usage: lead-capture [--stream | --describe | --version | --help]"]


def test_help_wins_over_other_arguments():
    for words in (["--stream", "--help"], ["lead.json", "-h"]):
        done = handlers.run("lead-capture", b"", *words)
        assert done.returncode == 0 and done.stdout.startswith(b"usage: lead-capture ")


@pytest.mark.parametrize("document, said", [
    (b'{"key": ""}', "key must have 1 to 200 characters"), (b"{", "the body is not valid JSON"), (b"", "the body is not valid JSON"),
    (b'{"key": "a", "limit": "x", "time": "y"}', "; "),
], ids=["field", "json", "empty", "two-fields"])
def test_refused_document_is_reported_on_stderr(document, said):
    done = handlers.run("rate-limit", document)
    line, = done.stderr.decode().splitlines()
    assert done.returncode == 65 and untimed(line).startswith("[WARN] Refused: ") and said in line, line
    assert list(json.loads(done.stdout)) == ["problem"]
    assert handlers.run("rate-limit", document, LEADPIPE_SUPERVISED="1").stderr == b"", "the gateway logs refusals itself"


def test_accepted_document_leaves_stderr_empty():
    assert handlers.run("rate-limit", {"key": "a"}).stderr == b""


def stream(lines, handler="lead-capture", **settings):
    """The documents on stdout and the lines on stderr without their time."""
    done = handlers.run(handler, "\n".join(lines).encode(), "--stream", **settings)
    return handlers.lines(done.stdout), [untimed(line) for line in done.stderr.decode().splitlines()]


def test_stream_by_hand_ends_with_one_summary(database):
    lead = json.dumps(TEST_USER)
    written, said = stream([lead, lead, "{", "{}", lead], DATABASE_URL=database.url)
    assert said == ["[WARN] 5 read, 3 stored, 2 refused: lines 3, 4"]
    assert [reply.get("problem", {}).get("line") for reply in written] == [None, None, 3, 4, None]
    assert stream([lead, lead], DATABASE_URL=database.url)[1] == ["[INFO] 2 read, 2 stored"]
    assert stream(["{}"], DATABASE_URL=database.url)[1] == ["[WARN] 1 read, 0 stored, 1 refused: line 1"]
    assert stream([], DATABASE_URL=database.url)[1] == ["[INFO] 0 read, 0 stored"]


def test_blank_lines_are_skipped_and_counted():
    written, said = stream(["", " \t ", "\t", " \r", '{"key": ""}', "\t", '{"key": "a"}', " \t"], "rate-limit")
    assert [reply.get("problem", {}).get("line") for reply in written] == [5, None]
    assert said == ["[WARN] 2 read, 1 answered, 1 refused: line 5 handler=rate-limit"]


def test_summary_lists_at_most_ten_lines():
    _, said = stream(["{"] * 12, "rate-limit")
    assert said == ["[WARN] 12 read, 0 answered, 12 refused: lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more handler=rate-limit"]


def test_log_level_restores_the_lines_of_a_stream(database):
    lead = json.dumps(TEST_USER)
    _, said = stream([lead], DATABASE_URL=database.url, LOG_LEVEL="info")
    assert any("Successfully created conversation" in line for line in said) and said[-1] == "[INFO] 1 read, 1 stored"
    _, said = stream([lead], DATABASE_URL=database.url, LEADPIPE_SUPERVISED="1")
    assert any("Successfully created conversation" in line for line in said) and not any("read," in line for line in said)


def test_stream_of_another_program_keeps_its_log(database):
    _, said = stream([json.dumps(handlers.envelope(TEST_USER))], DATABASE_URL=database.url)
    assert any("Successfully created conversation" in line for line in said) and not any("read," in line for line in said)


def test_unavailable_database_is_a_failure():
    _, said = stream([json.dumps(TEST_USER), "{}"], DATABASE_URL="postgresql://nobody@/none?host=/nonexistent")
    assert said[-1] == "[WARN] 2 read, 0 stored, 1 refused: line 2; 1 failed: line 1"
