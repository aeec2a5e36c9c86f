"""The routes with which owners show, export, erase and merge persons, through the gateway. No contact is in a log."""

import json
import subprocess
import uuid

import pytest

from admin import KEY, AdminClient, with_key
from common import clean_environment, until
from instance import Instance

NAME, PHONE, EMAIL = "Zebulon Quartermaine", "+971501112233", "zebulon@quartermaine.example"
TRACES = ["zebulon", "quartermaine", "501112233", "332211105", "penthousequest", "larkspurnote"]
CONSENT = {"marketing": True, "policyVersion": "2026-01"}


def lead(**members):
    return {
        "customerName": NAME, "customerPhone": PHONE, "customerEmail": EMAIL, "conversationId": str(uuid.uuid4()), "notes": "larkspurnote",
        "consent": CONSENT, "messages": [{"id": "zebulon-1", "messageText": "I am on a penthousequest"}], **members}


def traces(database):
    text = subprocess.run(["pg_dump", "--data-only", database.url], env=clean_environment(), capture_output=True, text=True, check=True, timeout=60).stdout
    return {word for word in TRACES if word in text.lower()}


@pytest.fixture
def instance(database):
    # A channel that refuses connections: its notifications wait for their next attempt.
    with Instance(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, SLACK_WEBHOOK_URL="http://127.0.0.1:9/hook") as instance:
        yield instance


def test_owner_shows_exports_and_erases(database, instance):
    admin = AdminClient(instance)
    id = instance.capture(lead())
    assert instance.http("/api/newsletter/subscribe", {"email": EMAIL})[0] == 201
    until(lambda: database.count("notification_logs", "status = 'failed' and next_attempt_at is not null") == 2, 20, "failed attempts")
    counts = "select (select count(*) from conversations), (select count(*) from chat_messages), (select sum(lead_score) from conversations)"
    before = database.text(counts)

    shown = admin.post("/api/admin/persons/show", {"contact": "050 111 2233"})
    assert shown["phones"] == [PHONE] and shown["emails"] == [EMAIL] and shown["merges"] == []
    assert [(c["id"], {k: c["consent"][k] for k in CONSENT}) for c in shown["conversations"]] == [(id, CONSENT)]
    assert shown["conversations"][0]["consent"]["at"].startswith("20") and len(shown["subscriptions"]) == 1

    status, headers, copy = admin.request("POST", "/api/admin/persons/export", {"contact": EMAIL})
    assert status == 200 and headers["cache-control"] == "no-store" and headers["content-type"] == "application/json"
    assert headers["content-disposition"].startswith('attachment; filename="person-')
    assert copy["conversations"][0]["id"] == id and copy["conversations"][0]["metadata"]["consent"]["policyVersion"] == "2026-01"
    assert copy["chat_messages"] and copy["lead_events"] and copy["notification_logs"] and copy["newsletter_subscribers"]

    database.run("select leadpipe.index_conversations()")
    wrong = {"contact": PHONE, "conversations": 2, "subscriptions": 1}
    assert admin.post("/api/admin/persons/erase", wrong, 409)["code"] == "person_changed"
    assert set(traces(database)) == set(TRACES)
    done = admin.post("/api/admin/persons/erase", {**wrong, "conversations": 1})
    assert (done["conversations"], done["subscriptions"], done["consents"]) == (1, 1, 1) and done["notificationsCancelled"] >= 1
    assert traces(database) == set() and database.text(counts) == before
    assert database.text("select status, error_message, next_attempt_at is null from notification_logs where conversation_id is not null") == (
        "failed|cancelled: the person's data was erased|t")
    assert admin.post("/api/admin/persons/show", {"contact": PHONE}, 404)["code"] == "person_not_found"

    entries = admin.get("/api/admin/audit?limit=10")["data"]
    assert [(e["action"], e["actor"], e["subject"]) for e in entries] == [("person.erased", "ADMIN_API_KEY", None), ("person.exported", "ADMIN_API_KEY", None)]
    assert entries[0]["details"] == {"conversations": 1, "subscriptions": 1, "consents": 1, "notificationsCancelled": done["notificationsCancelled"]}
    # Neither logs nor URLs have the contact.
    assert "quartermaine" not in instance.log.lower() and "501112233" not in instance.log


