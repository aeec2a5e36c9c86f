"""A lead that arrives alone takes a path of simple statements, leads that arrive together take one of set-based
statements: both store the same rows and give the same replies."""

import json
import random
import string

import pytest

CHAT = "a1b2c3d4-0000-4000-8000-00000000000c"
UUID_MESSAGE = "5F0C6A54-5b1c-4a8e-9b53-0a4c1a3d7e11"
FULL = {
    "customerName": "Zoë Café", "customerPhone": "+971501234567", "customerEmail": "Zoe@Example.com", "intent": "buy", "budget": "AED 2M",
    "propertyType": "villa", "preferredArea": "Al Furjan", "leadScore": 82, "leadQuality": "hot", "leadScoreBreakdown": {"budget": 30},
    "tags": ["b", "a", "b"], "notes": "Cafe\u0301", "metadata": {"utm": {"source": "bayut"}, "device": "mobile"}, "deviceInfo": "mobile",
    "startTime": "2026-01-06T16:25:00.234Z", "endTime": "2026-01-06T16:26:00.234Z", "durationMinutes": 1,
    "slaDeadline": "2026-01-06T16:40:00.000Z", "budgetAmount": 2000000, "budgetMin": 1500000.5, "budgetMax": None, "budgetCurrency": "AED",
    "budgetPeriod": "year"}
MESSAGES = [
    {"id": UUID_MESSAGE, "sender": "bot", "text": "Hi", "type": "text", "timestamp": "2026-01-06T16:25:00.234Z", "metadata": {"a": 1}},
    {"id": "m-2", "sender": "customer", "text": "Cafe\u0301", "type": "text", "timestamp": "2026-01-06T16:26:00.234Z"},
    {"id": "m-3"}]


def lead(number, fields=None, **more):
    """The argument of capture_lead, with ids by which its rows can be compared."""
    ids = {name: f"01900000-0000-7000-{place}000-{number:012}" for name, place in (("conversation", 8), ("customer", 9), ("event", "a"), ("timeline", "b"))}
    return {"route": "lead-capture", "receivedAt": "2026-11-22T21:00:00.000Z", "source": "chatbot", "requestId": f"request-{number}", "ids": ids,
            "lead": {"customerName": f"N{number}"} if fields is None else fields,
            "event": {"type": "lead.created", "payload": {"customerName": f"N{number}"}},
            "timeline": {"title": "Lead Created", "description": "Captured from chatbot"}} | more


def with_rows(messages, number):
    """The same messages with the ids of their rows, as the handlers send them."""
    return [message | {"rowId": message["id"].lower() if message["id"] == UUID_MESSAGE else f"01900000-0000-7000-8{n:03}-{number:012}"}
            for n, message in enumerate(messages)]


