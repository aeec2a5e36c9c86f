"""`leadpipe` for a person at a terminal: short ids, tables, colours, and the short log of `up`."""

import json
import os
import re
import signal
import urllib.error
import urllib.request

import pytest

import handlers
from cluster import leadpipe
from common import BIN, TEST_USER, free_port, shown, until
from instance import NO_LIMITS, Instance
from terminal import Terminal

LEADS = ["2180db52-0000-4000-8000-000000000001", "2180db52-0000-4000-8000-000000000002", "97abcdef-0000-4000-8000-000000000003"]
LONG = "a very long reason " * 20


def command(database, *words, code=0, **environment):
    done = leadpipe(*words, DATABASE_URL=database.url, **environment)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stdout + done.stderr


@pytest.fixture
def leads(database):
    """Three leads of the same time, each with an event and a failed delivery."""
    for lead in LEADS:
        database.run(f"""
            insert into conversations (id, customer_name, customer_phone, created_at) values ('{lead}', '{"Long Name " * 9}', '+971501234567', now());
            insert into lead_events (id, event_type, conversation_id, planned_at, processed) values ('{"e" + lead[1:]}', 'lead.created', '{lead}', now(), true);
            insert into notification_logs (id, lead_event_id, conversation_id, channel, recipient, status, outcome_class, error_message)
              values ('{"d" + lead[1:]}', '{"e" + lead[1:]}', '{lead}', 'email', '{"x" * 60}@{"y" * 60}.com', 'failed', 'permanent', '{LONG}')""")
    database.run("update conversations set created_at = '2026-01-01T00:00:00Z'")
    return database


# ── Ids ──

@pytest.mark.parametrize("words", [["lead", "show"], ["explain"]], ids=" ".join)
def test_lead_is_found_by_the_beginning_of_its_id(leads, words):
    whole = command(leads, *words, LEADS[2])
    for given in ("97ab", "97abcdef", "97ABCDEF", "97abcdef-0000", "97abcdef0000", LEADS[2].replace("-", "")):
        assert command(leads, *words, given) == whole
    said = command(leads, *words, "2180db52", code=65)
    assert "2180db52 is ambiguous" in said and LEADS[0] in said and LEADS[1] in said
    assert "no conversation has an id that begins with 0bad" in command(leads, *words, "0bad", code=65)
    for wrong in ("97a", "97abz", "97ab cdef", "", "e7ab…"):
        done = leadpipe(*words, wrong, DATABASE_URL=leads.url)
        assert done.returncode == 64 and "first digits, at least four" in done.stderr


def test_deliveries_and_events_are_found_by_the_beginning_of_their_ids(leads):
    delivery, event = "d7abcdef", "e7abcdef"
    assert json.loads(command(leads, "delivery", "show", delivery, "--json"))["delivery"]["id"] == "d" + LEADS[2][1:]
    assert command(leads, "delivery", "explain", delivery).startswith("It was not sent: a very long reason")
    assert command(leads, "delivery", "explain", event)
    assert "1 would be retried" in command(leads, "delivery", "retry", delivery, "--dry-run")
    assert "1 would be sent again" in command(leads, "event", "replay", "--id", event, "--dry-run")
    # A lead's id is not a delivery's.
    assert "no delivery has an id" in command(leads, "delivery", "show", "97abcdef", code=65)
    assert "no delivery or event has an id" in command(leads, "delivery", "explain", "97abcdef", code=65)


# ── Tables ──

LISTS = [["lead", "list"], ["delivery", "list"], ["channel", "list"], ["key", "list"], ["delivery", "retry", "--channel", "email", "--dry-run"],
         ["event", "replay", "--channel", "email", "--dry-run"], ["lead", "show", "97ab"], ["delivery", "show", "d7ab"]]


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_tables_fit_100_columns_and_have_a_stable_order(leads, words):
    told = command(leads, *words)
    assert told and max(map(len, told.splitlines())) <= 100, told
    assert command(leads, *words) == told and "\x1b" not in told and not re.search(" $", told, re.MULTILINE)
    if words[:2] == ["delivery", "list"]:
        assert LONG.split() * len(LEADS) == [word for word in told.split() if word in LONG.split()], "no reason is cut"
        assert [line.split()[0] for line in told.splitlines() if line.startswith("d")] == [f"d{shown(lead)[1:]}" for lead in reversed(LEADS)]


