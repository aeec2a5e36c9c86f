"""The worker as a shell pipeline, and the small commands."""

import json
import re
import subprocess
import time

import pytest

import handlers
from cluster import leadpipe
from common import HANDLERS, TEST_USER, clean_environment

PIPELINE = ("event-claim | delivery-begin --stream | notify-slack --stream | notify-telegram --stream "
            "| notify-email --stream | delivery-record --stream")


@pytest.fixture
def settings(database, providers, mail):
    return {"DATABASE_URL": database.url, **providers.settings, **mail.settings}


def round_of_the_pipeline(settings):
    channels = leadpipe("channels", **settings).stdout.strip()
    environment = clean_environment(LEADPIPE_CHANNELS=channels, **settings)
    environment["PATH"] = f"{HANDLERS}:{environment['PATH']}"
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {PIPELINE}"], env=environment, cwd="/", stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=50)


def test_shell_pipeline_does_one_round(settings, database, providers, mail):
    for name in ("First User", "Second User"):
        assert handlers.run("lead-capture", {**TEST_USER, "customerName": name}, DATABASE_URL=database.url).returncode == 0
    settings = {**settings, "SLACK_PER_SECOND": "off", "TELEGRAM_PER_SECOND": "off"}
    done = round_of_the_pipeline(settings)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted((line["channel"], line["outcome"]["class"], line["recorded"]) for line in lines) == [
        (channel, "delivered", True) for channel in ("email", "email", "slack", "slack", "telegram", "telegram")]
    assert database.text("SELECT count(*) FROM lead_events WHERE processed = FALSE") == "0"
    assert len(providers.of("slack")) == len(providers.of("telegram")) == len(mail.envelopes) == 2
    assert "[INFO] Notifications sent via: slack, email, telegram" in done.stderr
    for canary in ("First User", "501234567", "test@example.com", "secretwebhook", "secret-token"):
        assert canary not in done.stderr

    again = round_of_the_pipeline(settings)
    assert (again.returncode, again.stdout) == (0, "")
    assert len(providers.of("slack")) == 2


def test_shell_pipeline_respects_rate_limits(settings, database, providers, mail):
    for name in ("First User", "Second User"):
        assert handlers.run("lead-capture", {**TEST_USER, "customerName": name}, DATABASE_URL=database.url).returncode == 0
    for sent in (1, 2):
        assert round_of_the_pipeline(settings).returncode == 0
        assert len(providers.of("slack")) == len(providers.of("telegram")) == sent and len(mail.envelopes) == 2
        time.sleep(1.1)
    assert database.count("notification_logs", "status = 'sent' and retry_count = 1") == 6


def test_delivery_without_a_step_fails(settings, database):
    assert handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url).returncode == 0
    environment = clean_environment(LEADPIPE_CHANNELS='[{"channel":"email","recipient":"a@example.com"}]', **settings)
    environment["PATH"] = f"{HANDLERS}:{environment['PATH']}"
    pipeline = PIPELINE.replace("| notify-email --stream ", "")
    subprocess.run(["bash", "-c", pipeline], env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=50)
    row, = database.rows("select channel, status, error_message from notification_logs")
    assert row == {"channel": "email", "status": "failed", "error_message": "no step of the pipeline sends to this channel"}


def test_channels_prints_names_and_no_secret(settings):
    done = leadpipe("channels", **settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        {"channel": "slack", "recipient": "default"}, {"channel": "telegram", "recipient": "-100123456789"},
        {"channel": "email", "recipient": "agents@truenester.com"}]
    assert leadpipe("channels").stdout.strip() == "[]"
    assert all(secret not in done.stdout for secret in ("secretwebhook", "secret-token"))


@pytest.mark.parametrize("settings, recipients", [
    ({"EMAIL_TO": "a@example.com, B <b@example.com>", "EMAIL_USER": "u@example.com", "EMAIL_PASS": "x", "EMAIL_FROM": "f@example.com"},
     ["a@example.com", "b@example.com"]),
    ({"EMAIL_USER": "u@example.com", "EMAIL_PASS": "x", "EMAIL_FROM": "f@example.com"}, ["u@example.com"]),
    ({"EMAIL_USER": "login", "EMAIL_PASS": "x", "EMAIL_FROM": "TrueNester <f@example.com>"}, ["f@example.com"]),
], ids=["EMAIL_TO", "EMAIL_USER", "EMAIL_FROM"])
def test_email_recipient_falls_back_to_user_and_sender(settings, recipients):
    done = leadpipe("channels", EMAIL_HOST="127.0.0.1", **settings)
    assert done.returncode == 0, done.stderr
    assert [entry["recipient"] for entry in json.loads(done.stdout)] == recipients


