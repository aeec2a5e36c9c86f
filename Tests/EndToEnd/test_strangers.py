"""A lead is stored, and another client tries to read or change it: with its id, its key, its phone number, its email
address, its messages' ids; over HTTP, by hand, and with the intake login."""

import json
import subprocess

import pytest

import handlers
from capture_handlers import CAPTURES, by_name
from cluster import Session
from common import clean_environment
from instance import Instance, without_limits

ID = "8a6e0804-2bd0-4672-b79d-d97027f9071a"
MESSAGE = "5f0c6a54-5b1c-4a8e-9b53-0a4c1a3d7e11"
KEY = "victim-key-1"
PHONE, MAIL = "+971509876543", "zahra.alcanari@example.org"
# The customer's data. Each value occurs nowhere else.
VICTIM = {
    "customerName": "Zahra Alcanari", "customerPhone": PHONE, "customerEmail": MAIL, "conversationId": ID, "intent": "sell",
    "budget": "AED 7,654,321", "propertyType": "Penthouse-Canary", "preferredArea": "Palm-Canary", "leadScore": 87, "leadQuality": "hot",
    "tags": ["tag-canary"], "notes": "note-canary", "metadata": {"utm": "utm-canary", "device": {"model": "device-canary"}},
    "leadScoreBreakdown": {"part": "breakdown-canary"}, "idempotencyKey": KEY,
    "messages": [{"id": MESSAGE, "messageText": "message-canary", "metadata": {"m": "meta-canary"}},
        {"id": "m2", "sender": "bot", "messageText": "bot-canary"}]}
# Internal data of the lead.
AFTERWARDS = f"""
  update conversations set status = 'in-progress', conversation_summary = 'summary-canary', outcome = 'outcome-canary',
    conversion_value = 76543, follow_up_date = '2027-01-02T03:04:05Z', first_response_at = now() where id = '{ID}';
  insert into lead_events (event_type, conversation_id, payload) values ('lead.qualified', '{ID}', '{{"x": "event-canary"}}');"""
SECRETS = [
    "Zahra", "Alcanari", PHONE, PHONE[1:], MAIL, "zahra", "7,654,321", "7654321", "Penthouse", "Palm-", "tag-canary", "note-canary", "utm-canary",
    "device-canary",
    "breakdown-canary", "message-canary", "meta-canary", "bot-canary", "summary-canary", "outcome-canary", "76543", "2027-01-02", "event-canary",
    ":87,", MESSAGE, KEY]

STRANGER = {"customerName": "Mallory Stranger", "customerPhone": "+4930901820", "customerEmail": "mallory@example.com"}
LEADS = "/api/chatbot/leads"
NOBODY = "00000000-0000-4000-8000-00000000dead"


@pytest.fixture(scope="module")
def instance(cluster):
    database = cluster.migrated()
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", **without_limits()) as instance:
        yield instance
    cluster.drop(database)


STANDING = f"""
  select (select count(*) from conversations), jsonb_build_array(to_jsonb(c) - 'updated_at',
    (select jsonb_agg(to_jsonb(m) - 'updated_at' order by m.id) from chat_messages m
     where m.conversation_id = c.id and m.message_text in ('message-canary', 'bot-canary')),
    (select jsonb_agg(i order by kind) from customer_identities i where i.value in ('{PHONE}', '{MAIL}')),
    (select jsonb_agg(k) from idempotency_keys k where k.key = '{KEY}' and k.route = 'lead-capture'),
    (select jsonb_agg(e order by e.id) from lead_events e where e.conversation_id = c.id and e.event_type <> 'lead.updated'),
    (select jsonb_agg(t order by t.id) from conversation_timeline t where t.conversation_id = c.id and t.event_type = 'created'))
  from conversations c where id = '{ID}'"""


class Victim:
    """The stored lead."""

    def __init__(self, instance):
        self.instance = instance
        self.session = Session(instance.environment["DATABASE_URL"])
        self.before = None

    def look(self):
        """(number of conversations, everything that is stored of this one)."""
        count, _, standing = self.session.text(STANDING).partition("|")
        return int(count or 0), standing

    def store(self):
        self.instance.database.wipe()
        status, _, document = self.instance.http(LEADS, VICTIM)
        assert status == 201, document
        self.instance.database.run(AFTERWARDS)
        self.conversations, self.before = self.look()

    def is_unchanged(self):
        return self.look()[1] == self.before


@pytest.fixture(scope="module")
def stored(instance):
    victim = Victim(instance)
    yield victim
    victim.session.close()


@pytest.fixture
def victim(stored):
    """The lead as it was stored. It is stored again if an earlier test changed it."""
    stored.conversations, standing = stored.look()
    if standing != stored.before:
        stored.store()
    return stored


