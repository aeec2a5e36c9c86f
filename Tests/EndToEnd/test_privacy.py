"""What is stored about a person is shown, exported and erased, and the audit log says who did it."""

import json
import re
import subprocess
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from cluster import Session
from common import BIN, clean_environment, until
from instance import Instance

NAME, PHONE, EMAIL = "Zebulon Quartermaine", "+971501112233", "zebulon@quartermaine.example"
# Words that occur nowhere else in the database.
TRACES = ["zebulon", "quartermaine", "501112233", "332211105", "penthousequest", "oystershell", "sapphirebox", "moonwharf", "larkspurnote"]


def lead(**members):
    return {
        "customerName": NAME, "customerPhone": PHONE, "customerEmail": EMAIL, "conversationId": str(uuid.uuid4()),
        "preferredArea": "Moonwharf", "budget": "2,000,000 AED for my sapphirebox", "notes": "larkspurnote",
        "metadata": {"utm": {"campaign": "oystershell"}}, "tags": ["oystershell"],
        "messages": [{"id": "zebulon-1", "messageText": "I am on a penthousequest, call zebulon"}], **members}


def leadpipe(database, *words, lines="", status=0):
    done = subprocess.run(
        [str(BIN / "leadpipe"), *words], input=lines, env=clean_environment(DATABASE_URL=database.url), capture_output=True, text=True, timeout=30)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stderr


def dump(database):
    return subprocess.run(["pg_dump", "--data-only", database.url], env=clean_environment(), capture_output=True, text=True, check=True, timeout=60).stdout


def traces(database):
    text = dump(database).lower()
    return {word: re.findall(f".{{0,60}}{word}.{{0,60}}", text)[:3] for word in TRACES if word in text}


COUNTS = """select status in ('lost', 'completed', 'converted') as closed, source, lead_quality, count(*), sum(lead_score)
  from conversations group by 1, 2, 3 order by 1, 2, 3"""
TABLES = ["conversations", "chat_messages", "lead_events", "conversation_timeline", "follow_up_tasks", "notification_logs", "notification_attempts"]


@pytest.fixture
def filled(database):
    """Two leads and a subscription of the person, with all that follows from them, and leads of others."""
    with Instance(DATABASE_URL=database.url, ADMIN_API_KEY="the-admin-key-of-the-tests") as instance:
        def admin(path, body, method="POST"):
            status, _, document = instance.http(f"/api/admin/{path}", body, method, {"x-admin-api-key": "the-admin-key-of-the-tests"})
            assert status < 300, (status, document)
            return document
        first = lead()
        ids = [instance.capture(first), instance.capture(lead(customerEmail="", conversationId=str(uuid.uuid4())))]
        instance.capture({**first, "messages": [{"id": "zebulon-2", "messageText": "penthousequest again"}]})
        # Somebody else, who once sends the person's number to a conversation of another customer.
        other = {"customerName": "Other Person", "customerPhone": "+971509998877", "conversationId": str(uuid.uuid4()),
                 "messages": [{"id": "o1", "messageText": "call about the villa"}]}
        other_id = instance.capture(other)
        instance.capture({**other, "customerPhone": PHONE, "customerName": NAME})
        assert instance.http("/api/newsletter/subscribe", {"email": EMAIL.upper()})[0] == 201
        admin(f"conversations/{ids[0]}/follow-ups", {"followUpDate": "2027-01-01T10:00:00Z", "reminderType": "call", "reminderText": "call zebulon"})
        admin(f"conversations/{ids[0]}", {"notes": "larkspurnote two"}, "PATCH")
        admin(f"conversations/{ids[0]}/respond", {})
        until(lambda: database.count("lead_events", "not processed") == 0, 30, "the end of all deliveries")
    database.run("select leadpipe.index_conversations()")
    return ids, other_id


