"""What visitors store, what grows by many requests, and what a stolen intake login stores must never make a page, the
live feed or a claim of deliveries fail."""

import json
import subprocess

import pytest

from admin import KEY, AdminClient
from common import TEST_USER, clean_environment, until
from instance import Instance, without_limits
from listener import Listener

ID = "3f2504e0-4f89-41d3-9a0c-0305e82c33{:02d}"


@pytest.fixture(scope="module")
def base(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def instance(base):
    with Instance(DATABASE_URL=base.url, ADMIN_API_KEY=KEY, **without_limits()) as instance:
        yield instance


@pytest.fixture(scope="module")
def admin(instance):
    return AdminClient(instance)


def nested(levels):
    """A value with this many levels of lists."""
    return json.loads("[" * levels + "]" * levels)


def lead(number, **more):
    return {**TEST_USER, "customerPhone": f"+97150700{number:04d}", "conversationId": ID.format(number), **more}


def send(instance, body, path="/api/chatbot/leads"):
    status, _, document = instance.http(path, body)
    return status, document


def check_pages(admin, conversation):
    """Reads everything that shows a conversation."""
    for path in ("/api/admin/conversations?limit=100", "/api/admin/conversations?limit=100&include=messages,metadata", "/api/admin/search?query=test",
            "/api/admin/sla", "/api/admin/events", f"/api/admin/conversations/{conversation}", f"/api/admin/conversations/{conversation}/timeline",
            f"/api/admin/conversations/{conversation}/messages", f"/api/admin/conversations/{conversation}/explain"):
        admin.get(path)
    admin.patch(f"/api/admin/conversations/{conversation}", {"tags": ["seen"]})


@pytest.mark.parametrize("name, value", [
    ("metadata", {"a": nested(8)}), ("metadata", {"a": nested(27)}), ("leadScoreBreakdown", {"a": nested(28)}),
    ("messages", [{"id": "1", "messageText": "x", "metadata": {"a": nested(25)}}]), ("budget", nested(29)), ("tags", [nested(28)]),
    ("consent", {"marketing": nested(28)}), ("messages", [nested(28)])])
def test_sets_deep_values_aside(instance, admin, name, value):
    status, document = send(instance, lead(1, **{name: value}))
    assert status in (200, 201) and document["warnings"], document
    check_pages(admin, ID.format(1))


def test_stores_and_shows_8_levels(instance, admin):
    metadata = {"a": nested(7)}
    status, document = send(instance, lead(2, metadata=metadata))
    assert (status, "warnings" in document) == (201, False)
    assert admin.get(f"/api/admin/conversations/{ID.format(2)}")["metadata"] == metadata


def test_bounds_what_is_set_aside(instance, admin, base):
    messages = [{"id": str(number), "messageText": "x" * 5001} for number in range(40)]
    status, document = send(instance, lead(3, messages=messages))
    assert status == 201 and len(document["warnings"]) == 40
    assert int(base.text(f"select octet_length(metadata::text) from conversations where id = '{ID.format(3)}'")) < 20_000


def test_a_continued_conversation_keeps_the_limits_of_one_request(instance, admin, base):
    warnings = set()
    for number in range(8):
        status, document = send(instance, lead(
            4, metadata={f"key-{number}": "x" * 15_000}, tags=[f"tag-{number}-{each}" for each in range(20)], propertyType=["x" * 1900]))
        assert status in (200, 201)
        warnings |= {(one["path"], one["code"]) for one in document.get("warnings", [])}
    assert {("metadata", "conversation_full"), ("tags", "conversation_full")} <= warnings
    row = base.text(
        "select octet_length(metadata::text), cardinality(tags), metadata ? 'key-0', 'tag-0-0' = any (tags) from conversations"
        f" where id = '{ID.format(4)}'")
    size, tags, first_key, first_tag = row.split("|")
    assert int(size) <= 49_152 and tags == "50" and (first_key, first_tag) == ("t", "t")
    check_pages(admin, ID.format(4))


def test_says_nothing_about_a_full_conversation_to_a_stranger(instance):
    _, document = send(instance, lead(4, customerPhone="+971507009999", customerEmail="other@example.com", tags=["new-tag"]))
    assert "warnings" not in document


def test_keeps_all_values_that_were_set_aside(instance, admin):
    for number, value in enumerate(["/first", "/second"]):
        send(instance, lead(5, intent=value if number == 0 else "buy", leadQuality="hot" if number == 0 else value))
    assert admin.get(f"/api/admin/conversations/{ID.format(5)}")["metadata"]["setAside"] == {"intent": "/first", "leadQuality": "/second"}


def test_lists_leave_metadata_out(instance, admin):
    send(instance, lead(6, metadata={"utm": "x"}))
    shown = [one for one in admin.get("/api/admin/conversations?limit=100")["data"] if one["id"] == ID.format(6)]
    assert shown and "metadata" not in shown[0]
    shown = [one for one in admin.get("/api/admin/conversations?limit=100&include=metadata")["data"] if one["id"] == ID.format(6)]
    assert shown[0]["metadata"] == {"utm": "x"}


def test_the_feed_sends_a_burst_of_leads_full_of_quotes(instance):
    quotes = '"' * 5000
    with Listener(instance, seconds=30).beginning() as listener:
        for number in range(10, 20):
            assert send(instance, lead(number, notes=quotes, leadScoreBreakdown={"q": '"' * 8000}, leadScore=80,
                messages=[{"id": str(each), "messageText": quotes} for each in range(5)]))[0] == 201
        seen = set()
        while len(seen) < 10:
            event = listener.next()
            if event.name == "lead.created":
                seen.add(event.data["conversationId"])
    assert seen == {ID.format(number) for number in range(10, 20)}


def test_rows_that_the_owner_stored_are_shown_as_unreadable(instance, admin, base):
    """Rows of earlier versions, or of other programs."""
    send(instance, lead(30))
    deep = "[" * 100 + "]" * 100
    with Listener(instance, seconds=30).beginning() as listener:
        base.run(f"""
            update conversations set metadata = '{{"a": {deep}}}', lead_score_breakdown = jsonb_build_object('a', repeat('x', 2000000)),
              tags = array(select 'tag' || n from generate_series(1, 10000) n), start_time = 'infinity', end_time = '-infinity',
              notes = repeat('"', 600000) where id = '{ID.format(30)}';
            insert into chat_messages (conversation_id, sender, message_text, metadata)
              values ('{ID.format(30)}', 'customer', 'x', '{{"n": 1e1000, "a": {deep}}}');
            select emit_lead_event('lead.updated', '{ID.format(30)}', jsonb_build_object('x', repeat('y', 1000000)));
            select emit_lead_event('lead.updated', '{ID.format(6)}')""")
        found = {event.data["conversationId"]: event.data for event in listener.until(lambda event: event.data["conversationId"] == ID.format(6))}
    assert found[ID.format(30)]["reason"] == "the conversation is too large for the feed; read it by its id"
    shown = admin.get(f"/api/admin/conversations/{ID.format(30)}")
    assert shown["metadata"] == {"unreadable": "it is nested deeper than 16 levels"}
    assert shown["leadScoreBreakdown"] == {"unreadable": "it is larger than 64 KiB"}
    assert (len(shown["tags"]), shown["startTime"], shown["endTime"]) == (100, None, None)
    base.run(f"update conversations set notes = null where id = '{ID.format(30)}'")
    check_pages(admin, ID.format(30))


def test_a_page_of_hostile_leads_has_room_in_a_reply(instance, admin, base):
    quotes = '"' * 5000
    for number in range(100):
        status, document = send(instance, {
            **TEST_USER, "customerPhone": f"+9715071{number:05d}", "notes": quotes, "leadScore": 90, "leadScoreBreakdown": {"q": '"' * 8000},
            "metadata": {"q": '"' * 6000 if number % 2 else "1e99,"}, "tags": ['"' * 90 + str(each) for each in range(50)],
            "messages": [{"id": str(each), "messageText": quotes} for each in range(12)]})
        assert status == 201, document
    page = admin.get("/api/admin/conversations?limit=100&include=messages,metadata")["data"]
    assert len(page) == 100 and all(one["messages"] for one in page)
    numbers = [1] * 200
    text = json.dumps({**TEST_USER, "customerPhone": "+971507299999", "metadata": {"n": numbers}}).replace("1,", "1e99,").encode()
    status, _, document = instance.http("/api/chatbot/leads", text)
    assert (status, document["warnings"][0]["code"]) == (201, "too_large")


def test_a_timeline_full_of_values_that_were_not_stored_fits_into_a_reply(instance, admin):
    send(instance, lead(90))
    quotes = '"' * 9000
    for number in range(205):
        status, _ = send(instance, {
            "conversationId": ID.format(90), "customerName": "Mallory " + quotes[:100], "customerPhone": f"+9715012{number:05d}", "notes": quotes[:5000],
            "propertyType": quotes[:100], "budget": quotes[:100], "leadScore": quotes[:8000], "leadScoreBreakdown": quotes[:8000], "intent": quotes[:8000]})
        assert status == 200
    entries = admin.get(f"/api/admin/conversations/{ID.format(90)}/timeline?limit=200")["data"]
    assert len(entries) == 200, sorted({len(entry["description"] or "") for entry in entries})
    assert max(len(entry["description"] or "") for entry in entries) <= 8200  # with labels for people
    assert any(entry["description"].endswith("…") and "notes: " in entry["description"] for entry in entries)


def intake(instance, statement):
    url = instance.environment["DATABASE_URL"].replace("//leadpipe@", "//leadpipe_intake@")
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url], input=statement, env=clean_environment(),
        capture_output=True, text=True, timeout=60)
    return done.returncode == 0, done.stdout + done.stderr