LEADS = {
    "only a name": [lead(1)],
    "no fields at all": [lead(1, {}, event=None, timeline=None, requestId=None)],
    "all fields": [lead(1, FULL, messages=with_rows(MESSAGES, 1), idempotency={"key": "k", "content": {"a": [1, None]}})],
    "messages whose rows have no id yet": [lead(1, FULL, messages=MESSAGES)],
    "no ids": [lead(1, FULL, ids=None, messages=MESSAGES[:1])],
    "a row's id that is not the UUID of its message": [lead(1, messages=[MESSAGES[0] | {"rowId": "01900000-0000-7000-8000-000000000001"}])],
    "two messages with one id": [lead(1, messages=with_rows([*MESSAGES, MESSAGES[1] | {"text": "again"}], 1))],
    "messages null and empty": [lead(1, messages=None), lead(2, messages=[])],
    "a message of another conversation": [lead(1, messages=with_rows(MESSAGES[:2], 1)), lead(2, messages=with_rows(MESSAGES[:2], 2))],
    "a conversation of the client's": [lead(1, conversationId=CHAT), lead(2, conversationId=CHAT.upper(), messages=MESSAGES)],
    "a key without content and one from the content": [
        lead(1, idempotency={"key": "k"}), lead(2, FULL, idempotency={"client": "192.0.2.1", "content": {"a": 1}}),
        lead(3, FULL, idempotency={"client": "192.0.2.1", "content": {"a": 1}}), lead(4, idempotency={"key": "k", "content": {"b": 1}})],
    "one phone number, then one email address": [
        lead(1, FULL), lead(2, {"customerPhone": FULL["customerPhone"], "customerEmail": "new@example.com"}), lead(3, {"customerEmail": "NEW@example.com"}),
        lead(4, {"customerPhone": "+971509999999", "customerEmail": "zoe@example.com"})],
    "an event that notifies nobody": [lead(1, event={"type": "lead.qualified", "payload": {}})],
    "a robot's": [lead(1, FULL, spam=["honeypot"]), lead(2, spam=["too_fast", "missing_work"]), lead(3, spam=[])],
    "no text of a timeline entry": [lead(1, timeline={"title": None, "description": "Cafe\u0301"})],
}
# Without columns that no two calls have in common.
ROWS = """
  select jsonb_build_object(
    'conversations', (select jsonb_agg(to_jsonb(c) - '{created_at,updated_at}'::text[] order by c.created_at) from conversations c),
    'messages', (select jsonb_agg(to_jsonb(m) - '{created_at,updated_at}'::text[] || jsonb_build_object('after', m.created_at > c.created_at)
                 order by c.created_at, m.created_at) from chat_messages m join conversations c on c.id = m.conversation_id),
    'identities', (select jsonb_agg(to_jsonb(i) order by kind, value) from customer_identities i),
    'keys', (select jsonb_agg(to_jsonb(k) - 'created_at' order by key) from idempotency_keys k),
    'events', (select jsonb_agg(to_jsonb(e) - '{created_at,updated_at,processed_at,planned_at,seq,xact}'::text[]
                 || jsonb_build_object('planned', e.planned_at = e.created_at, 'processed', e.processed_at = e.created_at) order by e.seq)
               from lead_events e),
    'timeline', (select jsonb_agg(to_jsonb(t) - 'created_at' order by t.created_at, t.title) from conversation_timeline t),
    'changes', (select jsonb_agg(distinct conversation_id order by conversation_id) from conversation_changes))"""


@pytest.fixture(scope="module")
def database(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


def stored(database, name, function):
    """Captures the leads of a case in calls of one lead each. Returns the replies and all rows."""
    database.run("truncate conversations, customer_identities, idempotency_keys, conversation_changes cascade")
    replies = []
    for argument in LEADS[name]:
        text = json.dumps(argument).replace("'", "''")
        replies.append(json.loads(database.text(f"select {function.format(text)}")))
    names = {}
    # Ids that the database made have version 7 and are not in the arguments. They get numbers in the order of their use.
    return [json.loads(named(json.dumps(each), names, json.dumps(LEADS[name]).lower())) for each in (replies, json.loads(database.text(ROWS)))]


def named(text, names, given):
    for word in text.split('"'):
        if len(word) == 36 and word[14] == "7" and word.count("-") == 4 and word not in given:
            text = text.replace(word, names.setdefault(word, f"made-{len(names)}"))
    return text


def without_times(replies):
    return [{name: value for name, value in reply.items() if name not in ("createdAt", "updatedAt")} for reply in replies]


@pytest.mark.parametrize("name", LEADS)
def test_both_paths_store_the_same(database, name):
    single, batch = stored(database, name, "capture_lead('{}')"), stored(database, name, "capture_leads(jsonb_build_array('{}'::jsonb)) -> 0")
    assert without_times(single[0]) == without_times(batch[0])
    assert single[1] == batch[1]
    assert single[1]["conversations"]


def test_an_id_of_a_message_that_is_too_large_for_its_index_stores_nothing(database):
    # A text that PostgreSQL cannot compress.
    large = json.dumps(lead(1, messages=[{"id": "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=3200))}]))
    for call in (f"capture_lead('{large}')", f"capture_leads('[{large}]')"):
        with pytest.raises(AssertionError, match="lead_too_large"):
            database.text(f"select {call}")


def test_ids_that_are_in_use_store_nothing(database):
    database.run("truncate conversations, customer_identities, idempotency_keys cascade")
    first, second = json.dumps(lead(1)), json.dumps(lead(1, {"customerName": "Other"}))
    database.text(f"select capture_lead('{first}')")
    for call in (f"capture_lead('{second}')", f"capture_leads('[{second}]')"):
        with pytest.raises(Exception, match="write_conflict"):
            database.text(f"select {call}")
    assert database.text("select string_agg(customer_name, ',') from conversations") == "N1"