def test_erased_person_is_in_no_table(database, filled):
    ids, other = filled
    assert set(traces(database)) == set(TRACES)
    before = [database.count(table) for table in TABLES], database.text(COUNTS)

    shown = json.loads(leadpipe(database, "person", "show", "--json", lines=PHONE + "\n"))
    assert {c["id"] for c in shown["conversations"]} == set(ids) and shown["emails"] == [EMAIL] and len(shown["subscriptions"]) == 1
    assert NAME in leadpipe(database, "person", "show", lines="050 111 22 33\n")

    exported = json.loads(leadpipe(database, "person", "export", lines=EMAIL + "\n"))
    assert {row["id"] for row in exported["conversations"]} == set(ids)
    assert {"penthousequest" in row["message_text"] for row in exported["chat_messages"]} == {True}
    assert len(exported["lead_events"]) == database.count("lead_events", f"conversation_id = any ('{{{','.join(ids)}}}')")
    assert exported["sent_to_other_conversations"][0]["customerPhone"] == PHONE and exported["notification_attempts"]
    assert exported["notification_logs"] and exported["follow_up_tasks"] and exported["conversation_timeline"] and exported["newsletter_subscribers"]

    assert "nothing was erased" in leadpipe(database, "person", "erase", lines=PHONE + "\nno\n", status=65)
    assert set(traces(database)) == set(TRACES)
    said = leadpipe(database, "person", "erase", "--by", "Sara", lines=PHONE + "\nerase\n")
    assert said.endswith("erased 2 conversations and 1 subscription, cancelled 0 notifications\n")

    assert traces(database) == {}
    after = [database.count(table) for table in TABLES]
    # The subscription's event is deleted with its deliveries, and each erased timeline has a new entry.
    changed = dict(zip(TABLES, (b - a for a, b in zip(before[0], after, strict=True)), strict=True))
    assert changed["conversations"] == changed["chat_messages"] == changed["follow_up_tasks"] == 0 and changed["conversation_timeline"] == 2
    assert database.text("select count(*), sum(lead_score) from conversations") == database.text(
        f"select {sum(int(line.split('|')[3]) for line in before[1].splitlines())}, {sum(int(line.split('|')[4]) for line in before[1].splitlines())}")
    assert database.text(f"select customer_name, customer_phone from conversations where id = '{other}'") == "Other Person|+971509998877"
    # Words of others are still found, and those of the person are not.
    database.run("select leadpipe.index_conversations()")
    assert traces(database) == {}
    assert database.count("known_words", "word = 'villa'") == 1

    entries = [json.loads(line) for line in leadpipe(database, "audit", "--json").splitlines()]
    assert [(e["actor"], e["action"], e["subject"]) for e in entries if e["action"] != "person.exported"] == [("Sara", "person.erased", None)]
    assert entries[0]["details"] == {"conversations": 2, "subscriptions": 1, "consents": 0, "notificationsCancelled": 0}
    assert "nothing is stored about a person" in leadpipe(database, "person", "show", lines=PHONE + "\n", status=65)


def test_waiting_notifications_are_cancelled_and_never_sent(database):
    with Instance(DATABASE_URL=database.url, SLACK_WEBHOOK_URL="http://127.0.0.1:9/hook", ADMIN_API_KEY="the-admin-key-of-the-tests") as instance:
        id = instance.capture(lead())
        until(lambda: database.count("notification_logs", "status = 'failed' and next_attempt_at is not null"), 20, "a failed attempt")
        leadpipe(database, "person", "erase", "--yes", lines=EMAIL + "\n")
        rows = database.rows("select id, status, error_message, next_attempt_at, outcome_class from notification_logs")
        assert [(r["status"], r["error_message"], r["next_attempt_at"]) for r in rows] == [("failed", "cancelled: the person's data was erased", None)]
        assert database.text("select processed, last_error from lead_events where event_type = 'lead.created'") == "t|cancelled: the person's data was erased"
        # An operator cannot send it either, because its content is gone.
        headers = {"x-admin-api-key": "the-admin-key-of-the-tests"}
        status, _, problem = instance.http(f"/api/admin/notifications/{rows[0]['id']}/retry", {}, headers=headers)
        assert (status, problem["code"]) == (409, "notification_erased"), problem
        event = database.text("select id from lead_events where event_type = 'lead.created'")
        status, _, problem = instance.http(f"/api/admin/events/{event}/replay", {}, headers=headers)
        assert (status, problem["code"]) == (409, "notification_erased"), problem
        assert leadpipe(database, "event", "replay", "--channel", "slack").endswith("0 will be sent again\n")
        # The lead is still a lead, without its person.
        status, _, document = instance.http(f"/api/admin/conversations/{id}", headers=headers)
        assert status == 200 and document["status"] == "lost" and document["customerName"] is None
        # The person writes again: this is a new request.
        assert instance.capture(lead()) != id
        assert database.count("customer_identities") == 2


def test_chat_that_repeats_itself_brings_nothing_back(database):
    with Instance(DATABASE_URL=database.url) as instance:
        old = {"id": "1", "messageText": "penthousequest", "timestamp": (datetime.now(UTC) - timedelta(minutes=5)).isoformat()}
        chat = lead(messages=[old])
        id = instance.capture(chat)
        leadpipe(database, "person", "erase", "--yes", lines=EMAIL + "\n")
        assert instance.capture({**chat, "budget": "sapphirebox again"}) == id
        assert traces(database) == {} and database.text("select status from conversations") == "lost"
        # A newer message is new data, with the fields that are sent with it.
        new = {"id": "2", "messageText": "hello again", "timestamp": (datetime.now(UTC) + timedelta(seconds=2)).isoformat()}
        assert instance.capture({**chat, "messages": [old, new]}) == id
        assert database.text("select string_agg(message_text, ',' order by message_text) from chat_messages") == ",hello again"
        assert database.text("select status, customer_name from conversations") == f"new|{NAME}"


