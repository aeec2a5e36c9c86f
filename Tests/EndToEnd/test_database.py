"""The database: unavailable and back, rolled back and migrated again, used by many processes at once."""

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import handlers
from cluster import leadpipe, migrate
from common import BIN, HANDLERS, REPO, TEST_USER, clean_environment, until
from instance import Instance

CHECKLIST_CLEANUP = """
-- Only if you need to remove new tables
DROP TABLE IF EXISTS notification_logs;
DROP TABLE IF EXISTS follow_up_tasks;
DROP TABLE IF EXISTS conversation_timeline;
DROP TABLE IF EXISTS lead_events;
"""


def test_returns_503_while_the_database_is_unavailable(cluster, database, providers):
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **providers.settings) as instance:
        instance.capture(TEST_USER)
        until(lambda: len(providers.of("slack")) == 1, 15, "the first message")
        services = set(instance.processes("leadpipe worker")) | set(instance.processes("/gateway"))
        assert len(services) == 2
        cluster.stop()
        try:
            status, headers, problem = instance.http("/api/chatbot/leads", {**TEST_USER, "customerName": "While Away"})
            assert status == 503
            assert int(headers["retry-after"]) >= 1
            assert headers["content-type"].startswith("application/problem+json")
            assert (problem["error"], problem["status"]) == ("Service unavailable", 503)
            # The pooler may still wait for a connection.
            assert problem["code"] in ("database_unavailable", "too_many_requests_waiting")
            instance.wait_log("[ERROR] Conversation insert error")
            status, _, health = instance.http("/health")
            assert (status, health["status"], health["database"]) == (503, "unavailable", "away")
        finally:
            cluster.start()
        # No service was restarted, and no lead was stored in part.
        assert database.count("conversations") == 1
        assert database.count("lead_events", "event_type = 'lead.created'") == 1
        # The pooler of `leadpipe up` tries to reach the database five times a second.
        lead = {**TEST_USER, "customerName": "Back Again"}
        until(lambda: instance.http("/api/chatbot/leads", lead)[0] == 201, 2, "a stored lead")
        assert instance.http("/health")[0] == 200
        assert set(instance.processes("leadpipe worker")) | set(instance.processes("/gateway")) == services


def test_records_outcomes_of_an_outage_afterwards_and_resends_nothing(cluster, database, providers):
    providers.answers["slack"] = "hold"
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", SLACK_WEBHOOK_URL=providers.settings["SLACK_WEBHOOK_URL"]) as instance:
        instance.capture(TEST_USER)
        until(lambda: providers.of("slack"), 15, "the request")
        cluster.stop()
        del providers.answers["slack"]
        providers.release.set()
        instance.wait_log("slack delivery", 10)
        cluster.start()
        database.text("update notification_logs set lease_until = now() - interval '1 s'")  # the outage was longer than the lease
        until(lambda: database.count("notification_logs", "status = 'sent'") == 1, 15, "the record")
        assert database.count("lead_events", "processed and event_type = 'lead.created'") == 1
        time.sleep(16)  # longer than the wait before an unknown outcome is retried
        assert len(providers.of("slack")) == 1


def test_sends_the_next_lead_immediately_after_a_database_restart(cluster, database, providers):
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", SLACK_WEBHOOK_URL=providers.settings["SLACK_WEBHOOK_URL"]) as instance:
        instance.capture(TEST_USER)
        until(lambda: database.count("notification_logs", "status = 'sent'") == 1, 15, "the first message")
        cluster.stop()
        cluster.start()
        instance.capture({**TEST_USER, "customerName": "Back Again"})
        until(lambda: len(providers.of("slack")) == 2, 8, "the message after the restart")