@pytest.mark.parametrize("words", LISTS[:4], ids=" ".join)
def test_empty_table_says_none(database, words):
    assert command(database, *words) == "none\n"
    assert command(database, *words, "--json") == ""


def test_lead_begins_with_name_and_phone_number(leads):
    leads.run("""update conversations set metadata = '{"customerPhoneExtension": "12"}'""")
    lines = [line for line in command(leads, "lead", "show", "97ab").splitlines() if not line.startswith(" ")]
    assert lines[0].startswith("customerName ") and lines[1].split() == ["customerPhone", "+971501234567", "ext.", "12"]
    fields = [line.split()[0] for line in lines if re.match("[a-z][A-Za-z]+ ", line)]
    assert fields[2:6] == ["id", "status", "leadQuality", "leadScore"], fields


def test_tabs_and_wide_characters_do_not_break_a_table(leads):
    leads.run(f"update conversations set customer_name = E'Tab\\tName' where id = '{LEADS[2]}'")
    assert re.search(r"^97abcdef00004000 .*  Tab Name$", command(leads, "lead", "list"), re.MULTILINE)
    assert "Tab Name" in command(leads, "lead", "show", "97ab")


def test_colours_need_a_terminal(leads):
    def on_terminal(**environment):
        with Terminal(str(BIN / "leadpipe"), "delivery", "list", DATABASE_URL=leads.url, **environment) as terminal:
            assert terminal.end() == 0
        return terminal.seen
    plain = command(leads, "delivery", "list")
    painted = on_terminal()
    assert "\x1b[31mgiven-up\x1b[0m" in painted and re.sub(r"\x1b\[\d+m", "", painted) == plain
    assert on_terminal(NO_COLOR="1") == plain and on_terminal(TERM="dumb") == plain


# ── up ──

@pytest.fixture
def settings(database, providers, tmp_path):
    return {"DATABASE_URL": database.url, "PORT": str(free_port()), "LEADPIPE_STATE": str(tmp_path / "state"), **NO_LIMITS, **providers.settings}


def send(port, lead):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/chatbot/leads", data=json.dumps(lead).encode(), headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.loads(reply.read())["id"]
    except urllib.error.HTTPError as refused:
        return refused.code


def test_up_on_a_terminal_shows_one_line_for_each_lead(settings):
    with Terminal(str(BIN / "leadpipe"), "up", **settings) as terminal:
        terminal.wait_for("\ntry ", 40)
        terminal.wait_for("}'\n")
        first, second = send(settings["PORT"], TEST_USER), send(settings["PORT"], {**TEST_USER, "customerName": "Second User"})
        for lead in (first, second):
            terminal.wait_for(f"lead {shown(lead)} stored, sent via ")
        assert send(settings["PORT"], {}) == 400
        terminal.wait_for("POST /api/chatbot/leads 400\n")
        os.kill(terminal.process, signal.SIGINT)
        assert terminal.end() == 0
    block, _, log = terminal.seen.partition("}'\n")
    assert all(re.match(r"[a-z ]{9} \S|          \S", line) for line in block.splitlines()), block
    lines = log.splitlines()
    assert sorted(re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in lines[:2]) == sorted(
        f"lead {shown(lead)} stored, sent via slack, telegram" for lead in (first, second))
    assert lines[2].endswith("POST /api/chatbot/leads 400") and lines[3:] == ["stopping", "stopped"], log


