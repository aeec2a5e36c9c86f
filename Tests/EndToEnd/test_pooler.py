"""A pooler in transaction mode between the handlers and PostgreSQL, as with Supabase."""

import json
import re

import handlers
from cluster import leadpipe
from common import TEST_USER


def test_pooler_without_startup_options_is_detected(pooled, database):
    names = ["O'Hara $1 \\ 'x'; drop table conversations; --", "سارة $$ 😀"]
    lines = [{**TEST_USER, "customerName": name} for name in names]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = handlers.run("lead-capture", text, "--stream", DATABASE_URL=pooled, LEADPIPE_ROLE="leadpipe_intake", LOG_LEVEL="info")
    assert done.returncode == 0, done.stderr
    assert [line["conversation"]["customerName"] for line in handlers.lines(done.stdout)] == names
    assert sorted(row["customer_name"] for row in database.rows("select customer_name from conversations")) == sorted(names)
    assert done.stderr.decode().count("[INFO] The pooler rejects start-up options") == 1


def test_role_of_the_class_applies_behind_a_pooler(pooled):
    done = handlers.run("event-claim", {}, DATABASE_URL=pooled, LEADPIPE_ROLE="leadpipe_intake", LEADPIPE_CHANNELS="[]")
    assert done.returncode == 75
    assert "sqlstate=42501" in done.stderr.decode()
    done = handlers.run("event-claim", {}, DATABASE_URL=pooled, LEADPIPE_ROLE="leadpipe_worker", LEADPIPE_CHANNELS="[]")
    assert done.returncode == 0, done.stderr


def test_migrate_rejects_a_transaction_pooler(pooled):
    done = leadpipe("migrate", DATABASE_URL=pooled)
    assert done.returncode == 1
    assert "session connection" in done.stderr


def test_live_stream_misses_nothing_behind_a_pooler(pooled, database):
    def answer(name, question, role="leadpipe_admin"):
        done = handlers.run(name, question, DATABASE_URL=pooled, LEADPIPE_ROLE=role)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()
    lead = json.loads(answer("lead-capture", TEST_USER, role="leadpipe_intake"))["id"]
    after = re.search(r"^id: (.*)$", answer("live-show", {}), re.M)[1]
    for _ in range(3):
        database.run(f"select public.emit_lead_event('lead.updated', '{lead}')")
        told = json.loads(answer("live-feed", {"after": after}))
        assert [json.loads(event["text"].partition("data: ")[2])["conversationId"] for event in told["events"]] == [lead]
        after = told["cursor"]