def document(**changes):
    """An argument of capture_lead."""
    base = {
        "route": "lead-capture", "source": "chatbot", "receivedAt": "2026-11-28T10:00:00Z", "requestId": "r",
        "lead": {"customerName": "Stolen Login", "customerPhone": "+971507000040", "leadScore": 10, "leadQuality": "cold",
            "slaDeadline": "2027-01-01T00:00:00Z"},
        "messages": [], "event": {"type": "lead.created", "payload": {"source": "chatbot"}}, "timeline": {"title": "Lead Created"}}
    for path, value in changes.items():
        *way, last = path.split("__")
        place = base
        for name in way:
            place = place[name]
        place[last] = value
    return json.dumps(base).replace('"@1e400"', "1e400")


HOSTILE = {
    "payload-40-deep": {"event__payload": {"a": nested(40)}}, "metadata-40-deep": {"lead__metadata": {"a": nested(40)}},
    "number-1e400": {"event__payload": {"a": "@1e400"}}, "negative-infinity": {"lead__slaDeadline": "-infinity"},
    "infinite-start": {"lead__startTime": "infinity"}, "infinite-deadlines": {"lead__slaDeadlines": {"hot": "infinity"}},
    "before-christ": {"receivedAt": "0044-03-15 BC"}, "large-name": {"lead__customerName": "x" * 5000},
    "large-payload": {"event__payload": {"a": "x" * 70_000}}, "large-notes": {"lead__notes": "x" * 90_000},
    "many-tags": {"lead__tags": ["x" * 100] * 500}, "infinite-message": {"messages": [{"id": "1", "text": "x", "timestamp": "infinity"}]},
    "large-message": {"messages": [{"id": "1", "text": "x" * 70_000}]}, "many-messages": {"messages": [{"id": str(n), "text": "x"} for n in range(1001)]},
    "large-title": {"timeline": {"title": "x" * 5000}}, "not-a-number": {"lead__budgetAmount": "NaN"}}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("call", ["capture_lead({})", "capture_leads(jsonb_build_array({}))"])
def test_a_stolen_intake_login_stores_nothing_that_cannot_be_shown(instance, base, name, call):
    argument = f"$json${document(**HOSTILE[name])}$json$::jsonb"
    count = base.text("select count(*) from conversations")
    worked, said = intake(instance, f"select {call.format(argument)}")
    assert not worked and "lead_too_large" in said, said[:500]
    assert base.text("select count(*) from conversations") == count


def test_a_stolen_intake_login_can_store_an_ordinary_lead(instance):
    worked, said = intake(instance, f"select capture_lead($json${document()}$json$::jsonb)")
    assert worked, said


def test_a_payload_that_cannot_be_read_delays_no_other_lead(instance, base):
    base.run(f"""select emit_lead_event('lead.created', '{ID.format(6)}', '{{"source": "chatbot", "a": {"[" * 60 + "]" * 60}, "n": 1e400}}')""")
    conversation = send(instance, lead(31))[1]["id"]
    until(lambda: base.text(f"select count(*) from notification_logs where conversation_id = '{conversation}' and status = 'sent'") == "3", 15,
        "the notifications to be sent")
    until(lambda: base.text("select count(*) from lead_events where not processed") == "0", 15, "all events to be finished")