def shows(reply, request):
    """The secrets in a reply that were not in its own request."""
    return [secret for secret in SECRETS if secret in reply and secret not in request]


# ── From outside: the request and the status of its reply ──

TRIES = {
    # By id
    "id-alone": (LEADS, {**STRANGER, "conversationId": ID}, 200),
    "id-in-capitals": (LEADS, {**STRANGER, "conversationId": ID.upper()}, 200),
    "id-and-everything-else": (LEADS, {
        **STRANGER, "conversationId": ID, "intent": "rent", "budget": "AED 1", "propertyType": "Shed", "preferredArea": "Nowhere", "leadScore": 100,
        "leadQuality": "hot", "tags": ["taken"], "notes": "taken over", "metadata": {"utm": "taken", "device": {"model": "taken"}},
        "leadScoreBreakdown": {"part": "taken"}, "consent": {"marketing": True}}, 200),
    "id-and-score-0": (LEADS, {**STRANGER, "conversationId": ID, "leadScore": 0, "leadQuality": "cold"}, 200),
    "id-and-fields-of-the-row": (LEADS, {
        **STRANGER, "conversationId": ID, "status": "lost", "id": ID, "customer_phone": "+4930901820", "tenant_id": 1,
        "created_at": "2000-01-01T00:00:00Z",
        "assignedAgentId": NOBODY, "outcome": "won", "conversionValue": 1, "source": "admin", "proven": True,
        "slaResponseDeadline": "2000-01-01T00:00:00Z"}, 200),
    "id-and-blank-fields": (LEADS, {**STRANGER, "conversationId": ID, "notes": " ", "budget": "", "tags": [], "metadata": {}, "messages": []}, 200),
    "id-and-a-message": (LEADS, {**STRANGER, "conversationId": ID, "messages": [{"id": "new", "messageText": "hello"}]}, 200),
    "id-and-a-message-of-the-same-id": (LEADS, {**STRANGER, "conversationId": ID,
        "messages": [{"id": MESSAGE, "messageText": "changed"}, {"id": "m2", "messageText": "changed"}]}, 200),
    "id-and-old-messages": (LEADS, {**STRANGER, "conversationId": ID,
        "messages": [{"id": "old", "messageText": "x", "timestamp": "2020-01-01T00:00:00Z"}]}, 200),
    "id-and-the-customers-id": (LEADS, {**STRANGER, "conversationId": ID, "customerId": NOBODY}, 200),
    "id-and-another-mail-only": (LEADS, {"customerName": "Zz", "customerPhone": "+4930901820", "conversationId": ID}, 200),
    "id-and-the-number-almost": (LEADS, {**STRANGER, "customerPhone": PHONE[:-1] + "4", "conversationId": ID}, 200),
    "id-and-the-address-almost": (LEADS, {**STRANGER, "customerEmail": "x" + MAIL, "conversationId": ID}, 200),
    "id-and-an-invalid-field": (LEADS, {"customerName": "Z", "customerPhone": "no", "conversationId": ID}, 400),
    "id-with-spaces": (LEADS, {**STRANGER, "conversationId": f" {ID} "}, 200),
    "id-with-sql": (LEADS, {**STRANGER, "conversationId": ID + "' or '1'='1"}, 400),
    "id-as-a-list": (LEADS, {**STRANGER, "conversationId": [ID]}, 400),
    "id-in-the-query": (LEADS + f"?conversationId={ID}&id={ID}", STRANGER, 201),
    "message-id-in-a-chat-of-ones-own": (LEADS, {**STRANGER, "messages": [{"id": MESSAGE, "messageText": "changed"}]}, 201),
    # By key
    "key-and-another-body": (LEADS, {**STRANGER, "idempotencyKey": KEY}, 422),
    "key-and-the-id": (LEADS, {**STRANGER, "idempotencyKey": KEY, "conversationId": ID}, 422),
    "key-and-an-invalid-body": (LEADS, {"idempotencyKey": KEY}, 400),
    "key-and-nearly-the-body": (LEADS, {**VICTIM, "notes": "note-canary "}, 422),
    "key-and-the-body-in-a-chat-of-ones-own": (LEADS, {key: value for key, value in VICTIM.items() if key != "conversationId"}, 422),
    "key-and-the-very-body": (LEADS, VICTIM, 201),
    "key-and-the-body-in-another-order": (LEADS, dict(reversed(VICTIM.items())), 201),
    "key-in-capitals": (LEADS, {**STRANGER, "idempotencyKey": KEY.upper()}, 201),
    "key-with-the-route-before-it": (LEADS, {**STRANGER, "idempotencyKey": f"lead-capture:{KEY}"}, 201),
    # By phone number and email address, without the id: a new conversation
    "number": (LEADS, {"customerName": "Mallory Stranger", "customerPhone": PHONE}, 201),
    "number-in-another-writing": (LEADS, {"customerName": "Mallory Stranger", "customerPhone": "0509876543", "leadScore": 100, "notes": "mine"}, 201),
    "address": (LEADS, {**STRANGER, "customerEmail": MAIL}, 201),
    "address-in-capitals": (LEADS, {**STRANGER, "customerEmail": MAIL.upper()}, 201),
    "number-and-address": (LEADS, {**STRANGER, "customerPhone": PHONE, "customerEmail": MAIL}, 201),
    "number-and-another-chat": (LEADS, {**STRANGER, "customerPhone": PHONE, "conversationId": NOBODY}, 201),
    # By the URL of the resource
    "get": ("GET " + LEADS, None, 405), "get-with-query": (f"GET {LEADS}?id={ID}", None, 405), "get-one": (f"GET {LEADS}/{ID}", None, 404),
    "head": ("HEAD " + LEADS, None, 405), "put": (f"PUT {LEADS}/{ID}", STRANGER, 404), "patch": (f"PATCH {LEADS}", {"id": ID, "status": "lost"}, 405),
    "delete": (f"DELETE {LEADS}/{ID}", None, 404), "conversations": (f"GET /api/conversations/{ID}", None, 404),
    "health": (f"GET /health?id={ID}", None, 200),
}


