"""Concurrent requests: copies of one submission, one chat sent as it grows, many submissions of one customer."""

import json
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

import handlers
from capture_handlers import CAPTURES, by_name
from common import HANDLERS, TEST_USER, clean_environment
from instance import Instance, without_limits

COPIES = 50
each_capture = pytest.mark.parametrize("capture", CAPTURES, ids=by_name)


@pytest.fixture(scope="module")
def shared(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


@pytest.fixture
def database(shared):
    shared.wipe()
    return shared


def at_once(work, items):
    items = list(items)
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(work, items))


def streams(name, inputs, database):
    """Several processes, all started before the first gets input. (exit status, lines) of each."""
    processes = [
        subprocess.Popen(
            [str(HANDLERS / name), "--stream"], env=clean_environment(DATABASE_URL=database.url), cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in inputs]
    done = at_once(lambda pair: pair[0].communicate(pair[1], timeout=40), zip(processes, inputs, strict=True))
    return [(process.returncode, out.splitlines()) for process, (out, _) in zip(processes, done, strict=True)]


# ── Copies ──

def check_copies(envelopes, capture, database):
    """All replies are equal, all but one are marked as replayed, and one submission is stored."""
    assert {reply["statusCode"] for reply in envelopes} == {201}, envelopes
    assert len({reply["body"] for reply in envelopes}) == 1
    said = [{name: value for name, value in reply["headers"].items() if name != "idempotency-replayed"} for reply in envelopes]
    assert all(headers == said[0] for headers in said)
    assert sum(reply["headers"].get("idempotency-replayed") == "true" for reply in envelopes) == len(envelopes) - 1
    assert capture.stored(database) == (1, 1)


@each_capture
def test_copies_in_50_processes_are_stored_once(capture, database):
    done = at_once(
        lambda _: handlers.run(capture.handler, capture.envelope("copy"), seconds=40, DATABASE_URL=database.url), range(COPIES))
    assert {end.returncode for end in done} == {0}, [end.stderr for end in done if end.returncode]
    check_copies([json.loads(end.stdout) for end in done], capture, database)


@each_capture
def test_bare_copies_get_identical_replies(capture, database):
    done = at_once(
        lambda _: handlers.run(capture.handler, capture.keyed("copy"), seconds=40, DATABASE_URL=database.url), range(COPIES))
    assert {end.returncode for end in done} == {0}, [end.stderr for end in done if end.returncode]
    assert len({end.stdout for end in done}) == 1
    assert capture.stored(database) == (1, 1)


@each_capture
def test_copies_over_five_streams_are_stored_once(capture, database):
    line = json.dumps(capture.envelope("copy")).encode() + b"\n"
    ended = streams(capture.handler, [line * (COPIES // 5)] * 5, database)
    assert [status for status, _ in ended] == [0] * 5
    replies = [json.loads(reply) for _, lines in ended for reply in lines]
    assert len(replies) == COPIES
    check_copies(replies, capture, database)


@pytest.fixture(scope="module")
def instance(shared):
    with Instance(
            DATABASE_URL=shared.url, ENABLE_NOTIFICATION_WORKER="false", LEADPIPE_CONCURRENCY=str(COPIES), **without_limits()) as instance:
        yield instance


@each_capture
def test_copies_over_http_are_stored_once(capture, database, instance):
    def send(_):
        status, headers, document = instance.http(capture.path, capture.body, headers={"Idempotency-Key": "copy"}, seconds=40)
        replayed = {"idempotency-replayed": headers["idempotency-replayed"]} if "idempotency-replayed" in headers else {}
        return {"statusCode": status, "headers": replayed, "body": json.dumps(document)}
    check_copies(at_once(send, range(COPIES)), capture, database)


@each_capture
def test_one_key_with_two_contents_stores_the_first(capture, database):
    """The first submission gets the key. All copies of the other content are rejected."""
    bodies = [capture.body, {**capture.body, "customerName": "Somebody Else"}]
    done = at_once(
        lambda n: (n % 2, handlers.run(capture.handler, capture.envelope("contested", bodies[n % 2]), seconds=40, DATABASE_URL=database.url)),
        range(20))
    statuses = {(which, json.loads(end.stdout)["statusCode"]) for which, end in done}
    assert statuses in ({(0, 201), (1, 422)}, {(0, 422), (1, 201)})
    assert capture.stored(database) == (1, 1)


# ── One chat ──

CHAT = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
BEGUN = datetime.now(UTC) - timedelta(hours=1)
MESSAGES = [
    {"id": str(uuid.UUID(int=n + (4 << 76))) if n % 2 else f"message-{n}", "sender": "user" if n % 2 else "bot",
     "messageText": f"Line {n} of the chat", "timestamp": (BEGUN + timedelta(seconds=n)).isoformat(timespec="milliseconds")} for n in range(1, 10)]
# The browser sends the whole history each time.
HISTORY = [
    {**TEST_USER, "conversationId": CHAT, "messages": MESSAGES[:2 * n + 1], "idempotencyKey": f"turn-{n}"} for n in range(5)]


def check_chat(database):
    assert database.text("select id from conversations") == CHAT
    assert database.text('select string_agg(message_text, \',\' order by "timestamp") from chat_messages') == ",".join(
        message["messageText"] for message in MESSAGES)
    assert database.text("select event_type, count(*) from lead_events group by 1 order by 1") == "lead.created|1\nlead.updated|4"
    # How often the score rises depends on the order of the submissions.
    assert database.text(
        "select event_type, count(*) from conversation_timeline where title <> 'Lead score rose' group by 1 order by 1") == "created|1\nnote_added|4"
    # One set of notifications: each channel is notified once, and nothing more is planned.
    settings = {
        "DATABASE_URL": database.url,
        "LEADPIPE_CHANNELS": '[{"channel":"slack","recipient":"default"},{"channel":"email","recipient":"a@example.com"}]'}
    for _ in range(2):
        assert handlers.run("event-claim", {"worker": "w", "limit": 50}, **settings).returncode == 0
    planned = database.text(
        "select d.channel, e.event_type from notification_logs d join lead_events e on e.id = d.lead_event_id order by d.channel::text")
    assert planned == "email|lead.created\nslack|lead.created"


def test_five_submissions_of_one_chat_in_order(database):
    lines = "".join(json.dumps(body) + "\n" for body in HISTORY)
    done = handlers.run("lead-capture", lines, "--stream", DATABASE_URL=database.url)
    assert done.returncode == 0 and len(handlers.lines(done.stdout)) == 5, done.stderr
    check_chat(database)


@pytest.mark.parametrize("keyed", [True, False], ids=["with-keys", "without-keys"])
def test_five_concurrent_submissions_of_one_chat(database, keyed):
    """Five processes. With keys, each submission is sent twice, as by an impatient browser."""
    bodies = HISTORY * 2 if keyed else [{key: value for key, value in body.items() if key != "idempotencyKey"} for body in HISTORY]
    done = at_once(lambda body: handlers.run("lead-capture", body, seconds=40, DATABASE_URL=database.url), bodies)
    assert {end.returncode for end in done} == {0}, [end.stderr for end in done if end.returncode]
    assert {json.loads(end.stdout)["id"] for end in done} == {CHAT}
    check_chat(database)


def test_five_submissions_of_one_chat_over_five_streams(database):
    ended = streams("lead-capture", [json.dumps(body).encode() + b"\n" for body in reversed(HISTORY)], database)
    assert [status for status, _ in ended] == [0] * 5
    check_chat(database)


def test_keeps_messages_with_one_id_in_many_conversations(database):
    """A message id that is taken in another conversation loses the message of neither."""
    bodies = [{**TEST_USER, "messages": [MESSAGES[0], MESSAGES[1], {**MESSAGES[0], "messageText": "again"}]} for _ in range(20)]
    done = at_once(lambda body: handlers.run("lead-capture", body, seconds=40, DATABASE_URL=database.url), bodies)
    assert {end.returncode for end in done} == {0}, [end.stderr for end in done if end.returncode]
    assert database.text("select count(*), count(distinct conversation_id), count(distinct id) from chat_messages") == "40|20|40"


# ── One customer ──

PEOPLE = {
    "one-phone-and-many-addresses": lambda n: {"customerPhone": "+971501110001", "customerEmail": f"p{n}@example.com"},
    "one-phone-in-many-writings": lambda n: {"customerPhone": ["+971501110001", "050 111 0001", "00971 50-111-0001", "٠٥٠١١١٠٠٠١"][n % 4]},
    "one-address-and-many-phones": lambda n: {"customerPhone": f"+9715022200{n:02}", "customerEmail": "one@example.com"},
    "one-address-in-either-case": lambda n: {"customerPhone": f"+9715022200{n:02}", "customerEmail": ["one@example.com", "ONE@Example.COM"][n % 2]},
    "both-the-same": lambda _: {"customerPhone": "+971501110001", "customerEmail": "one@example.com"},
}


@pytest.mark.parametrize("person", PEOPLE)
def test_thirty_concurrent_submissions_are_one_customer(database, person):
    """The same phone number, or else the same email address, is the same customer in any order."""
    bodies = [{"customerName": "One Person", **PEOPLE[person](n)} for n in range(30)]
    done = at_once(lambda body: handlers.run("lead-capture", body, seconds=40, DATABASE_URL=database.url), bodies)
    assert {end.returncode for end in done} == {0}, [end.stderr for end in done if end.returncode]
    assert database.text("select count(*), count(distinct customer_id) from conversations") == "30|1"
    assert database.text(
        "select count(distinct customer_id) from (select customer_id from conversations union select customer_id from customer_identities) c") == "1"


def test_thirty_concurrent_customers_stay_separate(database):
    bodies = [{"customerName": "Own Person", "customerPhone": f"+9715033300{n:02}", "customerEmail": f"own{n}@example.com"} for n in range(30)]
    at_once(lambda body: handlers.run("lead-capture", body, seconds=40, DATABASE_URL=database.url), bodies)
    assert database.text("select count(*), count(distinct customer_id) from conversations") == "30|30"
