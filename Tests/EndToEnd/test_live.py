"""GET /api/admin/live: every listener receives every event once and in order, even if the listener or the feed is
interrupted."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from types import SimpleNamespace

import pytest

from admin import KEY, AdminClient, with_key
from cluster import Session, leadpipe
from common import HANDLERS, TEST_USER, clean_environment, free_port, until
from instance import Instance
from listener import Listener, Listeners
from nginx import nginx


@pytest.fixture(scope="module")
def base(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def instance(base):
    operations = f"127.0.0.1:{free_port()}"
    with Instance(DATABASE_URL=base.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false", LEADPIPE_OPERATIONS=operations) as instance:
        instance.operations = operations
        yield instance


def metric(instance, name):
    with urllib.request.urlopen(f"http://{instance.operations}/-/metrics", timeout=10) as answer:
        return int(re.search(rf'^{name}\{{handler="live-feed"\}} (\d+)$', answer.read().decode(), re.M)[1])


def emit(database, conversation, mark):
    database.run(f"select public.emit_lead_event('lead.updated', '{conversation}', '{{\"mark\": \"{mark}\"}}')")


@pytest.fixture(scope="module")
def conversation(instance):
    return instance.capture(TEST_USER)


def test_sends_events(instance, base):
    with Listener(instance) as listener:
        assert listener.status == 200
        assert listener.answer.headers["content-type"] == "text/event-stream"
        assert (listener.answer.headers["cache-control"], listener.answer.headers["x-accel-buffering"]) == ("no-store", "no")
        assert not [name for name in listener.answer.headers if name.lower().startswith("feed-")]
        listener.beginning()
        lead = instance.capture({**TEST_USER, "customerName": "Live Lead"})
        event = listener.next()
        assert (event.name, event.data["type"], event.data["conversationId"]) == ("lead.created", "lead.created", lead)
        shown = AdminClient(instance).get(f"/api/admin/conversations/{lead}")
        assert event.data["conversation"] == {name: value for name, value in shown.items() if name not in ("messages", "metadata")}
        AdminClient(instance).patch(f"/api/admin/conversations/{lead}", {"status": "converted"})
        told = listener.until(lambda event: event.data["type"] == "lead.converted")[-1]
        assert (told.name, told.data["conversation"]["status"]) == ("lead.updated", "converted")
        base.run(f"select public.emit_lead_event('sla.warning', '{lead}')")
        assert listener.next().name == "sla"


def test_sends_events_through_nginx_immediately(instance, base, conversation, tmp_path):
    with nginx(tmp_path / "nginx", instance.port) as port, Listener(SimpleNamespace(port=port)).beginning() as listener:
        for mark in range(5):
            before = time.monotonic()
            emit(base, conversation, mark)
            assert listener.next().data["conversationId"] == conversation and time.monotonic() - before < 5
    # nginx may continue reading until the stream ends.
    until(lambda: metric(instance, "leadpipe_listeners") == 0, 70, "nginx to close its connection")


def test_sends_delivery_events(cluster, providers):
    database = cluster.migrated()
    settings = {"DATABASE_URL": database.url, "ADMIN_API_KEY": KEY, "SLACK_WEBHOOK_URL": providers.settings["SLACK_WEBHOOK_URL"]}
    with Instance(**settings) as instance, Listener(instance).beginning() as listener:
        lead = instance.capture(TEST_USER)
        event = listener.until(lambda event: event.name == "delivery")[-1]
        assert (event.data["conversationId"], event.data["channel"], event.data["status"], event.data["reason"]) == (lead, "slack", "sent", None)
    cluster.drop(database)


def test_reconnecting_listener_gets_missed_events(instance, base, conversation):
    with Listener(instance).beginning() as listener:
        emit(base, conversation, 1)
        last = listener.next().id
    for mark in (2, 3):
        emit(base, conversation, mark)
    for place in ({"after": last}, {"path": f"/api/admin/live?lastEventId={last}"}):
        with Listener(instance, **place) as listener:
            told = [listener.next().data["id"] for _ in range(2)]
        marks = base.text(f"select payload ->> 'mark' from lead_events where id = any ('{{{','.join(told)}}}') order by seq").split()
        assert marks == ["2", "3"]


def test_misses_and_repeats_nothing_while_others_write(instance, base, conversation):
    """Eight writers, transactions that commit in another order than they began, one transaction that stays open, and a
    listener that is cut off again and again."""
    conversations = [instance.capture({**TEST_USER, "customerPhone": f"+97150200000{number}"}) for number in range(8)]

    def write(conversation, seed):
        chance = random.Random(seed)
        with Session(base.url) as session:
            for mark in range(40):
                session.text(f"begin; select 1 from conversations where id = '{conversation}' for update")
                session.text(f"select public.emit_lead_event('lead.updated', '{conversation}', '{{\"mark\": {mark}}}')")
                time.sleep(chance.random() * 0.02)
                session.text("commit" if chance.random() < 0.9 else "rollback")

    told, cuts = [], 0
    before = base.text("select max(seq) from lead_events")
    with Session(base.url) as holder:
        listener = Listener(instance).beginning()
        first = listener.id
        holder.text("begin")
        holder.text(f"select public.emit_lead_event('lead.updated', '{conversation}', '{{\"mark\": \"held\"}}')")
        writers = [threading.Thread(target=write, args=(id, seed)) for seed, id in enumerate(conversations)]
        for writer in writers:
            writer.start()
        chance = random.Random(7)

        def read():
            nonlocal listener, cuts
            cuts += 1
            for _ in range(chance.randint(1, 40)):
                told.append(listener.next())
                if told[-1].data["type"] == "lead.lost":
                    return False
            listener.close()
            listener = Listener(instance, listener.id)
            return True

        thread = threading.Thread(target=lambda: all(iter(read, False)))
        thread.start()
        for writer in writers:
            writer.join()
        holder.text("commit")
        base.run(f"select public.emit_lead_event('lead.lost', '{conversation}')")
        thread.join(30)
        listener.close()
    assert not thread.is_alive()
    expected = base.text(f"select id from lead_events where seq > {before} order by seq").split()
    received = [event.data["id"] for event in told]
    # A listener that is cut off within a group of events may receive a part of the group again.
    assert len(received) - len(set(received)) < cuts, "an event was sent twice without a reason"
    assert set(received) == set(expected), "an event was missed, or sent without being committed"
    order = {id: number for number, id in enumerate(expected)}
    told = list({event.data["id"]: event for event in told}.values())
    for id in conversations:
        own = [order[event.data["id"]] for event in told if event.data["conversationId"] == id]
        assert own == sorted(own), "the events of one conversation are out of order"
    # Read again from the beginning, all events come again. They do not fit into one response, so the client connects
    # several times.
    again, after = [], first
    while len(set(again)) < len(set(received)):
        with Listener(instance, after) as listener:
            while len(set(again)) < len(set(received)) and (event := listener.next()):
                again.append(event.data["id"])
            after = listener.id
    assert set(again) == set(received)


def test_killed_feed_is_restarted_and_loses_nothing(instance, base, conversation):
    with Listener(instance).beginning() as listener:
        emit(base, conversation, "before")
        listener.next()
        for mark in range(5):
            for pid in until(lambda: instance.processes("live-feed"), 10, "the feed"):
                os.kill(pid, signal.SIGKILL)
            emit(base, conversation, f"killed {mark}")
            event = listener.next()
            assert base.text(f"select payload ->> 'mark' from lead_events where id = '{event.data['id']}'") == f"killed {mark}"
    instance.wait_log("[WARN] A feed is interrupted")


def test_500_listeners_share_one_process(instance, base, conversation):
    with Listeners(instance, 500) as listeners:
        for mark in range(5):
            emit(base, conversation, mark)
        listeners.listen(lambda received: all(one.count(b"event: lead.updated") == 5 for one in received))
        assert len(instance.processes("live-feed")) == 1
        assert metric(instance, "leadpipe_listeners") == 500
        blocks = {tuple(re.findall(rb"^data: (.*)$", one, re.M)) for one in listeners.received}
        assert len(blocks) == 1
    until(lambda: metric(instance, "leadpipe_listeners") == 0, 10, "all listeners to be gone")


def test_listener_that_stops_reading_is_dropped(instance, base):
    large = instance.capture({**TEST_USER, "customerPhone": "+971502222222", "metadata": {"referrer": "x" * 15_000}, "notes": "n" * 5000})
    before = metric(instance, "leadpipe_listeners_dropped_total")
    sleeper = socket.socket()
    sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sleeper.connect(("127.0.0.1", instance.port))
    sleeper.sendall(f"GET /api/admin/live HTTP/1.1\r\nHost: a\r\nX-Admin-Api-Key: {KEY}\r\n\r\n".encode())
    with Listener(instance).beginning() as listener:
        until(lambda: metric(instance, "leadpipe_listeners") == 2, 10, "both")
        count = 0
        while metric(instance, "leadpipe_listeners_dropped_total") == before:
            assert count < 2000, "it was not dropped"
            base.run(f"select public.emit_lead_event('lead.updated', '{large}') from generate_series(1, 50)")
            for _ in range(50):
                assert listener.next().data["conversationId"] == large
            count += 50
        assert metric(instance, "leadpipe_listeners") == 1
        emit(base, large, "after")
        assert listener.next() is not None
    sleeper.close()


@pytest.mark.parametrize("cursor", ["7", "x", "1:1:", "7.1/1:1", "7.1/2:1:", "7.1/1:1:/2:2:", "7.1/1:1:/2:2:/x", "7.1/ 1:1:", "7.1/1:1:/", "'", "9" * 9000])
def test_returns_400_for_an_invalid_event_id(instance, cursor):
    for shown in ({"last-event-id": cursor}, {}):
        status, _, document = instance.http(
            "/api/admin/live" + ("" if shown else "?lastEventId=" + urllib.request.quote(cursor[:4000])), headers={"x-admin-api-key": KEY, **shown})
        assert (status, [error["path"] for error in document["details"]]) == (400, ["lastEventId"]), document
        if len(cursor) > 4000:
            break


def test_resets_a_listener_with_an_id_of_another_cluster(instance):
    with Listener(instance, "7000000000000000000.1/31:31:") as listener:
        event = listener.next()
        assert (event.name, event.data) == ("reset", {"reason": "earlier events are not available: reload all data"})
        assert not event.id.startswith("7000000000000000000.1/")


def test_head_request_and_http_1_0_client(instance, base, conversation):
    status, headers, document = instance.http("/api/admin/live", method="HEAD", headers={"x-admin-api-key": KEY})
    assert (status, headers["content-type"], document) == (200, "text/event-stream", None)
    with socket.create_connection(("127.0.0.1", instance.port), 20) as old:
        old.sendall(f"GET /api/admin/live HTTP/1.0\r\nX-Admin-Api-Key: {KEY}\r\n\r\n".encode())
        answer = b""
        while b"\nid: " not in answer:
            answer += old.recv(65_536)
        assert b"transfer-encoding" not in answer and b"connection: close" in answer
        emit(base, conversation, "old")
        assert b"event: lead.updated\nid: " in old.recv(65_536)


def test_handler_by_hand_prints_missed_events_and_ends(instance, base, conversation):
    def send(document):
        done = subprocess.run([HANDLERS / "live-show"], input=json.dumps(document), text=True, capture_output=True,
                              env=clean_environment(DATABASE_URL=base.url))
        assert done.returncode == 0, done
        return done.stdout
    # Firefox and WebKit ignore an id in a block without data.
    hello, data = r"event: hello\nid: ", r"\ndata: \{\}\n\n"
    first = re.search(rf"^retry: 1\d+\n{hello}(\S+){data}{hello}\1{data}$", send({}))[1]
    emit(base, conversation, "by hand")
    assert re.search(rf"^retry: 1\d+\n{hello}{first}{data}event: lead.updated\nid: \S+/\d+\ndata: {{.*}}\n\n{hello}\S+{data}$", send({"lastEventId": first}))


def test_revoked_key_is_rejected(instance, base):
    """A stream opened with the key ends after at most a minute."""
    admin = with_key(instance, base, "Listener", "read")
    with Listener(instance, key=admin.key, seconds=55) as listener:
        assert listener.status == 200
        assert leadpipe("key", "revoke", "Listener", DATABASE_URL=base.url).returncode == 0
        while listener.block() is not None:
            pass
        with Listener(instance, listener.id, key=admin.key) as again:
            assert again.status == 401
    with Listener(instance, key="wrong") as wrong:
        assert (wrong.status, wrong.answer.headers["content-type"]) == (401, "application/problem+json")


def test_stopping_ends_streams_cleanly(cluster):
    database = cluster.migrated()
    instance = Instance(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false")
    with instance:
        listeners = [Listener(instance).beginning() for _ in range(20)]
        assert instance.stop() == 0
        for listener in listeners:
            # A complete end of the response. A partial response would be an error.
            assert listener.next() is None
            listener.close()
        assert instance.stopped_in < 10
        assert "[ERROR]" not in instance.log
    cluster.drop(database)