def test_erasing_beside_a_capture_leaves_nothing(database):
    """A capture that has locked the conversation adds an event, which the erasure must not miss."""
    body = lead(messages=[{"id": "1", "messageText": "hello"}])
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false") as instance:
        id = instance.capture(body)
        session = Session(database.url)
        session.text("begin")
        session.text(f"select 1 from conversations where id = '{id}' for no key update")
        erasing = subprocess.Popen(
            [str(BIN / "leadpipe"), "person", "erase", "--yes"], env=clean_environment(DATABASE_URL=database.url),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        erasing.stdin.write(PHONE + "\n")
        erasing.stdin.close()
        until(lambda: database.count("pg_stat_activity", "wait_event_type = 'Lock'") == 1, 10, "an erasure that waits")
        session.text(f"""select emit_lead_event('lead.qualified', '{id}', '{{"customerName": "{NAME}"}}')""")
        session.text("commit")
        assert erasing.wait(20) == 0, erasing.stdout.read()
        assert traces(database) == {}


def test_erased_deliveries_cannot_be_retried_beside_the_erasure(database):
    with Instance(DATABASE_URL=database.url, SLACK_WEBHOOK_URL="http://127.0.0.1:9/hook") as instance:
        instance.capture(lead())
        until(lambda: database.count("notification_logs", "status = 'failed' and next_attempt_at is not null"), 20, "a failed attempt")
        session = Session(database.url)
        session.text("begin")
        shown = json.loads(leadpipe(database, "person", "show", "--json", lines=PHONE + "\n"))
        argument = json.dumps({"phone": PHONE, "conversations": len(shown["conversations"]), "subscriptions": 0})
        session.text(f"select public.erase_person('{argument}')")
        retry = subprocess.Popen(
            [str(BIN / "leadpipe"), "delivery", "retry", "--channel", "slack"], env=clean_environment(DATABASE_URL=database.url),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        until(lambda: database.count("pg_stat_activity", "wait_event_type = 'Lock' and query ~ 'retry_deliveries'") == 1, 10, "a retry that waits")
        session.text("commit")
        retry.communicate(timeout=20)
        assert database.text("select status, next_attempt_at is null from notification_logs") == "failed|t"


def test_subscriber_without_a_lead_is_exported_and_erased(database):
    with Instance(DATABASE_URL=database.url) as instance:
        assert instance.http("/api/newsletter/subscribe", {"email": EMAIL})[0] == 201
        exported = json.loads(leadpipe(database, "person", "export", lines=EMAIL + "\n"))
        assert exported["conversations"] == [] and exported["newsletter_subscribers"][0]["email"] == EMAIL
        assert exported["subscription_events"][0]["payload"]["email"] == EMAIL
        assert "erased 0 conversations and 1 subscription" in leadpipe(database, "person", "erase", "--yes", lines=EMAIL + "\n")
        assert traces(database) == {}


def test_erases_only_what_was_seen(database):
    for function, problem in [("erase_person", "person_changed"), ("show_person", "person_not_found")]:
        done = database.psql(f"""select public.{function}('{{"phone": "{PHONE}", "conversations": 0, "subscriptions": 0}}')""", check=False)
        assert "person_not_found" in done.stderr, problem
    database.run(f"insert into conversations (customer_name, customer_phone) values ('{NAME}', '{PHONE}')")
    done = database.psql(f"""select public.erase_person('{{"phone": "{PHONE}", "conversations": 2, "subscriptions": 0}}')""", check=False)
    assert "person_changed" in done.stderr
    assert database.count("conversations", "customer_name is not null") == 1
    assert "must be a phone number" in leadpipe(database, "person", "show", lines="nobody\n", status=65)


def test_audit_log_is_append_only_for_everybody(database):
    key = leadpipe(database, "key", "create", "Omar", "--rights", "write", "--by", "Sara")
    leadpipe(database, "key", "revoke", "Omar", "--by", "Sara")
    assert key.strip() not in dump(database)
    assert database.text("select actor, action, subject, details from leadpipe.audit_log order by created_at") == (
        'Sara|key.created|Omar|{"rights": "write"}\nSara|key.revoked|Omar|{}')
    for statement in ["update leadpipe.audit_log set actor = 'x'", "delete from leadpipe.audit_log", "truncate leadpipe.audit_log"]:
        assert "audit_log is append-only" in database.psql(statement, check=False).stderr, statement
    for role in ["service_role", "leadpipe_admin", "leadpipe_worker", "leadpipe_intake", "anon", "authenticated"]:
        for statement in [
                "insert into leadpipe.audit_log (actor, action) values ('x', 'y')", "update leadpipe.audit_log set actor = 'x'",
                "delete from leadpipe.audit_log"]:
            done = database.psql(f"set role {role}; {statement}", check=False)
            assert "permission denied" in done.stderr, (role, statement, done.stderr)
    assert database.count("leadpipe.audit_log") == 2
