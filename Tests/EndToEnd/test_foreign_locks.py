"""A session of the intake login holds the locks that it can take: nothing that others need waits for them without end."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from admin import KEY, AdminClient
from cluster import Session, leadpipe
from common import TEST_USER
from instance import Instance, without_limits

# The advisory locks that a name of Leadpipe's own could give.
NUMBERS = ["hashtext('leadpipe migrate')", "hashtext('conversation_words')", "7031"]


@contextmanager
def intruder(cluster, database, application="intruder"):
    with Session(cluster.url(database.name, "leadpipe_intake")) as session:
        session.text(f"set application_name = '{application}'")
        for number in NUMBERS:
            session.text(f"select pg_advisory_lock({number})")
        yield session


def capture(session, **lead):
    """Captures a lead by hand and returns the reply."""
    words = json.dumps({"route": "lead-capture", "source": "chatbot", "lead": {"customerName": "Zadkine Open", **lead}})
    return json.loads(session.text(f"select public.capture_lead('{words}')"))


def forget_migrations(database):
    database.run("delete from supabase_migrations.schema_migrations where version >= '20261127000000'")


def test_migrate_waits_for_no_advisory_lock(cluster, database):
    forget_migrations(database)
    with intruder(cluster, database):
        began = time.monotonic()
        done = leadpipe("migrate", DATABASE_URL=database.url)
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - began < 20


@pytest.mark.seconds(90)
@pytest.mark.parametrize("command", [["migrate"], ["rollback", "--yes"]], ids=["migrate", "rollback"])
def test_migrate_names_the_session_that_holds_a_table(cluster, database, command):
    forget_migrations(database)
    with intruder(cluster, database, "pay''roll") as session:
        session.text("begin")
        capture(session)
        pid = session.text("select pg_backend_pid()")
        began = time.monotonic()
        time.sleep(0.2)
        done = leadpipe(*command, DATABASE_URL=database.url)
        assert done.returncode == 1 and time.monotonic() - began < 40
        assert f"another session holds a lock: pid {pid}, role leadpipe_intake, application_name 'pay''roll', in a transaction since 2" in done.stderr
        session.text("commit")
    done = leadpipe(*command, DATABASE_URL=database.url)
    assert done.returncode == 0, done.stderr


def test_intake_cannot_take_the_locks_that_are_waited_for(cluster, database):
    with intruder(cluster, database) as session:
        for statement in ("lock table supabase_migrations.schema_migrations in share update exclusive mode",
                          "select from supabase_migrations.schema_migrations for update", "select from leadpipe.index_lock for update",
                          "lock table leadpipe.index_lock", "lock table public.conversations", "lock table public.conversations in access share mode"):
            with pytest.raises(AssertionError, match="permission denied"):
                session.text(f"do $$ begin perform 1; {statement}; end $$" if statement.startswith("lock") else statement)


def test_new_leads_are_captured_and_found(cluster, database):
    """The numbers that group commit locks are known too. A lead that needs one is then stored by itself."""
    with Instance(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false", **without_limits()) as instance, \
            intruder(cluster, database) as session, ThreadPoolExecutor(16) as pool:
        phones = [f"+9715012345{n:02}" for n in range(64)]
        session.text(f"select pg_advisory_lock(hashtextextended(phone, 11)) from unnest('{{{','.join(phones)}}}'::text[]) phone")

        def answered(phone):
            began = time.monotonic()
            id = instance.capture({**TEST_USER, "customerName": "Quillfeather Test", "customerPhone": phone})
            return id, time.monotonic() - began
        answers = list(pool.map(answered, phones))
        assert max(seconds for _, seconds in answers) < 5
        assert AdminClient(instance).get("/api/admin/search?query=Quillfeather&limit=100")["total"] == 64
        assert database.count("conversations") == len({id for id, _ in answers}) == 64
