"""`leadpipe generate`: sample leads through a real pipe into a real database, and its progress line on a terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
import unicodedata
from collections import Counter

import pytest

import handlers
from common import BIN, HANDLERS, clean_environment

LEADPIPE = str(BIN / "leadpipe")


def generate(*words, seconds=30):
    return subprocess.run([LEADPIPE, "generate", *words], env=clean_environment(), cwd="/", stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=seconds)


def shell(line, **environment):
    environment = clean_environment(**environment)
    environment["PATH"] = f"{BIN}:{HANDLERS}:{environment['PATH']}"
    return subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], env=environment, cwd="/", stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=50)


def sample(lead):
    return lead["metadata"]["sample"]


# ── Into the handler ──

def test_stores_every_lead_of_a_valid_stream(database):
    done = shell("leadpipe generate --count 300 --seed 7 --hostile 0 | lead-capture --stream", DATABASE_URL=database.url)
    assert done.returncode == 0, done.stderr
    replies = handlers.lines(done.stdout)
    assert [sample(reply["conversation"])["number"] for reply in replies] == list(range(1, 301))
    assert database.count("conversations") == 300
    assert database.count("lead_events", "event_type = 'lead.created'") == 300
    assert {row["intent"] for row in database.rows("select distinct intent from conversations")} == {"buy", "rent", "invest", "sell", "browse"}
    leads = handlers.lines(generate("--count", "300", "--seed", "7", "--hostile", "0").stdout)
    assert database.count("chat_messages") == sum(len(lead.get("messages", [])) for lead in leads)
    # The second time they are new leads. Only --keys makes the requests identical.
    shell("leadpipe generate --count 10 --seed 7 --hostile 0 | lead-capture --stream", DATABASE_URL=database.url)
    assert database.count("conversations") == 310
    # The deletion in docs/reference/commands.md.
    database.run("delete from conversations where metadata ? 'sample'")
    assert [database.count(table) for table in ("conversations", "chat_messages", "lead_events")] == [0, 0, 0]


def test_rejects_exactly_the_invalid_leads_of_a_hostile_stream(database):
    made = generate("--count", "500", "--seed", "7", "--hostile", "80").stdout
    leads = handlers.lines(made)
    done = handlers.run("lead-capture", made, "--stream", DATABASE_URL=database.url, seconds=40)
    replies = handlers.lines(done.stdout)
    assert len(replies) == 500 and done.returncode == 65
    for lead, reply in zip(leads, replies, strict=True):
        if sample(lead)["refused"]:
            assert reply["problem"]["status"] == 400, (sample(lead), reply)
            assert reply["problem"].get("details") or reply["problem"]["code"] == "malformed_json"
        else:
            assert sample(reply["conversation"]) == sample(lead), reply
    stored = {row["number"]: row["name"] for row in database.rows(
        "select (metadata->'sample'->>'number')::int as number, customer_name as name from conversations")}
    good = [lead for lead in leads if not sample(lead)["refused"]]
    assert sorted(stored) == [sample(lead)["number"] for lead in good]
    for lead in good:
        if sample(lead)["kind"] not in ("bidi", "header", "control"):
            assert stored[sample(lead)["number"]] == unicodedata.normalize("NFC", lead["customerName"]).strip("\ufeff \n\t")
    kinds = Counter(sample(lead)["kind"] for lead in leads)
    assert kinds["plain"] in range(70, 131) and len(kinds) > 25
    log = done.stderr.decode()
    assert "Fatal" not in log and not re.search(r"example\.(com|org|net)|\+971|DROP TABLE", log)


def test_keys_make_the_requests_of_two_runs_identical(database):
    line = "leadpipe generate --count 50 --seed 7 --hostile 0 --keys | lead-capture --stream"
    first, second = (handlers.lines(shell(line, DATABASE_URL=database.url).stdout) for _ in range(2))
    assert [reply["id"] for reply in first] == [reply["id"] for reply in second]
    assert database.count("conversations") == 50


@pytest.mark.parametrize("form, fields", [
    ("lead", {"customerName", "customerPhone", "intent", "metadata"}),
    ("contact", {"customerName", "message", "subject", "department", "sample"}),
    ("inquiry", {"customerName", "propertyTitle", "propertyUrl", "budget", "propertyType", "sample"}),
    ("sell", {"customerName", "propertyType", "propertyAddress", "expectedPrice", "propertyDescription", "urgency", "sample"}),
    ("newsletter", {"email", "source", "sample"}),
])
def test_form_has_its_fields(form, fields):
    bodies = handlers.lines(generate("--form", form, "--count", "200", "--hostile", "0").stdout)
    assert len(bodies) == 200 and all(fields <= body.keys() for body in bodies)
    assert all(body.get("customerEmail") or body.get("customerPhone") or body.get("email") for body in bodies)


@pytest.mark.parametrize("form, handler, table", [
    ("contact", "contact-capture", "conversations"), ("inquiry", "inquiry-capture", "conversations"),
    ("sell", "sell-capture", "conversations"), ("newsletter", "newsletter-subscribe", "newsletter_subscribers")])
def test_rejects_exactly_the_invalid_bodies_of_a_hostile_form(database, form, handler, table):
    made = generate("--form", form, "--count", "300", "--seed", "7", "--hostile", "60").stdout
    bodies = handlers.lines(made)
    replies = handlers.lines(handlers.run(handler, made, "--stream", DATABASE_URL=database.url, seconds=40).stdout)
    assert len(replies) == 300
    for body, reply in zip(bodies, replies, strict=True):
        if body["sample"]["refused"]:
            assert reply["problem"]["status"] == 400, (body, reply)
        else:
            assert reply["success"] is True, (body, reply)
    assert database.count(table) == len({body.get("email", str(number)).strip().lower() for number, body in enumerate(bodies) if not body["sample"]["refused"]})


# ── The stream ──

def test_same_seed_gives_the_same_bytes():
    one = generate("--count", "1000", "--seed", "7")
    assert one.returncode == 0 and one.stderr == b""
    assert one.stdout.count(b"\n") == 1000 and one.stdout.endswith(b"\n")
    assert generate("--count", "1000", "--seed", "7").stdout == one.stdout
    assert one.stdout.startswith(generate("--count", "100", "--seed", "7").stdout)
    assert generate("--count", "1000", "--seed", "8").stdout != one.stdout
    assert generate("--count", "0").stdout == b""
    later = generate("--count", "1000", "--seed", "7", "--at", "2026-11-22T21:00:00Z").stdout
    assert b"2026-11-" in later and b"2026-01-2" not in later


def test_closed_pipe_is_no_error():
    began = time.monotonic()
    done = shell("leadpipe generate --count 10000000 | head -1")
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.count(b"\n") == 1
    assert time.monotonic() - began < 10


def test_reports_a_full_disk():
    done = shell("leadpipe generate > /dev/full")
    assert done.returncode == 1 and b"No space left on device" in done.stderr


def test_memory_does_not_grow_with_the_count():
    def peak(count):
        process = subprocess.Popen([LEADPIPE, "generate", "--count", str(count)], env=clean_environment(), stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        assert status == 0
        return usage.ru_maxrss
    assert peak(60_000) < peak(1000) + 4096


@pytest.mark.parametrize("words", [
    ("--count", "-1"), ("--count", "10000001"), ("--count", "many"), ("--hostile", "101"), ("--hostile", "-1"), ("--seed", "-1"),
    ("--seed", "18446744073709551616"), ("--form", "order"), ("--at", "yesterday"), ("--rate", "5"), ("more",),
])
def test_rejects_invalid_options(words):
    done = generate(*words)
    assert done.returncode == 64 and done.stdout == b"" and done.stderr


# ── On a terminal ──

class Terminal:
    """A pseudo-terminal."""

    def __init__(self, columns=80):
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.ours)

    def run(self, *words, stdout=subprocess.DEVNULL, reader=None):
        """The output on the terminal until the command ended."""
        process = subprocess.Popen([LEADPIPE, "generate", *words], env=clean_environment(TERM="xterm"), stdin=subprocess.DEVNULL,
                                   stdout=self.theirs if stdout == "terminal" else stdout, stderr=self.theirs)
        os.close(self.theirs)
        if reader:
            reader(process.stdout)
        seen = b""
        while True:
            try:
                piece = os.read(self.ours, 65_536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        assert process.wait(10) == 0
        return seen.decode()


def test_progress_is_one_line_that_is_rewritten():
    with Terminal() as terminal:
        began = time.monotonic()
        seen = terminal.run("--count", "100000")
        took = time.monotonic() - began
    assert seen.endswith("\r\n") and seen.count("\n") == 1 and "\x1b" not in seen
    lines = seen[:-2].split("\r")[1:]
    assert 3 <= len(lines) <= took * 10 + 2
    assert re.fullmatch(r"[\d,]+ of 100,000 \(\d+ %\), [\d,]+/s, \d+:\d\d left *", lines[len(lines) // 2])
    assert re.fullmatch(r"100,000 of 100,000 in \d+\.\d s, [\d,]+/s *", lines[-1])
    counts = [int(line.split()[0].replace(",", "")) for line in lines]
    assert counts == sorted(counts)


def test_short_run_prints_only_the_last_line():
    with Terminal() as terminal:
        assert re.fullmatch(r"\r20 of 20 in 0.\d s, [\d,]+/s\r\n", terminal.run("--count", "20"))


def test_progress_fits_a_narrow_terminal():
    with Terminal(columns=20) as terminal:
        seen = terminal.run("--count", "40000")
    assert all(len(line) < 20 for line in seen.rstrip("\r\n").split("\r"))


def test_no_progress_when_leads_go_to_the_terminal():
    with Terminal() as terminal:
        seen = terminal.run("--count", "20", stdout="terminal")
    assert seen.replace("\r\n", "\n").encode() == generate("--count", "20").stdout


def test_progress_ends_its_line_when_the_pipe_is_closed():
    def read_a_little(pipe):
        pipe.read(100_000)
        pipe.close()
    with Terminal() as terminal:
        seen = terminal.run("--count", "1000000", stdout=subprocess.PIPE, reader=read_a_little)
    assert seen.endswith("\r\n") and seen.count("\n") == 1
    assert re.search(r"\r[\d,]+ of 1,000,000 in ", seen)


def test_no_progress_without_a_terminal():
    assert generate("--count", "20000").stderr == b""