def test_restarts_a_private_database_that_died(providers):
    with Instance(SLACK_WEBHOOK_URL=providers.settings["SLACK_WEBHOOK_URL"]) as instance:
        instance.capture(TEST_USER)
        postmaster = int((instance.cluster_home / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        instance.wait_log("[ERROR] PostgreSQL ended: starting it again", 20)
        until(lambda: instance.http("/api/chatbot/leads", {**TEST_USER, "customerName": "Back Again"})[0] == 201, 25, "a 201")
        assert instance.database.count("conversations", "customer_name = 'Test User'") == 1


def test_captures_one_lead_with_a_pipe_and_only_postgresql(database, tmp_path):
    lead = tmp_path / "lead.json"
    lead.write_text(json.dumps(TEST_USER))
    done = subprocess.run(
        ["bash", "-c", f"'{HANDLERS}/lead-capture' < '{lead}'"], env=clean_environment(DATABASE_URL=database.url),
        capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert database.count("conversations", f"id = '{reply['id']}'") == 1
    assert f"[INFO] Successfully created conversation {reply['id']}" in done.stderr


def test_captures_many_leads_with_a_stream_and_only_postgresql(database, tmp_path):
    leads = tmp_path / "leads.ndjson"
    leads.write_text("".join(json.dumps({**TEST_USER, "customerName": f"Lead {n}"}) + "\n" for n in range(200)))
    done = subprocess.run(
        ["bash", "-c", f"'{HANDLERS}/lead-capture' --stream < '{leads}'"], env=clean_environment(DATABASE_URL=database.url),
        capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["conversation"]["customerName"] for reply in replies] == [f"Lead {n}" for n in range(200)]
    assert database.count("conversations") == database.count("lead_events") == len({reply["id"] for reply in replies}) == 200


def test_capture_works_after_the_checklists_cleanup(database, providers):
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", SLACK_WEBHOOK_URL=providers.settings["SLACK_WEBHOOK_URL"]) as instance:
        instance.capture(TEST_USER)
        until(lambda: len(providers.of("slack")) == 1, 15, "the first message")
        database.run(CHECKLIST_CLEANUP)
        status, _, reply = instance.http("/api/chatbot/leads", {**TEST_USER, "customerName": "Without Events"})
        assert status == 201
        assert database.count("conversations", f"id = '{reply['id']}'") == 1
        instance.wait_log("[ERROR] Failed to emit lead.created event")
        assert instance.http("/health")[0] == 200


def test_migrate_restores_events_after_the_checklists_cleanup(database, providers):
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", SLACK_WEBHOOK_URL=providers.settings["SLACK_WEBHOOK_URL"]) as instance:
        instance.capture(TEST_USER)
        until(lambda: len(providers.of("slack")) == 1, 15, "the first message")
        database.run(CHECKLIST_CLEANUP)
        instance.capture({**TEST_USER, "customerName": "Without Events"})
        done = leadpipe("migrate", DATABASE_URL=database.url)
        assert done.returncode == 0, done.stderr
        assert database.text("select to_regclass('lead_events')") == "lead_events", done.stdout
        instance.capture({**TEST_USER, "customerName": "With Events"})
        until(lambda: len(providers.of("slack")) == 2, 20, "the message after the migration")
        assert database.count("conversations") == 3


def test_rollback_removes_events_and_migrate_restores_them(database):
    asked = leadpipe("rollback", DATABASE_URL=database.url)
    assert asked.returncode != 0 and "--yes" in asked.stderr
    assert database.text("select to_regclass('lead_events')") == "lead_events"

    assert leadpipe("rollback", "--yes", DATABASE_URL=database.url).returncode == 0
    left = database.text(
        "select count(*) from unnest(array['lead_events', 'conversation_timeline', 'follow_up_tasks', 'notification_logs',"
        " 'notification_attempts', 'notification_channels']) t where to_regclass(t) is not null")
    assert left == "0"
    assert handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url).returncode == 0
    assert database.count("conversations") == 1

    assert "20251219000001" in migrate(database)
    assert handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url).returncode == 0
    assert database.count("lead_events") == 1


def test_twenty_concurrent_migrations_apply_once(cluster):
    database = cluster.empty()
    with ThreadPoolExecutor(20) as pool:
        ended = list(pool.map(lambda _: leadpipe("migrate", DATABASE_URL=database.url), range(20)))
    assert [done.returncode for done in ended] == [0] * 20, [done.stderr for done in ended if done.returncode]
    assert sorted(done.stdout.split()[0] for done in ended) == ["applied"] + ["nothing"] * 19
    versions = sorted(path.name.split("_")[0] for path in (BIN / "supabase" / "migrations").iterdir())
    ledger = database.text("select string_agg(version, ',' order by version) from supabase_migrations.schema_migrations")
    assert ledger.split(",") == versions


def test_accepts_migrations_that_were_pasted_by_hand(cluster):
    database = cluster.empty()
    for path in [BIN / "supabase" / "shim.sql", *sorted((BIN / "supabase" / "migrations").iterdir())]:
        database.run(path.read_text())
    assert handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url).returncode == 0
    migrate(database)
    assert database.count("conversations") == database.count("lead_events") == 1
    assert "nothing to migrate" in migrate(database)


def test_migrate_reports_a_missing_database():
    done = leadpipe("migrate")
    assert done.returncode != 0 and "DATABASE_URL is missing" in done.stderr
    done = leadpipe("migrate", DATABASE_URL="postgresql://nobody@/none?host=/nonexistent")
    assert done.returncode != 0 and "the database is unavailable" in done.stderr


def test_twenty_claimers_get_different_deliveries(database):
    leads = "".join(json.dumps({**TEST_USER, "customerName": f"Lead {n}"}) + "\n" for n in range(40))
    assert handlers.run("lead-capture", leads, "--stream", DATABASE_URL=database.url).returncode == 0
    settings = {"DATABASE_URL": database.url, "LEADPIPE_CHANNELS": '[{"channel":"slack","recipient":"default"}]'}
    with ThreadPoolExecutor(20) as pool:
        ended = list(pool.map(lambda n: handlers.run("event-claim", {"worker": f"w{n}", "limit": 2}, **settings), range(20)))
    claimed = [line["id"] for done in ended for line in handlers.lines(done.stdout)]
    assert len(claimed) == len(set(claimed))
    assert database.count("notification_logs") == 40
    # Deliveries that a concurrent claimer skipped are still there for the next.
    rest = handlers.lines(handlers.run("event-claim", {"worker": "last", "limit": 40}, **settings).stdout)
    assert len(claimed) + len(rest) == 40 and not {line["id"] for line in rest} & set(claimed)


@pytest.mark.parametrize("path", sorted((REPO / "supabase" / "tests").glob("*.sql")), ids=lambda path: path.stem)
def test_pgtap(cluster, database, path):
    done = subprocess.run(
        ["pg_prove", str(path)], env=clean_environment(PGHOST=str(cluster.home), PGUSER="leadpipe", PGDATABASE=database.name),
        cwd="/", capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Result: PASS" in done.stdout