@pytest.mark.parametrize("name", TRIES)
def test_other_client_reads_nothing_and_changes_nothing(instance, victim, name):
    """A reply contains no stored data beyond its own request's, and the lead is unchanged."""
    where, body, expected = TRIES[name]
    method, _, path = where.rpartition(" ")
    status, headers, document = instance.http(path, body, method=method or None)

    assert status == expected, document
    said = json.dumps(document, ensure_ascii=False) + json.dumps(headers)
    own = json.dumps(body, ensure_ascii=False) + (PHONE if "number-in" in name else "") + (MAIL if "address-in" in name else "")
    assert not shows(said, own), said
    assert "customerId" not in said and "customer_id" not in said
    count, standing = victim.look()
    assert standing == victim.before
    assert count == victim.conversations + (expected == 201 and body.get("idempotencyKey") != KEY)


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL"])
def test_headers_do_not_override_the_route(instance, victim, header):
    status, _, document = instance.http("/api/nowhere", STRANGER, headers={header: "DELETE" if "Method" in header else LEADS + "/" + ID})
    assert status == 404 and not shows(json.dumps(document), "") and victim.is_unchanged()


@pytest.mark.parametrize("path", ["/api/admin/conversations", f"/api/admin/conversations/{ID}", f"/api/admin/conversations/{ID}/messages",
                                  "/api/admin/search?query=Zahra"])
@pytest.mark.parametrize("headers", [{}, {"x-admin-api-key": ""}, {"Authorization": "Bearer "}, {"x-admin-api-key": "guess"}],
    ids=["none", "empty", "bearer", "guess"])
def test_admin_routes_reveal_nothing_without_a_key(instance, victim, path, headers):
    status, _, document = instance.http(path, headers=headers)
    assert status in (401, 404, 503) and not shows(json.dumps(document), path)


def test_id_and_phone_number_allow_changes_but_no_reading(instance, victim):
    """A request with the stored phone number or email address may replace fields. Absent fields stay, and are not
    shown."""
    body = {"customerName": "Zed New", "customerPhone": "050 987 6543", "conversationId": ID, "leadScore": 12}
    status, headers, document = instance.http(LEADS, body)
    assert status == 200 and not shows(json.dumps(document) + json.dumps(headers), json.dumps(body) + PHONE)
    assert not victim.is_unchanged()
    assert instance.database.text(
        "select customer_name, customer_email, lead_score, lead_quality, budget, notes, tags, metadata ->> 'utm'"
        f" from conversations where id = '{ID}'") == (
        f"Zed New|{MAIL}|87|hot|AED 7,654,321|note-canary|{{tag-canary}}|utm-canary")


def test_phone_number_added_by_another_client_proves_nothing(instance, victim):
    """A client with only the id cannot add its own phone number and use it as proof later."""
    for body in ({**STRANGER, "conversationId": ID}, {**STRANGER, "conversationId": ID, "notes": "taken", "leadScore": 100}):
        assert instance.http(LEADS, body)[0] == 200
    assert victim.is_unchanged()