def test_stopped_is_the_last_line_of_up_on_a_terminal(settings):
    with Terminal(str(BIN / "leadpipe"), "up", **{**settings, "ENABLE_NOTIFICATION_WORKER": "false"}) as terminal:
        terminal.wait_for("}'\n", 40)
        lead = send(settings["PORT"], TEST_USER)
        os.kill(terminal.process, signal.SIGTERM)
        assert terminal.end() == 0
    assert re.search(rf"lead {shown(lead)} stored\n(.*\n)?stopped\n$", terminal.seen), terminal.seen


def test_up_on_a_terminal_names_a_lead_that_another_program_stored(settings, database):
    with Terminal(str(BIN / "leadpipe"), "up", **settings) as terminal:
        terminal.wait_for("}'\n", 40)
        done = handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url)
        lead = json.loads(done.stdout)["id"]
        terminal.wait_for(f"lead {shown(lead)} sent via slack, telegram\n", 15)
        os.kill(terminal.process, signal.SIGTERM)
        assert terminal.end() == 0


def test_log_level_shows_every_line_on_a_terminal(settings):
    with Terminal(str(BIN / "leadpipe"), "up", LOG_LEVEL="info", **settings) as terminal:
        terminal.wait_for("[INFO] Notification worker started", 40)
        terminal.wait_for("\ntry ")
        lead = send(settings["PORT"], TEST_USER)
        terminal.wait_for(f"[INFO] Successfully created conversation {lead}")
        terminal.wait_for("[INFO] Notifications sent via: slack, telegram")
        os.kill(terminal.process, signal.SIGTERM)
        assert terminal.end() == 0


def test_error_at_the_start_is_shown_on_a_terminal(settings):
    with Terminal(str(BIN / "leadpipe"), "up", **{**settings, "LEADPIPE_PROCESS": "nobody=oneshot"}) as terminal:
        assert terminal.end() == 78
    assert "nobody" in terminal.seen


def test_settings_file_names_the_instance(database, providers):
    with Instance(DATABASE_URL=database.url, **providers.settings) as instance:
        text = (instance.state / "env").read_text()
        assert f"export PORT='{instance.port}'\n" in text and f"export LEADPIPE_STATE='{instance.state}'\n" in text
        instance.stop()
        # A shell that has loaded the file starts the same instance again.
        instance.start()
        assert instance.http("/health")[2]["port"] == instance.port


def test_settings_file_of_an_earlier_run_hides_no_setting(settings, database):
    without_channels = {name: settings[name] for name in ("DATABASE_URL", "PORT", "LEADPIPE_STATE")}
    # The first run uses the sink, whose mail server is 127.0.0.1 too.
    mail = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(free_port()), "EMAIL_FROM": "a@example.com", "EMAIL_TO": "b@example.com"}
    for channels in ({}, mail):
        with Terminal(str(BIN / "leadpipe"), "up", **without_channels, **channels) as terminal:
            terminal.wait_for("}'\n", 40)
            os.kill(terminal.process, signal.SIGTERM)
            assert terminal.end() == 0
        assert ("no channel is configured" in terminal.seen) == (not channels), terminal.seen


@pytest.mark.parametrize("path, body", [
    ("/api/chatbot/leads", TEST_USER), ("/api/contact", {"customerName": "Test User", "customerEmail": "test@example.com", "message": "Please call me back"}),
    ("/api/newsletter/subscribe", {"email": "reader@example.com"}),
], ids=["lead", "contact", "newsletter"])
def test_log_lines_of_a_delivery_carry_the_requests_id(database, providers, path, body):
    with Instance(DATABASE_URL=database.url, **providers.settings) as instance:
        status, _, reply = instance.http(path, body, headers={"X-Request-Id": "a-form-7"})
        assert status == 201, reply
        until(lambda: database.count("lead_events", "processed and request_id = 'a-form-7'") == 1, 15, "the notifications")
        instance.wait_log("Notifications sent via: ")
        lines = [line for line in instance.log.splitlines() if " delivery " in line or "Notifications sent via" in line]
        assert len(lines) >= 2 and all("requestId=a-form-7" in line for line in lines), lines