def test_only_owners_may(database, instance):
    id = instance.capture(lead())
    bodies = {
        "show": {"contact": PHONE}, "export": {"contact": PHONE}, "erase": {"contact": PHONE, "conversations": 1, "subscriptions": 0},
        "merge": {"keep": PHONE, "merge": EMAIL}, "merge/undo": {"id": str(uuid.uuid4())}}
    for rights in ("read", "write"):
        client = with_key(instance, database, f"The {rights}r", rights)
        for path, body in bodies.items():
            assert client.post(f"/api/admin/persons/{path}", body, 403)["code"] == "insufficient_rights", path
    for path, body in bodies.items():
        assert AdminClient(instance, "wrong").post(f"/api/admin/persons/{path}", body, 401)["code"] == "key_required", path
    assert database.text("select id, customer_name from conversations") == f"{id}|{NAME}"
    assert database.count("leadpipe.audit_log", "action like 'person%'") == 0


def test_cookie_needs_its_csrf_token(instance):
    instance.capture(lead())
    status, headers, session = instance.http("/api/admin/session", {"key": KEY})
    assert status == 201
    cookie = {"cookie": headers["set-cookie"].split(";")[0]}
    for path in ("show", "export", "erase", "merge", "merge/undo"):
        status, _, problem = instance.http(f"/api/admin/persons/{path}", {"contact": PHONE}, headers=cookie)
        assert (status, problem["code"]) == (403, "csrf_token_required"), path
    status, _, shown = instance.http("/api/admin/persons/show", {"contact": PHONE}, headers={**cookie, "x-csrf-token": session["csrfToken"]})
    assert status == 200 and shown["phones"] == [PHONE]


def test_contact_in_the_url_is_refused(instance):
    admin = AdminClient(instance)
    instance.capture(lead())
    for path in ("show", "export"):
        problem = admin.post(f"/api/admin/persons/{path}?contact=a@b.example", {"contact": PHONE}, 400)
        assert problem["details"][0]["code"] == "unknown_parameter"
    assert admin.request("GET", "/api/admin/persons/show")[0] == 405


def test_export_larger_than_a_reply_arrives_whole(database, instance):
    instance.capture(lead())
    database.run("insert into chat_messages (conversation_id, sender, message_text)"
                 " select id, 'customer', repeat('x', 5000) from conversations, generate_series(1, 500)")
    _, _, copy = AdminClient(instance).request("POST", "/api/admin/persons/export", {"contact": PHONE})
    assert len(copy["chat_messages"]) == 501 and len(json.dumps(copy)) > 2_500_000


def test_owner_merges_and_undoes(database, instance):
    admin = AdminClient(instance)
    first, second = instance.capture(lead()), instance.capture(lead(customerPhone="+971509998877", customerEmail="other@zebulon.example", messages=[]))
    done = admin.post("/api/admin/persons/merge", {"keep": PHONE, "merge": "other@zebulon.example"})
    assert done == {"id": done["id"], "isNew": True, "conversations": 1, "contacts": 2}
    again = admin.post("/api/admin/persons/merge", {"keep": PHONE, "merge": "other@zebulon.example"})
    assert again == {"id": done["id"], "isNew": False, "conversations": 0, "contacts": 0}
    shown = admin.post("/api/admin/persons/show", {"contact": "+971509998877"})
    assert {c["id"] for c in shown["conversations"]} == {first, second} and [m["id"] for m in shown["merges"]] == [done["id"]]
    undone = admin.post("/api/admin/persons/merge/undo", {"id": done["id"]})
    assert undone == {"id": done["id"], "isNew": True, "conversations": 1, "contacts": 2}
    assert admin.post("/api/admin/persons/merge/undo", {"id": done["id"]})["isNew"] is False
    assert admin.post("/api/admin/persons/merge/undo", {"id": str(uuid.uuid4())}, 404)["code"] == "merge_not_found"
    assert [c["id"] for c in admin.post("/api/admin/persons/show", {"contact": PHONE})["conversations"]] == [first]
    actions = [e["action"] for e in admin.get("/api/admin/audit")["data"]]
    assert actions == ["person.merge_undone", "person.merged"]