def test_idempotency_key_is_bound_to_its_route(instance, victim):
    """The same key and body on another route is a new submission, and the stored one is not shown."""
    for capture in CAPTURES:
        if capture.path == LEADS:
            continue
        status, headers, document = instance.http(capture.path, {**capture.body, "idempotencyKey": KEY})
        assert status == 201 and "idempotency-replayed" not in headers
        assert not shows(json.dumps(document), json.dumps(capture.body))
    assert victim.is_unchanged()


@pytest.mark.parametrize("capture", CAPTURES, ids=by_name)
@pytest.mark.parametrize("known", [{"customerPhone": PHONE}, {"customerEmail": MAIL}, {"customerPhone": PHONE, "customerEmail": MAIL}],
    ids=["number", "address", "both"])
def test_phone_number_and_email_address_reveal_nothing(instance, victim, capture, known):
    """On every form it is a new submission. Nothing stored is shown or changed."""
    body = {**capture.body, **known}
    status, headers, document = instance.http(capture.path, body)
    assert status == 201 and document["id"] != ID
    assert not shows(json.dumps(document) + json.dumps(headers), json.dumps(body))
    assert victim.is_unchanged()


@pytest.mark.parametrize("capture", CAPTURES, ids=by_name)
def test_handlers_by_hand_reveal_nothing_more(instance, victim, capture):
    """Pipe and stream, bare and enveloped, with the same request."""
    body = {**capture.body, "conversationId": ID}
    for given in (body, handlers.envelope(body, path=capture.path)):
        for arguments in ((), ("--stream",)):
            done = handlers.run(capture.handler, given, *arguments, DATABASE_URL=instance.database.url)
            assert done.returncode == 0, done.stderr
            assert not shows(done.stdout.decode(), json.dumps(body))
            assert not shows(done.stderr.decode(), "")
    assert victim.is_unchanged()


# ── With the intake login: what a compromised handler could do ──

INTAKE = {
    "tables": "select 1 from {table} limit 1", "counts": "select count(*) from {table}", "rows-out": "copy {table} to stdout",
    "writes": "insert into {table} default values",
    "deletes": "delete from {table}", "truncates": "truncate {table}", "locks": "begin; lock table {table} in share mode; rollback",
    "drops": "drop table {table}",
    "policies": "alter table {table} disable row level security",
    "triggers": "create trigger t after insert on {table} execute function suppress_redundant_updates_trigger()",
}
BEYOND = {
    "becomes-the-owner": "set role leadpipe", "becomes-the-worker": "set role leadpipe_worker", "becomes-the-admin": "set role leadpipe_admin",
    "becomes-service-role": "set role service_role", "reads-a-file": "select pg_read_file('/etc/passwd')",
    "writes-a-file": "copy (select 1) to '/tmp/out'",
    "starts-a-program": "copy (select 1) to program 'id'", "makes-a-table": "create table public.t (a int)",
    "makes-a-function": "create function public.f() returns int language sql as 'select 1'",
    "makes-an-extension": "create extension dblink", "makes-a-role": "create role r",
    "replaces-capture": "create or replace function public.capture_lead(p jsonb) returns jsonb language sql as 'select p'",
    "claims": "select claim_deliveries('{}')", "begins": "select begin_deliveries('{\"deliveries\": []}')",
    "records": "select record_outcomes('{\"outcomes\": []}')",
    "emits": "select emit_lead_event('lead.created', null)", "asks-for-breaches": "select * from get_sla_breach_candidates(99999)",
    "adds-messages": f"select leadpipe.add_messages('{ID}', '[]', now())",
    "remembers": f"select leadpipe.remember_customer('{PHONE}', null, gen_random_uuid())",
    "writes-the-timeline": f"select add_timeline_entry('{ID}', 'created', 'x')",
    "reads-what-others-run": "select 1 / (select count(*) from pg_stat_activity"
                             " where usename = 'leadpipe' and query not like '<insufficient%' and query <> '')",
    "reads-statistics": "select 1 / (select count(*) from pg_stats where schemaname = 'public')",
    "ends-others": "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'leadpipe' limit 1",
    "does-all-in-a-block": "do $$ begin perform 1 from public.conversations; end $$",
}


def intake(instance, statement):
    """Runs a statement with the intake login. Returns (whether it succeeded, its output)."""
    url = instance.environment["DATABASE_URL"].replace("//leadpipe@", "//leadpipe_intake@")
    done = subprocess.run(
        ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", url], input=statement, text=True, env=clean_environment(),
        capture_output=True, timeout=30)
    return done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", INTAKE)
