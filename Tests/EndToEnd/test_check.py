"""`leadpipe check` on a good deployment: no item is ✗, and nothing is left behind. test_check_faults.py has the faults."""

import email
import email.policy
import json
import re
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

from cluster import leadpipe
from common import BIN, REPO, clean_environment, until
from deployment import right_webhook, watched


@pytest.fixture(scope="module")
def parts(cluster, tmp_path_factory):
    with watched(cluster, tmp_path_factory.mktemp("deployment")) as deployment:
        yield deployment


@pytest.fixture
def deployment(parts):
    """The deployment before a test, which leaves it as it was."""
    parts.check().good()
    return parts


# ── A good deployment ──

def test_every_item_of_a_good_deployment_is_fulfilled_or_does_not_apply(parts):
    before = parts.rows()
    checked = parts.check().good()
    skipped = {name for name, item in checked.items.items() if item["result"] == "skipped"}
    assert skipped == set(), {name: checked.items[name]["evidence"] for name in skipped}
    assert parts.rows() == before


def test_text_has_a_mark_for_each_item_and_a_summary(parts):
    done = leadpipe("check", **parts.check_environment())
    assert done.returncode == 0, done.stdout
    items = parts.check().items
    assert sum(line.startswith("  ✓ ") for line in done.stdout.splitlines()) == len(items)
    assert done.stdout.splitlines()[-1] == f"{len(items)} ✓, 0 ✗, 0 –"


def test_everything_that_left_the_house_is_marked_as_a_test(parts):
    parts.providers.received.clear()
    parts.mail.envelopes.clear()
    parts.check().good()
    messages = [message["body"] for message in parts.providers.received]
    assert len(messages) == 2 and all("[test] Leadpipe check" in message for message in messages)
    envelope, = parts.mail.envelopes
    assert "[test]" in email.message_from_bytes(envelope.content, policy=email.policy.default)["Subject"]


def test_no_agent_gets_the_test_lead(parts):
    parts.database.run("insert into agents (id, name, status) values ('00000000-0000-4000-8000-0000000000a1', 'Agent', 'available')")
    try:
        before = parts.rows()
        parts.check().good()
        time.sleep(1.5)
        assert parts.rows() == before
        assert parts.database.count("leadpipe.assignment_decisions") == 0
    finally:
        parts.database.run("delete from agents")


def test_dry_run_sends_and_stores_nothing(parts):
    done = leadpipe("check", "--dry-run", "--url", "http://127.0.0.1:1")
    assert done.returncode == 0 and done.stderr == ""
    planned = [json.loads(line)["id"] for line in leadpipe("check", "--dry-run", "--json").stdout.splitlines()]
    assert planned == list(parts.check().items)
    assert all(f"  {name}: " in done.stdout for name in planned)


