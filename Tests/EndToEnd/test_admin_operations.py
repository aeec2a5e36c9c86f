"""Notifications, channels, events, subscribers and explanations over HTTP and on the command line, on a running
instance."""

import json

import pytest

from admin import KEY, AdminClient, with_key
from cluster import leadpipe
from common import TEST_USER, shown, until
from instance import Instance
from sink import Sink

NOBODY = "00000000-0000-4000-8000-00000000dead"
READS = ["conversations/{id}/messages", "conversations/{id}/timeline", "conversations/{id}/notifications",
         "conversations/{id}/events", "conversations/{id}/explain", "notifications", "channels", "events"]
WRITES = [("POST", "/api/admin/notifications/{id}/retry", "write"), ("POST", "/api/admin/events/{id}/replay", "owner"),
          ("POST", "/api/admin/channels/slack/resume", "owner"), ("POST", "/api/admin/channels/slack/test", "owner"),
          ("DELETE", "/api/newsletter/subscribers/{id}", "owner")]


@pytest.fixture(scope="module")
def base(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink")) as sink:
        yield sink


@pytest.fixture(scope="module")
def instance(base, sink):
    with Instance(DATABASE_URL=base.url, ADMIN_API_KEY=KEY, WORKER_POLL_SECONDS="1", **sink.settings) as instance:
        yield instance


@pytest.fixture(scope="module")
def admin(instance):
    return AdminClient(instance)


@pytest.fixture(scope="module")
def lead(instance, base):
    """The id of a lead whose notifications have been sent."""
    made = instance.capture({**TEST_USER, "budget": "AED 5M", "messages": [{"id": "1", "messageText": "a villa"}, {"id": "2", "messageText": "by the sea"}]})
    until(lambda: base.count("notification_logs", f"conversation_id = '{made}' and status = 'sent'") == 3, 20, "the first messages")
    return made


def command(base, *words, code=0, **environment):
    done = leadpipe(*words, DATABASE_URL=base.url, **environment)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# ── One conversation ──

def test_conversation_history_is_readable(admin, lead):
    base = f"/api/admin/conversations/{lead}"
    assert [m["messageText"] for m in admin.get(f"{base}/messages")["data"]] == ["a villa", "by the sea"]
    timeline = admin.get(f"{base}/timeline")["data"]
    assert timeline[-1] | {"id": "", "at": ""} == {
        "id": "", "type": "created", "title": "New lead", "description": "From the chatbot", "actorType": "customer", "actorName": None,
        "at": "", "metadata": {}}
    assert {entry["title"] for entry in timeline[:-1]} == {f"The team was notified {way}" for way in ("on Slack", "on Telegram", "by email")}
    notifications = admin.get(f"{base}/notifications")
    assert (notifications["total"], {n["state"] for n in notifications["data"]}) == (3, {"sent"})
    events = admin.get(f"{base}/events")["data"]
    assert events[-1]["type"] == "lead.created" and len(events[-1]["deliveries"]) == 3
    assert sum(event["type"] == "notification.sent" for event in events) == 3


def test_cursors_stay_correct_while_a_list_grows(admin, instance, lead):
    seen, cursor = [], ""
    while True:
        page = admin.get(f"/api/admin/events?limit=2{cursor}")
        seen += [event["id"] for event in page["data"]]
        instance.capture({**TEST_USER, "conversationId": lead})  # a new event, before those on this page
        if page["nextCursor"] is None or len(seen) > 40:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert len(seen) == len(set(seen))
    everything = [event["id"] for event in admin.get("/api/admin/events?limit=200")["data"]]
    assert everything[-len(seen):] == seen


@pytest.mark.parametrize("path", READS)
def test_read_only_key_may_read_everything(instance, base, admin, lead, path):
    path = "/api/admin/" + path.format(id=lead)
    reader = with_key(instance, base, f"reader of {path}", "read")
    assert reader.get(path).keys() == admin.get(path).keys()
    assert AdminClient(instance, "not a key of this instance").request("GET", path)[0] == 401
    status, headers, _ = admin.request("POST", path, {})
    assert status == 405 and "GET" in headers["allow"]


@pytest.mark.parametrize("path", [f"/api/admin/{path}" for path in READS if "explain" not in path and path != "channels"] + ["/api/newsletter/subscribers"])
def test_names_invalid_query_parameters(admin, lead, path):
    path = path.format(id=lead)
    for query, field in (("limit=0", "limit"), ("limit=201", "limit"), ("limit=1e3", "limit"), ("limit=%2B5", "limit"), ("cursor=abc", "cursor"),
                         ("cursor=WyJ4Il0", "cursor"), ("cursor=%27%3B--", "cursor"), ("cursor=" + "A" * 500, "cursor"), ("limti=5", "limti"),
                         ("status[]=new", "status[]")):
        status, _, document = admin.request("GET", f"{path}?{query}")
        assert (status, [error["path"] for error in document["details"]]) == (400, [field]), (query, document)


@pytest.mark.parametrize("path, field", [
    ("conversations?dateFrom=2026-11-12&dateTo=2026-11-10", "dateTo"), ("events?since=2026-11-24T00:00:00Z&until=2026-11-23T00:00:00Z", "until"),
    ("analytics?from=2026-11-20&to=2026-11-10", "to"), ("analytics?timeZone=localtime", "timeZone"), ("search?query=a&status=lost", "status"),
    ("search?query=a&filters=%7B%22dateFrom%22%3A%222026-11-12%22%2C%22dateTo%22%3A%222026-11-10%22%7D", "dateTo"), ("events?page=2", "page"),
    ("agents?statu=busy", "statu"), ("channels?x=1", "x")])
def test_rejects_misleading_query_parameters(admin, path, field):
    status, _, document = admin.request("GET", f"/api/admin/{path}")
    assert (status, [error["path"] for error in document["details"]]) == (400, [field]), document


@pytest.mark.parametrize("method, path, right", WRITES)
def test_changes_require_their_right(instance, base, method, path, right):
    path = path.format(id=NOBODY)
    for rights in ("read", "write"):
        admin = with_key(instance, base, f"{rights} for {path}", rights)
        status, _, document = admin.request(method, path)
        assert status == (404 if right == rights else 403), document
    assert AdminClient(instance, "not a key of this instance").request(method, path)[0] == 401
    assert AdminClient(instance).request("GET", path)[0] == 405


# ── Notifications and events ──

def test_retry_sends_a_delivery_that_was_given_up(admin, base, sink, lead):
    one = base.value(f"select id from notification_logs where conversation_id = '{lead}' and channel = 'slack' order by created_at limit 1")
    status, _, document = admin.request("POST", f"/api/admin/notifications/{one}/retry")
    assert (status, document["code"]) == (409, "notification_sent")
    base.run(f"update notification_logs set status = 'failed', outcome_class = 'permanent', error_message = 'refused', sent_at = null where id = '{one}'")
    assert [row["id"] for row in admin.get("/api/admin/notifications?status=given-up&channel=slack")["data"]] == [one]
    sent = sink.counts["slack"]["taken"]
    assert admin.post(f"/api/admin/notifications/{one}/retry", None, 202)["state"] == "waiting"
    until(lambda: base.count("notification_logs", f"id = '{one}' and status = 'sent'") == 1, 15, "the message")
    assert sink.counts["slack"]["taken"] == sent + 1
    assert admin.get(f"/api/admin/conversations/{lead}/timeline")["data"][1] | {"id": "", "at": "", "metadata": {}} == {
        "id": "", "type": "notification_sent", "title": "Another attempt to notify the team on Slack", "description": None,
        "actorType": "agent", "actorName": "ADMIN_API_KEY", "at": "", "metadata": {}}


def test_replay_sends_an_event_again(admin, base, sink, lead):
    event = base.value(f"select id from lead_events where conversation_id = '{lead}' and event_type = 'lead.created'")
    before = sink.counts
    made = admin.post(f"/api/admin/events/{event}/replay", None, 202)["deliveries"]
    assert sorted(row["channel"] for row in made) == ["email", "slack", "telegram"]
    assert admin.request("POST", f"/api/admin/events/{event}/replay")[0] in (409, 202)  # depends on how fast the worker is
    until(lambda: base.count("notification_logs", "status <> 'sent'") == 0, 15, "the replay")
    assert all(sink.counts[channel]["taken"] > before[channel]["taken"] for channel in ("slack", "telegram", "email"))
    assert base.count("notification_logs", f"id in ({', '.join(repr(row['id']) for row in made)}) and replay_of is not null") == 3
    quiet = base.value("select id from lead_events where event_type = 'notification.sent' limit 1")
    assert admin.request("POST", f"/api/admin/events/{quiet}/replay")[2]["code"] == "event_without_notifications"


def test_lists_events_of_every_type(admin, base):
    for name in base.text("select unnest(enum_range(null::lead_event_type))").split("\n"):
        assert {event["type"] for event in admin.get(f"/api/admin/events?type={name}")["data"]} <= {name}
    assert admin.request("GET", "/api/admin/events?type=lead.odd")[0] == 400


# ── Channels ──

@pytest.mark.parametrize("channel, words", [("slack", "Test Message"), ("telegram", "Test Message"), ("email", "Test message from Leadpipe")])
def test_test_message_arrives(admin, base, sink, channel, words):
    before = sink.counts[channel]["taken"]
    queued = admin.post(f"/api/admin/channels/{channel}/test", None, 202)
    one, = [row["id"] for row in queued["deliveries"]]
    # Long before the worker's next poll.
    until(lambda: base.count("notification_logs", f"id = '{one}' and status = 'sent'") == 1, 15, "the message")
    assert sink.counts[channel]["taken"] == before + 1
    told = json.dumps([message for message in sink.messages if "ADMIN_API_KEY" in json.dumps(message)], ensure_ascii=False)
    assert words in told and "This channel works" in told
    assert base.count("lead_events", f"id = '{queued['eventId']}' and processed") == 1


def test_command_line_tests_a_channel_and_waits_for_the_result(base, sink, instance):
    settings = {**sink.settings, "LEADPIPE_WAKE": f"{instance.state}/wake.sock"}
    told = command(base, "channel", "test", "slack", "--wait", "--by", "Night Shift", **settings)
    assert told.startswith("It was sent via slack at ")
    row, = [json.loads(line) for line in command(base, "channel", "test", "email", "--wait", "--json", **settings).splitlines()]
    assert row["state"] == "sent"
    assert "is queued" in command(base, "channel", "test", "telegram", **settings)
    done = leadpipe("channel", "test", "slack", DATABASE_URL=base.url)
    assert (done.returncode, done.stderr) == (65, "this channel is not configured; LEADPIPE_CHANNELS of this process does not name it\n")


def test_shows_and_ends_a_pause(admin, base):
    base.run("""insert into notification_channels (channel, paused_until, paused_since, pause_class, pause_reason)
      values ('telegram', now() + interval '1 hour', now(), 'config', 'chat not found')
      on conflict (channel) do update set paused_until = excluded.paused_until, paused_since = now(), pause_class = 'config',
        pause_reason = 'chat not found'""")
    channel, = [row for row in admin.get("/api/admin/channels")["data"] if row["name"] == "telegram"]
    assert (channel["state"], channel["class"], channel["reason"], channel["recipients"]) == ("paused", "config", "chat not found", ["-1001"])
    queued = admin.post("/api/admin/channels/telegram/test", None, 202)
    assert queued["pausedUntil"] == channel["pausedUntil"]
    assert admin.post("/api/admin/channels/telegram/resume", None)["wasPaused"] is True
    until(lambda: base.count("notification_logs", f"id = '{queued['deliveries'][0]['id']}' and status = 'sent'") == 1, 15, "what waited")
    assert admin.post("/api/admin/channels/telegram/resume", None)["wasPaused"] is False
    for action in ("test", "resume"):
        for name in ("fax", "whatsapp", "slack%27--", "SLACK"):
            assert admin.request("POST", f"/api/admin/channels/{name}/{action}")[0] == 404


# ── The newsletter ──

def test_lists_deletes_and_resubscribes_a_subscriber(admin, instance, base):
    subscribe = {"email": "Reader@Example.com", "source": "footer"}
    assert instance.http("/api/newsletter/subscribe", subscribe)[0] == 201
    one, = admin.get("/api/newsletter/subscribers?query=reader@")["data"]
    assert (one["email"].lower(), one["status"], one["source"]) == ("reader@example.com", "active", "footer")
    status, _, reply = admin.request("DELETE", f"/api/newsletter/subscribers/{one['id']}")
    assert (status, reply) == (200, {"success": True, "id": one["id"]})
    assert admin.request("DELETE", f"/api/newsletter/subscribers/{one['id']}")[0] == 404
    assert admin.get("/api/newsletter/subscribers?query=reader@")["total"] == 0
    assert base.count("lead_events", "payload::text ilike '%reader@example.com%'") == 0
    assert instance.http("/api/newsletter/subscribe", subscribe)[0] == 201
    until(lambda: base.count("lead_events", "event_type = 'newsletter.subscribed' and processed") == 1, 15, "the new subscription's event")


# ── Explanations ──

def test_explains_a_lead_over_http_and_on_the_command_line(admin, base, lead):
    why = admin.get(f"/api/admin/conversations/{lead}/explain")
    assert sum(part["points"] for part in why["score"]["parts"]) == why["score"]["total"]
    assert sum(part["of"] for part in why["score"]["parts"]) == 100
    interval, = why["sla"]["intervals"]
    assert interval["to"] == why["sla"]["deadline"]
    assert all("It was sent via" in delivery["sentence"] for delivery in why["deliveries"])
    assert command(base, "explain", lead).splitlines() == why["sentences"]
    assert json.loads(command(base, "explain", lead, "--json")) == why
    assert "Europe/Berlin" in command(base, "explain", lead, TIME_ZONE="Europe/Berlin")
    assert "have changed since" in command(base, "explain", lead, BUSINESS_HOURS="Mon 09:00-10:00")


def test_command_line_lists_leads(base, lead, instance):
    cold = instance.capture({"customerName": "Cold Caller", "customerPhone": "+971501112233", "leadScore": 10})
    listed = [json.loads(line) for line in command(base, "lead", "list", "--json").splitlines()]
    assert [row["id"] for row in listed] == [cold, lead]
    told = command(base, "lead", "list", "--quality", "cold", "--status", "new", "--status", "in-progress", "--sla", "ok", "--since", "1h")
    assert shown(cold) in told and "Cold Caller" in told and "SLA" in told and shown(lead) not in told
    assert command(base, "lead", "list", "--agent", NOBODY) == "none\n" and command(base, "lead", "list", "--since", "2099-01-01T00:00:00Z") == "none\n"
    done = leadpipe("lead", "list", "--limit", "1", DATABASE_URL=base.url)
    assert done.stdout.count("\n") == 2 and done.stderr == "more leads match; use --limit or --since to see them\n"
    for wrong in (["--limit", "0"], ["--status", "odd"], ["--sla", "late"], ["--since", "yesterday"], ["--agent", "7"]):
        assert leadpipe("lead", "list", *wrong, DATABASE_URL=base.url).returncode == 64


def test_command_line_shows_a_lead(base, lead):
    told = command(base, "lead", "show", lead)
    for words in ("customerName          Test User", "a villa", "by the sea", "New lead", "The team was notified by email"):
        assert words in told
    document = json.loads(command(base, "lead", "show", lead, "--json"))
    assert (document["id"], len(document["messages"]), document["timeline"][0]["title"]) == (lead, 2, "New lead")
    done = leadpipe("lead", "show", NOBODY, DATABASE_URL=base.url)
    assert (done.returncode, done.stderr) == (65, "there is no such conversation\n")
    assert leadpipe("explain", "no-uuid", DATABASE_URL=base.url).returncode == 64


def test_log_contains_no_personal_data(instance):
    for secret in ("Test User", "Cold Caller", "+971501234567", "test@example.com", "Reader@Example.com", KEY):
        assert secret not in instance.log