def test_intake_login_has_no_right_to_any_table(instance, victim, name):
    tables = instance.database.text(
        "select oid::regclass from pg_class where relkind in ('r', 'v', 'm', 'S') and relnamespace = 'public'::regnamespace").splitlines()
    assert len(tables) > 12
    # All in one session. Each is its own transaction, and each must fail.
    script = "\\set ON_ERROR_STOP off\n" + "".join(f"{INTAKE[name].format(table=table)};\n" for table in tables)
    _, said = intake(instance, script)
    assert said.count("42501") + said.count("42809") + said.count("must be owner") >= len(tables), said
    assert not shows(said, script) and victim.is_unchanged()


@pytest.mark.parametrize("name", BEYOND)
def test_intake_login_can_do_nothing_but_capture(instance, victim, name):
    worked, said = intake(instance, BEYOND[name])
    assert not worked or said.strip() == "", said
    assert not shows(said, BEYOND[name]) and victim.is_unchanged()


DIRECT = {
    "id": {"conversationId": ID, "lead": {"customerName": "Mallory", "customerPhone": "+4930901820", "leadScore": 100}},
    "nothing-but-the-id": {"conversationId": ID},
    "blank-phone": {"conversationId": ID, "lead": {"customerPhone": "", "customerEmail": "", "customerName": "M"}},
    "score-beyond": {"conversationId": ID, "lead": {"leadScore": 101, "customerPhone": "+4930901820"}},
    "no-number-where-one-belongs": {"conversationId": ID, "lead": {"leadScore": "x"}},
    "deadline": {"conversationId": ID, "lead": {"slaDeadline": "-infinity", "startTime": "-infinity", "endTime": "infinity",
    "durationMinutes": 2147483647}},
    "messages": {"conversationId": ID, "messages": [{"id": MESSAGE, "text": "changed"}, {"id": "m2", "text": "changed"}]},
    "messages-of-no-sender": {"conversationId": ID, "messages": [{"id": "n1", "text": "x", "sender": "admin"}]},
    "another-event": {"conversationId": ID, "event": {"type": "lead.converted", "payload": {}}},
    "key": {"route": "lead-capture", "idempotency": {"key": KEY, "content": "{}"}, "lead": {"customerName": "M"}},
    "key-and-id": {"route": "lead-capture", "idempotency": {"key": KEY, "content": "{}"}, "conversationId": ID},
    "nothing": {},
}


@pytest.mark.parametrize("name", DIRECT)
def test_capture_called_directly_returns_only_ids_and_times(instance, victim, name):
    """The one function that intake may call reveals no more when it is called directly, without the handler."""
    argument = json.dumps({"source": "chatbot", "receivedAt": "2026-11-22T21:00:00Z", **DIRECT[name]})
    worked, said = intake(instance, f"select capture_lead($p${argument}$p$)")
    assert not shows(said, argument), said
    if worked:
        assert json.loads(said).keys() == {"outcome", "created", "id", "status", "createdAt", "updatedAt", "eventId", "messagesAdded"}
    assert victim.is_unchanged()


# ── The newsletter ──

SUBSCRIBER = "select to_jsonb(s) - 'updated_at' from newsletter_subscribers s where email = 'reader@example.org'"


@pytest.mark.parametrize("email", ["reader@example.org", "READER@Example.Org"])
def test_subscribing_reveals_and_changes_no_subscription(instance, victim, email):
    """The reply for a known address equals the reply for an unknown one, except for ids and the address."""
    instance.database.run("insert into newsletter_subscribers (email, source, ip_address, user_agent) values"
                          " ('reader@example.org', 'source-canary', '192.0.2.77', 'agent-canary') on conflict do nothing")
    before = instance.database.text(SUBSCRIBER)
    known, unknown = (instance.http("/api/newsletter/subscribe", {"email": one, "source": "stranger"}) for one in (email, "somebody-new@example.org"))
    assert known[0] == unknown[0] == 201
    assert known[2].keys() == unknown[2].keys() and known[2]["data"].keys() == unknown[2]["data"].keys() == {"id", "email", "status"}
    assert known[2]["data"]["status"] == unknown[2]["data"]["status"] == "active"
    said = json.dumps(known[2]) + json.dumps(known[1])
    token = instance.database.text("select unsubscribe_token from newsletter_subscribers where email = 'reader@example.org'")
    assert not [secret for secret in ("canary", "192.0.2.77", token) if secret in said]
    assert instance.database.text(SUBSCRIBER) == before
    # The subscriber's id is not the token. It cannot end the subscription.
    assert instance.http("/api/newsletter/unsubscribe", {"token": known[2]["data"]["id"]})[0] == 404
    assert instance.database.text(SUBSCRIBER) == before
