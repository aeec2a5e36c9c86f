"""RETENTION_LEADS_DAYS: closed leads that have not changed for long are erased by housekeeping, and no others."""

import json
import subprocess
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from cluster import Session, leadpipe
from common import HANDLERS, clean_environment

DUE = "insert into leadpipe.person_lock (called_at, passed_at) values (now() - interval '1 min', now() - interval '25 h')"
AGAIN = "update leadpipe.person_lock set called_at = now() - interval '1 min', passed_at = now() - interval '25 h', passed_to = null, passed_id = null"


def prune(database, days=100, status=0):
    done = subprocess.run(
        [str(HANDLERS / "data-prune")], input="{}", env=clean_environment(DATABASE_URL=database.url, RETENTION_LEADS_DAYS=str(days)),
        capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def add(database, name, status="lost", days=200, changed=None, count=1, columns="", values=""):
    """Adds leads that were stored and changed this many days ago."""
    changed = days if changed is None else changed
    database.run(f"""set session_replication_role = replica;
      insert into conversations (customer_id, customer_name, customer_phone, customer_email, status, lead_score, created_at, updated_at{columns})
      select gen_random_uuid(), '{name}', '+97150' || lpad((n + {zlib.crc32(name.encode()) % 9000} * 1000)::text, 7, '0'),
        '{name.lower()}' || n || '@old.example', '{status}', 7, now() - interval '{days} days' + n * interval '1 ms', now() - interval '{changed} days'{values}
      from generate_series(1, {count}) n;
      insert into customer_identities (kind, value, customer_id)
      select 'phone', customer_phone, customer_id from conversations where customer_name = '{name}'
      union all select 'email', customer_email, customer_id from conversations where customer_name = '{name}';
      insert into chat_messages (conversation_id, sender, message_text, created_at)
      select id, 'customer', '{name}word', created_at from conversations where customer_name = '{name}';
      insert into conversation_changes select id from conversations where customer_name = '{name}'""")


def dump(database):
    return subprocess.run(["pg_dump", "--data-only", database.url], env=clean_environment(), capture_output=True, text=True, check=True, timeout=60).stdout


def left(database):
    return database.text("select string_agg(distinct customer_name, ' ' order by customer_name) from conversations")


def test_erases_closed_and_unchanged_leads_only(database):
    for status in ("lost", "completed", "converted"):
        add(database, status.title(), status)
    add(database, "New", "new")
    add(database, "Working", "in-progress")
    add(database, "Changed", changed=99)
    add(database, "Recent", days=99)
    add(database, "Written")
    add(database, "Promised")
    add(database, "Forgotten")
    add(database, "Future", columns=", end_time", values=", now() + interval '5 years'")
    database.run("""set session_replication_role = replica;
      insert into chat_messages (conversation_id, sender, message_text, created_at)
      select id, 'customer', 'again', now() - interval '99 days' from conversations where customer_name = 'Written';
      insert into follow_up_tasks (conversation_id, follow_up_date) select id, now() + interval '1 day' from conversations where customer_name = 'Promised';
      insert into follow_up_tasks (conversation_id, follow_up_date, reminder_text)
      select id, now() - interval '150 days', 'call Forgotten' from conversations where customer_name = 'Forgotten'""")
    database.run("select leadpipe.index_conversations()")
    # A person with an old closed lead and an open one: the open one stays, with the number.
    database.run("""set session_replication_role = replica; update conversations
      set customer_id = (select customer_id from conversations where customer_name = 'Lost') where customer_name = 'New'""")
    counts = "select count(*), sum(lead_score), count(*) filter (where status = 'lost') from conversations"
    before = database.text(counts)
    database.run(DUE)
    seen = json.loads(leadpipe("person", "retention", "--days", "100", "--json", DATABASE_URL=database.url).stdout)
    assert (seen["leads"], seen["closed"]) == (5, 9)
    assert "RETENTION_LEADS_DAYS is off" in leadpipe("person", "retention", DATABASE_URL=database.url).stdout
    said = leadpipe("person", "retention", DATABASE_URL=database.url, RETENTION_LEADS_DAYS="100").stdout
    assert "5 of 9 closed leads are unchanged for 100 days" in said and "they are erased from" in said

    assert prune(database)["leads"] == 5
    assert left(database) == "Changed New Promised Recent Working Written" and database.text(counts) == before
    assert database.text("select actor, action, subject, details from leadpipe.audit_log") == 'retention|leads.erased||{"days": 100, "leads": 5}'
    assert database.text("select count(*) from conversations where erased_at is not null and customer_phone is null") == "5"
    assert database.count("customer_identities", "customer_id = (select customer_id from conversations where customer_name = 'New')") == 2
    text = dump(database).lower()
    for name in ("completed1@", "converted1@", "forgotten", "future1", "lostword", "completedword"):
        assert name not in text, name
    assert "lost1@" in text and "newword" in text
    # Nothing more on the same day, and nothing more on the next one.
    assert prune(database)["leads"] == 0
    database.run(AGAIN)
    assert prune(database)["leads"] == 0 and database.count("leadpipe.audit_log") == 1
    assert json.loads(leadpipe("person", "retention", "--days", "100", "--json", DATABASE_URL=database.url).stdout)["leads"] == 0


def test_erases_old_newsletter_addresses_that_are_spam_only(database):
    database.run("""set session_replication_role = replica; insert into newsletter_subscribers (email, status, updated_at)
      select status || days || '@old.example', status, now() - days * interval '1 day' from unnest('{spam,active,unsubscribed}'::text[]) status,
        unnest('{99,101}'::integer[]) days""")
    database.run(DUE)
    seen = leadpipe("person", "retention", "--days", "100", DATABASE_URL=database.url).stdout
    assert "0 of 0 closed leads" in seen and "1 newsletter address that was kept aside as spam is as old" in seen
    assert prune(database, "off")["subscriptions"] == 0
    database.run(AGAIN)
    assert prune(database)["subscriptions"] == 1
    left = database.text("select string_agg(email, ' ' order by email) from newsletter_subscribers")
    assert left == "active101@old.example active99@old.example spam99@old.example unsubscribed101@old.example unsubscribed99@old.example"
    assert database.text("select actor, action, details from leadpipe.audit_log") == 'retention|subscribers.erased|{"days": 100, "subscriptions": 1}'


def test_what_an_erased_person_sends_again_is_erased_in_its_time(database):
    add(database, "Gone")
    database.run("select leadpipe.erase_conversations(array(select id from conversations), 'Sara')")
    database.run("""set session_replication_role = replica; update conversations set updated_at = now() - interval '150 days';
      delete from lead_events""")
    database.run(DUE)
    assert prune(database)["leads"] == 0
    database.run("""set session_replication_role = replica;
      update conversations set customer_id = gen_random_uuid(), customer_name = 'Back', updated_at = now() - interval '150 days'""")
    database.run(AGAIN)
    assert prune(database)["leads"] == 1
    assert database.text("select customer_name is null and customer_id is null from conversations") == "t"


def test_waits_a_day_at_first_and_after_a_gap(database):
    add(database, "Old")

    def times(called, passed):
        database.run(f"update leadpipe.person_lock set called_at = now() + interval '{called}', passed_at = now() + interval '{passed}'")

    assert prune(database)["leads"] == 0 and left(database) == "Old"
    times("-1 min", "-23 h")
    assert prune(database)["leads"] == 0
    # The worker did not run for three days, or the clock was set forward.
    times("-3 days", "-3 days")
    assert prune(database)["leads"] == 0
    # The clock was set back: the times are in the future.
    times("5 days", "5 days")
    assert prune(database)["leads"] == 0
    # It was turned off meanwhile.
    times("-1 min", "-25 h")
    assert prune(database, "off")["leads"] == 0
    assert prune(database)["leads"] == 0 and left(database) == "Old"
    times("-1 min", "-25 h")
    assert prune(database)["leads"] == 1
    assert leadpipe("person", "retention", "--days", "29", DATABASE_URL=database.url).returncode == 64
    assert "at least 30" in database.psql("""select public.prune_persons('{"days": 29}')""", check=False).stderr


def test_many_leads_in_batches_by_two_pruners(database):
    """One entry in the audit log for all, each lead once, and captures beside it succeed at once."""
    add(database, "Many", count=1200)
    add(database, "Kept", changed=5, count=1500, days=300)
    database.run("select leadpipe.index_conversations(5000, 60000)")
    database.run(DUE)
    slowest, end = [0.0], threading.Event()

    def capture():
        with Session(database.url) as session:
            lead = {"route": "r", "source": "s", "lead": {"customerName": "Beside", "customerPhone": "+971501111111"}}
            while not end.is_set():
                began = time.monotonic()
                session.text(f"select public.capture_lead('{json.dumps(lead)}')")
                slowest[0] = max(slowest[0], time.monotonic() - began)

    beside = threading.Thread(target=capture)
    beside.start()
    try:
        erased, rounds = 0, 0
        while database.count("conversations", "customer_name = 'Many'") and rounds < 30:
            rounds += 1
            with ThreadPoolExecutor(2) as pruners:
                erased += sum(answer["leads"] for answer in pruners.map(prune, [database, database]))
    finally:
        end.set()
        beside.join(20)
    assert erased == 1200 and left(database) == "Beside Kept"
    prune(database)
    assert database.text("select action, details from leadpipe.audit_log") == 'leads.erased|{"days": 100, "leads": 1200}'
    assert slowest[0] < 2, slowest


def test_locked_leads_wait_for_the_next_pass(database):
    add(database, "First")
    add(database, "Second")
    database.run(DUE)
    with Session(database.url) as session:
        session.text("begin")
        session.text("select 1 from conversations where customer_name = 'First' for no key update")
        began = time.monotonic()
        assert prune(database)["leads"] == 1 and time.monotonic() - began < 5
        session.text("commit")
    assert left(database) == "First"
    database.run(AGAIN)
    assert prune(database)["leads"] == 1


def test_nothing_due_reads_an_index(database):
    """A day's pass over leads that are not due reads them once through the index of closed leads."""
    add(database, "Kept", changed=5, count=3000)
    database.run("analyze conversations")
    plan = database.text("""set enable_seqscan = off; explain select c.id, c.created_at from conversations c
      where (c.erased_at is null or c.customer_id is not null) and c.status in ('completed', 'lost', 'converted', 'spam')
        and c.created_at < now() - interval '100 days' and (c.created_at, c.id) > ('-infinity'::timestamptz, '00000000-0000-0000-0000-000000000000'::uuid)
      order by c.created_at, c.id limit 1000""")
    assert "conversations_closed_idx" in plan and "Sort" not in plan, plan
    database.run(DUE)
    assert prune(database) == {
        "events": 0, "deliveries": 0, "attempts": 0, "idempotencyKeys": 0, "leads": 0, "subscriptions": 0, "unindexed": 0, "isComplete": True}
    assert database.text("select passed_to is null, passed_at > now() - interval '1 min' from leadpipe.person_lock") == "t|t"


@pytest.mark.parametrize("action", ["update", "delete"])
def test_words_of_changed_and_deleted_texts_are_forgotten(database, action):
    """Also those of a text that was changed before its person was erased."""
    database.run("insert into conversations (customer_name, customer_phone, notes) values ('Zebulon', '+971501112233', 'larkspurnote villa'),"
                 " ('Other', '+971501112244', 'villa')")
    database.run("select leadpipe.index_conversations()")
    assert database.count("known_words", "word in ('zebulon', 'larkspurnote', 'villa')") == 3
    if action == "update":
        database.run("update conversations set customer_name = 'Anna', notes = null where customer_name = 'Zebulon'")
        database.run("select leadpipe.index_conversations()")
    else:
        database.run("delete from conversations where customer_name = 'Zebulon'")
        database.run("select public.index_words()")
    assert database.text("select string_agg(word, ' ' order by word) from known_words where word in ('zebulon', 'larkspurnote', 'villa')") == "villa"


def test_recipients_and_columns_of_an_earlier_program_are_erased(database):
    database.run("""
      insert into conversations (id, customer_name, customer_phone, customer_email) values
        ('00000000-0000-4000-8000-0000000000c1', 'Zebulon', '+971501112233', 'zebulon@old.example');
      insert into lead_events (id, event_type, conversation_id, planned_at, processed, processed_at) values
        ('00000000-0000-4000-8000-0000000000e1', 'lead.created', '00000000-0000-4000-8000-0000000000c1', now(), true, now());
      insert into notification_logs (lead_event_id, conversation_id, channel, recipient, status) select '00000000-0000-4000-8000-0000000000e1',
        '00000000-0000-4000-8000-0000000000c1', channel::notification_channel, recipient, 'sent'
        from (values ('email', 'Zebulon@old.example'), ('sms', '0501112233'), ('email', 'desk@agency.example'), ('slack', 'default'))
          as sent (channel, recipient);
      alter table conversations add column budget_before_leadpipe text;
      update conversations set budget_before_leadpipe = 'zebulon pays';
      create table public.notification_logs_before_leadpipe (
        id uuid default gen_random_uuid(), conversation_id uuid, recipient text, subject text not null, payload jsonb, status text not null);
      insert into public.notification_logs_before_leadpipe (conversation_id, recipient, subject, payload, status) values
        ('00000000-0000-4000-8000-0000000000c1', 'zebulon@old.example', 'Hello Zebulon', '{"name": "Zebulon"}', 'sent'),
        (null, 'other@old.example', 'Hello', '{}', 'sent');""")
    database.run("""select public.erase_person('{"phone": "+971501112233", "conversations": 1, "subscriptions": 0}')""")
    text = dump(database)
    assert "zebulon" not in text.lower() and "501112233" not in text and "other@old.example" in text
    assert database.text("select count(*), count(distinct recipient) from notification_logs where recipient like 'erased %'") == "2|2"
    assert database.text("select string_agg(recipient, ' ' order by recipient) from notification_logs where recipient not like 'erased %'") == (
        "default desk@agency.example")
    assert database.text("select status from public.notification_logs_before_leadpipe where conversation_id is not null") == "sent"