def test_without_a_database_what_can_be_seen_from_outside_is_examined(parts):
    before = parts.rows()
    done = leadpipe("check", "--json", "--url", f"http://127.0.0.1:{parts.port}/", LEADPIPE_STATE="/nonexistent")
    results = {line["id"]: line["result"] for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, done.stdout
    passed = {name for name, result in results.items() if result == "passed"}
    assert {"interfaces.health", "interfaces.chatbot", "interfaces.contact", "interfaces.newsletter", "admin.panel", "security.cors",
            "security.admin", "security.rate-limit", "security.public-files"} <= passed
    assert {"before.database", "after.capture", "security.rls", "monitoring.backlog"} <= {n for n, r in results.items() if r == "skipped"}
    assert parts.rows() == before


def test_the_services_own_logins_are_enough_for_the_test_lead(parts):
    """They may not read tables, so only the migrations and the monitoring queries are not examined."""
    url = parts.database.url
    logins = {f"DATABASE_URL_{name.upper()}": url.replace("leadpipe@", f"leadpipe_{name}@") for name in ("intake", "admin", "worker")}
    checked = parts.check(DATABASE_URL=None, **logins).good()
    skipped = {name for name, item in checked.items.items() if item["result"] == "skipped"}
    assert {name for name in skipped if not name.startswith("monitoring.")} == {"before.migrations"}


@pytest.mark.parametrize("words", [["--url", "ftp://x"], ["--url", "http://truenester.com"], ["--url", "https://truenester.com/?a=1"], ["more"]])
def test_wrong_arguments_are_refused(words):
    assert leadpipe("check", *words).returncode == 64


# ── It leaves nothing behind ──

def started(deployment, **more):
    return subprocess.Popen([str(BIN / "leadpipe"), "check", "--json"], env=clean_environment(**deployment.check_environment(**more)), cwd="/",
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def slow_slack(deployment):
    deployment.providers.answers["slack"] = "hold"
    try:
        yield
    finally:
        deployment.providers.answers["slack"] = right_webhook
        deployment.providers.release.set()
        time.sleep(0.2)
        deployment.providers.release.clear()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_signal_nothing_is_left(deployment, number):
    before = deployment.rows()
    with slow_slack(deployment):
        process = started(deployment)
        until(lambda: deployment.database.count("notification_logs", "channel = 'slack' and status = 'sending'"), 15, "the delivery")
        process.send_signal(number)
        out, errors = process.communicate(timeout=20)
    assert process.returncode == 1 and errors == "interrupted\n"
    results = {line["id"]: line for line in map(json.loads, out.splitlines())}
    assert results["after.removed"]["result"] == "passed"
    assert results["security.cors"]["evidence"] == "interrupted"
    until(lambda: deployment.rows() == before, 10, "the rows to be gone")
    leadpipe("channel", "resume", "slack", **deployment.check_environment())


def test_a_later_check_removes_what_a_killed_one_has_left(deployment):
    before = deployment.rows()
    with slow_slack(deployment):
        process = started(deployment)
        until(lambda: deployment.database.count("notification_logs", "channel = 'slack' and status = 'sending'"), 15, "the delivery")
        process.kill()
        process.communicate(timeout=10)
    until(lambda: not deployment.database.count("lead_events", "not processed"), 15, "the deliveries")
    # A quarter of an hour later.
    deployment.database.run("update conversations set created_at = created_at - interval '20 minutes'; "
                            "update idempotency_keys set created_at = created_at - interval '20 minutes'")
    deployment.check().good()
    deployment.database.run("delete from admin_sessions")
    assert deployment.database.text("select action from leadpipe.audit_log order by id desc limit 1") == "test_leads.removed"
    after = {**deployment.rows(), "public.admin_sessions": before["public.admin_sessions"]}
    assert after == {**before, "leadpipe.audit_log": after["leadpipe.audit_log"]}


def test_a_lead_of_a_visitor_is_never_taken_for_a_test_lead(parts):
    """Its event says that it was none when it was created."""
    parts.database.run("""
        insert into conversations (id, customer_name, metadata, created_at)
          values ('00000000-0000-4000-8000-0000000000c1', '[test] Leadpipe check', '{"leadpipeCheck": true}', now() - interval '1 hour');
        insert into lead_events (event_type, conversation_id, payload, processed, planned_at)
          values ('lead.created', '00000000-0000-4000-8000-0000000000c1', '{"customerName": "Sara"}', true, now())""")
    try:
        parts.check().good()
        assert parts.database.count("conversations") == 1
    finally:
        parts.database.run("delete from conversations")


# ── The lists in the program ──

def test_tables_and_columns_are_those_of_a_migrated_database(deployment):
    """A check for a table of another name finds it missing; one that the list lacks is found here."""
    source = (REPO / "Sources/Store/ProductSchema.swift").read_text()
    lists = {name: re.findall(r'"(\w+)"', block) for name, block in re.findall(r"static let (\w+) = \[(.*?)\]", source, re.DOTALL)}

    def names(query):
        return set(deployment.database.text(query).splitlines())
    tables = "select relname from pg_class where relkind = 'r' and relnamespace = '{}'::regnamespace"
    assert set(lists["publicTables"]) == names(tables.format("public"))
    assert set(lists["internalTables"]) == names(tables.format("leadpipe"))
    assert set(lists["conversationColumns"]) == names(
        "select attname from pg_attribute where attrelid = 'public.conversations'::regclass and attnum > 0 and not attisdropped")