def test_routes_lists_every_handler_with_its_class():
    done = leadpipe("routes")
    assert done.returncode == 0, done.stderr
    title, *lines = done.stdout.splitlines()
    assert title.split() == ["HANDLER", "CLASS", "BYTES", "MS", "ROUTES"]
    assert max(map(len, lines)) <= 100
    # The routes of a handler that has several may continue on the next line.
    lines = [line for line in lines if line[:title.index("CLASS")].strip()]
    rows = {}
    for line in lines:
        name, trust, _, _, routes = re.split(" {2,}", line, maxsplit=4)
        rows[name] = [trust, routes]
    assert rows.keys() == {path.name for path in HANDLERS.glob("[!.]*")} | {"openapi-show"}
    assert rows["openapi-show"][:2] == ["gateway", "GET /api/openapi.json"]
    assert rows["lead-capture"][:2] == ["intake", "POST /api/chatbot/leads"]
    assert rows["health-check"][:2] == ["intake", "GET /health"]
    assert rows["rate-limit"][:2] == ["none", "(step)"]
    assert all(fields[:2] == ["worker", "(step)"] for name, fields in rows.items() if name == "event-claim" or name.startswith(("delivery-", "notify-")))


def test_invoke_reads_stdin_or_a_file_and_returns_the_exit_status(settings, tmp_path, database):
    done = leadpipe("invoke", "lead-capture", input=json.dumps(TEST_USER), **settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["conversation"]["customerName"] == "Test User"
    lead = tmp_path / "lead.json"
    lead.write_text("{}")
    done = leadpipe("invoke", "lead-capture", str(lead), **settings)
    assert done.returncode == 65 and "customerName" in done.stdout
    done = leadpipe("invoke", "no-such-handler", **settings)
    assert done.returncode != 0 and "no-such-handler" in done.stderr
    assert database.count("conversations") == 1


def test_invoke_gives_a_handler_its_settings(settings):
    health = json.loads(leadpipe("invoke", "health-check", **settings).stdout)
    assert health["slackConfigured"] is True and health["status"] == "ok"


def test_help_lists_the_commands_and_rejects_an_unknown_one():
    done = leadpipe("--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("up", "gateway", "worker", "migrate", "rollback", "invoke", "routes", "openapi", "channels", "sink",
                                                "generate"))
    assert leadpipe("fly").returncode == 64


@pytest.mark.parametrize("words, said", [
    ("led", "leadpipe has no command led; did you mean lead?"), ("delivry list", "did you mean delivery?"),
    ("lead shwo", "leadpipe lead has no command shwo; did you mean show?"), ("channel tset slack", "did you mean test?"),
    ("hlep", "did you mean help?"), ("version", "did you mean --version?"), ("help led", "did you mean lead?"),
    ("help lead shwo", "leadpipe lead has no command shwo; did you mean show?"),
    ("fly", "leadpipe has no command fly\n"), ("delivery fly", "leadpipe delivery has no command fly\n"),
])
def test_misspelt_command_gets_a_suggestion(words, said):
    done = leadpipe(*words.split())
    assert (done.returncode, done.stdout) == (64, "") and said in done.stderr, done.stderr


@pytest.mark.parametrize("words", [["invoke", "lead-captur"], ["invoke", "laed-capture"], ["routes", "--explain", "Lead-Capture"]], ids=" ".join)
def test_misspelt_handler_gets_a_suggestion(words):
    done = leadpipe(*words, input="{}")
    assert done.returncode == 1 and "did you mean lead-capture?" in done.stderr
    assert "did you mean" not in leadpipe("invoke", "zebra", input="{}").stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_channels(shell):
    script = leadpipe("--generate-completion-script", shell).stdout
    assert all(word in script for word in ("delivery", "slack", "telegram", "given-up")) and "lead-lines" not in script


def test_completion_lists_the_handlers():
    done = leadpipe("---completion", "invoke", "--", "positional@0", "2", "0", SAP_SHELL="bash")
    assert {path.name for path in HANDLERS.glob("[!.]*")} <= set(done.stdout.split()), done.stdout + done.stderr
