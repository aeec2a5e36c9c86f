"""Robots: what is caught is kept aside, is told nothing, notifies nobody, and comes back with one click."""

import hashlib
import json
import random
import time
import uuid
from itertools import count
from urllib.parse import quote

import pytest

from common import until
from instance import Instance
from sink import Sink

KEY = "the-admin-key-of-the-tests"
ADMIN = {"x-admin-api-key": KEY}
NAMES = count(1)


@pytest.fixture(scope="module")
def agency(tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink")) as sink, Instance(ADMIN_API_KEY=KEY, AUTO_ASSIGN="off", **sink.settings) as instance:
        instance.sink = sink
        yield instance


def token(instance, wait=2.1):
    status, headers, found = instance.http("/api/form-token")
    assert status == 200 and headers["cache-control"] == "no-store" and found["minimumSeconds"] == 2 and found["work"] is None
    time.sleep(wait)
    return found["token"]


def contact(instance, **more):
    """The id of a contact form's lead, and its reply."""
    fields = {"customerName": f"Visitor {next(NAMES)}", "customerEmail": f"{uuid.uuid4()}@example.com", "message": "Hello", **more}
    status, _, document = instance.http("/api/contact", fields)
    assert status == 201, document
    return document["id"], document


def row(instance, id, columns="status"):
    return instance.database.text(f"select concat_ws('|', {columns}) from conversations where id = '{id}'")


def listed(instance, query=""):
    return {one["id"] for one in instance.http(f"/api/admin/conversations?limit=100{query}", headers=ADMIN)[2]["data"]}


def deliveries(instance, id):
    return instance.database.count("notification_logs", f"conversation_id = '{id}'")


def change(instance, id, **fields):
    status, _, document = instance.http(f"/api/admin/conversations/{id}", fields, method="PATCH", headers=ADMIN)
    assert status == 200, document
    return document


def test_a_caught_lead_is_kept_aside_and_comes_back_once(agency):
    good, _ = contact(agency)
    caught, reply = contact(agency, website2="https://casino.example")
    assert set(reply) == {"success", "id", "message"}, "the sender is told nothing"
    until(lambda: deliveries(agency, good) == 3, 10, "the good lead's deliveries")
    assert row(agency, caught, "status, sla_response_deadline, sla_breached, metadata -> 'spam' -> 'reasons'") == 'spam|f|["honeypot"]'
    assert deliveries(agency, caught) == 0
    assert good in listed(agency) and caught not in listed(agency) and listed(agency, "&status=spam") >= {caught} and good not in listed(agency, "&status=spam")
    name = row(agency, caught, "customer_name")
    words = name.replace(" ", "%20")
    found = agency.http(f"/api/admin/search?query={words}", headers=ADMIN)[2]["data"]
    assert caught not in {one["id"] for one in found}
    asked = f"/api/admin/search?query={words}&filters=" + quote('{"status":["spam"]}')
    until(lambda: caught in {one["id"] for one in agency.http(asked, headers=ADMIN)[2]["data"]}, 10, "the search for spam")
    until(lambda: caught in {one["id"] for one in agency.http(f"/api/admin/conversations?query={words}&status=spam", headers=ADMIN)[2]["data"]}, 10)
    assert caught not in {one["id"] for one in agency.http("/api/admin/sla?limit=100", headers=ADMIN)[2]["data"]}
    analytics = agency.http("/api/admin/analytics", headers=ADMIN)[2]
    assert analytics["totalConversations"] == agency.database.count("conversations", "status <> 'spam'")
    assert sum(one["count"] for one in analytics["conversationVolumeTrend"]) == analytics["totalConversations"]
    # One click back: the deadline runs from now, and the deliveries are planned once.
    began = time.time()
    shown = change(agency, caught, status="new")
    assert shown["status"] == "new" and shown["slaState"] == "ok"
    until(lambda: deliveries(agency, caught) == 3, 10, "the released lead's deliveries")
    until(lambda: sum(name in json.dumps(message) for message in agency.sink.messages) == 3, 10, "its messages")
    due = float(row(agency, caught, "extract(epoch from sla_response_deadline)"))
    assert abs(due - began - 86_400) < 30, "a cold lead has a day"
    change(agency, caught, status="spam")
    assert row(agency, caught, "status, sla_response_deadline, sla_breached") == "spam|f"
    change(agency, caught, status="new")
    time.sleep(1)
    assert deliveries(agency, caught) == 3 and agency.database.count("lead_events", "not processed") == 0


def test_moving_to_spam_stops_what_is_still_to_be_sent(agency):
    id, _ = contact(agency)
    until(lambda: deliveries(agency, id) == 3, 10)
    agency.database.run(
        "update notification_logs set status = 'failed', next_attempt_at = now() + interval '1 hour', outcome_class = 'retry' "
        f"where conversation_id = '{id}'")
    agency.database.run(f"update lead_events set processed = false, processed_at = null where conversation_id = '{id}' and event_type = 'lead.created'")
    change(agency, id, status="spam")
    assert agency.database.count("notification_logs", f"conversation_id = '{id}' and next_attempt_at is not null") == 0
    assert agency.database.count("lead_events", f"conversation_id = '{id}' and not processed") == 0
    assert "marked as spam" in agency.database.text(f"select max(error_message) from notification_logs where conversation_id = '{id}'")
    # Neither a retry nor a replay sends them.
    first = agency.database.text(f"select id from notification_logs where conversation_id = '{id}' order by id limit 1")
    assert agency.http(f"/api/admin/notifications/{first}/retry", {}, headers=ADMIN)[2]["code"] == "notification_of_spam"
    for call in ("retry_deliveries('{\"channel\": \"slack\", \"class\": \"permanent\"}')", "replay_events('{\"from\": \"2026-01-01\"}')"):
        agency.database.run(f"select {call}")
    assert agency.database.count("notification_logs", f"conversation_id = '{id}' and (next_attempt_at is not null or replay_of is not null)") == 0
    # It was a mistake: they are sent after all.
    change(agency, id, status="new")
    until(lambda: agency.database.count("notification_logs", f"conversation_id = '{id}' and status = 'sent'") == 3, 15, "the messages")


def test_a_lead_that_is_released_after_days_is_tried_as_long_as_a_new_one(agency):
    id, _ = contact(agency, website2="x")
    agency.database.run(f"update lead_events set created_at = created_at - interval '4 days' where conversation_id = '{id}'")
    change(agency, id, status="new")
    assert agency.database.count("lead_events", f"conversation_id = '{id}' and event_type = 'lead.created' and created_at > now() - interval '1 minute'") == 1
    until(lambda: agency.database.count("notification_logs", f"conversation_id = '{id}' and status = 'sent'") == 3, 15, "the messages")


@pytest.mark.parametrize("status", ["new", "lost", "completed", "converted"])
def test_a_robots_request_changes_nothing_in_a_conversation_and_does_not_reopen_it(agency, status):
    chat = {"customerName": "Open Chat", "customerPhone": "+971501112299", "conversationId": str(uuid.uuid4())}
    assert agency.http("/api/chatbot/leads", chat)[0] == 201
    if status != "new":
        change(agency, chat["conversationId"], status=status)
    sent = {**chat, "website2": "x", "customerEmail": "robot@example.com", "intent": "buy", "budget": "9M AED"}
    assert agency.http("/api/chatbot/leads", sent)[0] == 200
    assert row(agency, chat["conversationId"], "status, coalesce(customer_email, '-'), coalesce(intent, '-'), coalesce(budget, '-')") == f"{status}|-|-|-"
    entry, = agency.database.rows(f"select title, description, metadata from conversation_timeline where conversation_id = '{chat['conversationId']}'"
                                  " and metadata ? 'spam'")
    assert entry["title"] == "Submission that looks like a robot's" and "robot@example.com" in entry["description"]


def test_an_erased_robot_is_closed_and_retention_counts_spam(agency):
    id, _ = contact(agency, website2="x", customerEmail="robot-to-erase@example.com")
    shown = agency.http("/api/admin/persons/show", {"contact": "robot-to-erase@example.com"}, headers=ADMIN)[2]
    status, _, _ = agency.http("/api/admin/persons/erase", {"contact": "robot-to-erase@example.com", "conversations": len(shown["conversations"]),
                                                            "subscriptions": 0}, headers=ADMIN)
    assert status == 200 and row(agency, id) == "lost"
    old, _ = contact(agency, website2="x")
    agency.database.run("set session_replication_role = replica; "
                        f"update conversations set created_at = now() - interval '90 days', updated_at = now() - interval '90 days' where id = '{old}'; "
                        f"update chat_messages set created_at = now() - interval '90 days' where conversation_id = '{old}'")
    assert json.loads(agency.database.text("select count_old_leads('{\"days\": 30}')"))["leads"] == 1


def test_signs_are_judged_and_a_good_token_is_not_one(agency):
    early = token(agency, wait=0)
    assert row(agency, contact(agency, formToken=early)[0]) == "spam"
    time.sleep(2.1)
    assert row(agency, contact(agency, formToken=early)[0]) == "new", "the same tab, a little later"
    assert row(agency, contact(agency, formToken=early[:-1] + ("0" if early[-1] != "0" else "1"))[0]) == "spam"
    assert row(agency, contact(agency, formToken="", website2="")[0]) == "new"
    assert row(agency, contact(agency)[0]) == "new"


def test_a_chat_that_was_caught_stays_aside_until_a_good_token_comes(agency):
    chat = {"customerName": "Sara Chat", "customerPhone": "+971501112233", "conversationId": str(uuid.uuid4()), "leadQuality": "hot", "leadScore": 90,
            "metadata": {"spam": "mine", "page": "/"}}

    def say(text, **more):
        status, _, document = agency.http("/api/chatbot/leads", {**chat, "messages": [{"id": text, "messageText": text}], **more})
        assert status in (200, 201) and document["conversation"]["status"] == "new" and "spam" not in document["conversation"]["metadata"], document
        return row(agency, chat["conversationId"], "status, sla_response_deadline is null")
    assert say("one", website2="x") == "spam|t"
    assert say("two", customerEmail="sara@example.com") == "spam|t"
    assert say("three", formToken="forged") == "spam|t"
    good = token(agency)
    assert say("four", formToken=good, customerPhone="+971509998877") == "spam|t", "another person's token is no proof"
    assert deliveries(agency, chat["conversationId"]) == 0
    assert say("five", formToken=good) == "new|f"
    until(lambda: deliveries(agency, chat["conversationId"]) == 3, 10, "the deliveries")
    assert agency.database.count("chat_messages", f"conversation_id = '{chat['conversationId']}'") == 5
    # What looks like a robot's does not touch a good conversation.
    assert say("six", website2="x", customerName="Casino") == "new|f"
    assert row(agency, chat["conversationId"], "customer_name") == "Sara Chat"


def test_a_caught_subscription_is_not_active(agency):
    address = f"{uuid.uuid4()}@example.com"
    for sent, wanted in (({"website2": "x"}, "spam"), ({}, "active"), ({"website2": "x"}, "active")):
        status, _, document = agency.http("/api/newsletter/subscribe", {"email": address, **sent})
        assert status == 201 and document["data"]["status"] == "active"
        assert agency.database.text(f"select status from newsletter_subscribers where email = '{address}'") == wanted


def test_replaying_a_period_does_not_send_spam(agency):
    caught, _ = contact(agency, website2="x")
    agency.database.run("select replay_events('{\"from\": \"2020-01-01T00:00:00Z\", \"asOf\": \"2100-01-01T00:00:00Z\", \"class\": null}')")
    time.sleep(1)
    assert deliveries(agency, caught) == 0


@pytest.mark.seconds(120)
def test_of_generated_traffic_no_person_is_caught_and_most_robots_are():
    dice = random.Random(21)
    with Instance(FORM_WORK_BITS="4") as instance:
        tokens = []
        for _ in range(3):
            found = instance.http("/api/form-token")[2]
            work = next(n for n in count() if hashlib.sha256(f"{found['token']}:{n}".encode()).digest()[0] < 16)
            assert found["work"] == {"bits": 4}
            tokens.append({"formToken": found["token"], "formWork": str(work)})
        time.sleep(2.1)
        people = [contact(instance, **dice.choice([*tokens, {}, {"website2": "", "formToken": ""}]))[0] for _ in range(60)]
        robots = [contact(instance, **dice.choice([
            {"website2": "x"}, {"formToken": "1.2.3.4.5"}, {"formToken": tokens[0]["formToken"]}, {**tokens[1], "formWork": "x"},
            {**tokens[2], "website2": "x"}]))[0] for _ in range(60)]
        statuses = dict(line.split("|") for line in instance.database.text("select string_agg(id || '|' || status, ' ') from conversations").split(" "))
        assert {statuses[id] for id in people} == {"new"} and {statuses[id] for id in robots} == {"spam"}


def test_required_tokens_and_a_missing_secret(database):
    import handlers
    body = {"customerName": "Sara", "customerPhone": "+971501234567", "message": "Hello"}
    envelope = {"version": "2.0", "rawPath": "/api/contact", "headers": {"content-type": "application/json"}, "body": json.dumps(body),
                "requestContext": {"requestId": "r", "http": {"method": "POST", "path": "/api/contact", "sourceIp": "192.0.2.1"}}}
    settings = {"DATABASE_URL": database.url, "FORM_TOKENS": "required"}
    assert handlers.run("contact-capture", json.dumps(envelope).encode(), **settings).returncode == 78
    settings["FORM_TOKEN_SECRET"] = "s" * 32
    assert handlers.run("contact-capture", json.dumps(envelope).encode(), **settings).returncode == 0
    assert handlers.run("contact-capture", json.dumps({**body, "message": "piped"}).encode(), **settings).returncode == 0
    assert database.text("select string_agg(status, ' ' order by created_at) from conversations") == "spam new"
    off = {"version": "2.0", "rawPath": "/api/form-token", "requestContext": {"requestId": "r", "http": {"method": "GET", "path": "/api/form-token"}}}
    done = handlers.run("form-token", json.dumps(off).encode())
    assert done.returncode == 65 and "form_tokens_off" in json.loads(done.stdout)["body"]
