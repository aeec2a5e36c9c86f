"""GET /api/admin/live: what happens is told to all who listen, once, in order, whatever becomes of them and of the feed."""

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

from admin import KEY, Desk, with_key
from cluster import Session, leadpipe
from ear import Crowd, Ear
from house import House
from nginx import nginx
from parts import HANDLERS, TEST_USER, clean_environment, free_port, until


@pytest.fixture(scope="module")
def base(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def house(base):
    operations = f"127.0.0.1:{free_port()}"
    with House(DATABASE_URL=base.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false", LEADPIPE_OPERATIONS=operations) as house:
        house.operations = operations
        yield house


def metric(house, name):
    with urllib.request.urlopen(f"http://{house.operations}/-/metrics", timeout=10) as answer:
        return int(re.search(rf'^{name}\{{handler="live-feed"\}} (\d+)$', answer.read().decode(), re.M)[1])


def emit(database, conversation, mark):
    database.run(f"select public.emit_lead_event('lead.updated', '{conversation}', '{{\"mark\": \"{mark}\"}}')")


@pytest.fixture(scope="module")
def conversation(house):
    return house.capture(TEST_USER)


def test_what_happens_is_told(house, base):
    with Ear(house) as ear:
        assert ear.status == 200
        assert ear.answer.headers["content-type"] == "text/event-stream"
        assert (ear.answer.headers["cache-control"], ear.answer.headers["x-accel-buffering"]) == ("no-store", "no")
        assert not [name for name in ear.answer.headers if name.lower().startswith("feed-")]
        ear.beginning()
        lead = house.capture({**TEST_USER, "customerName": "Live Lead"})
        event = ear.next()
        assert (event.name, event.data["type"], event.data["conversationId"]) == ("lead.created", "lead.created", lead)
        assert event.data["conversation"] == {name: value for name, value in Desk(house).get(f"/api/admin/conversations/{lead}").items() if name != "messages"}
        Desk(house).patch(f"/api/admin/conversations/{lead}", {"status": "converted"})
        told = ear.until(lambda event: event.data["type"] == "lead.converted")[-1]
        assert (told.name, told.data["conversation"]["status"]) == ("lead.updated", "converted")
        base.run(f"select public.emit_lead_event('sla.warning', '{lead}')")
        assert ear.next().name == "sla"


def test_it_is_told_through_nginx_at_once(house, base, conversation, tmp_path):
    with nginx(tmp_path / "nginx", house.port) as port, Ear(SimpleNamespace(port=port)).beginning() as ear:
        for mark in range(5):
            before = time.monotonic()
            emit(base, conversation, mark)
            assert ear.next().data["conversationId"] == conversation and time.monotonic() - before < 5
    # nginx may go on reading until the stream ends by itself.
    until(lambda: metric(house, "leadpipe_listeners") == 0, 70, "nginx to let go of it")


def test_a_delivery_is_told(cluster, providers):
    database = cluster.migrated()
    with House(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, SLACK_WEBHOOK_URL=providers.settings["SLACK_WEBHOOK_URL"]) as house, Ear(house).beginning() as ear:
        lead = house.capture(TEST_USER)
        event = ear.until(lambda event: event.name == "delivery")[-1]
        assert (event.data["conversationId"], event.data["channel"], event.data["status"], event.data["reason"]) == (lead, "slack", "sent", None)
    cluster.drop(database)


def test_whoever_comes_again_gets_what_was_missed(house, base, conversation):
    with Ear(house).beginning() as ear:
        emit(base, conversation, 1)
        last = ear.next().id
    for mark in (2, 3):
        emit(base, conversation, mark)
    for place in ({"after": last}, {"path": f"/api/admin/live?lastEventId={last}"}):
        with Ear(house, **place) as ear:
            told = [ear.next().data["id"] for _ in range(2)]
        marks = base.text(f"select payload ->> 'mark' from lead_events where id = any ('{{{','.join(told)}}}') order by seq").split()
        assert marks == ["2", "3"]


def test_nothing_is_missed_or_told_twice_while_others_write(house, base, conversation):
    """Eight writers, transactions that commit in another order than they began, one that is held open all the while, and a
    listener that is cut off again and again."""
    conversations = [house.capture({**TEST_USER, "customerPhone": f"+97150200000{number}"}) for number in range(8)]

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
        ear = Ear(house).beginning()
        first = ear.id
        holder.text("begin")
        holder.text(f"select public.emit_lead_event('lead.updated', '{conversation}', '{{\"mark\": \"held\"}}')")
        writers = [threading.Thread(target=write, args=(id, seed)) for seed, id in enumerate(conversations)]
        for writer in writers:
            writer.start()
        chance = random.Random(7)

        def hear():
            nonlocal ear, cuts
            cuts += 1
            for _ in range(chance.randint(1, 40)):
                told.append(ear.next())
                if told[-1].data["type"] == "lead.lost":
                    return False
            ear.close()
            ear = Ear(house, ear.id)
            return True

        listener = threading.Thread(target=lambda: all(iter(hear, False)))
        listener.start()
        for writer in writers:
            writer.join()
        holder.text("commit")
        base.run(f"select public.emit_lead_event('lead.lost', '{conversation}')")
        listener.join(30)
        ear.close()
    assert not listener.is_alive()
    expected = base.text(f"select id from lead_events where seq > {before} order by seq").split()
    heard = [event.data["id"] for event in told]
    # Whoever is cut off within what belongs together may get a part of it again.
    assert len(heard) - len(set(heard)) < cuts, "none is told twice without a reason"
    assert set(heard) == set(expected), "none is missed, and none is told that was not committed"
    order = {id: number for number, id in enumerate(expected)}
    told = list({event.data["id"]: event for event in told}.values())
    for id in conversations:
        own = [order[event.data["id"]] for event in told if event.data["conversationId"] == id]
        assert own == sorted(own), "what is one conversation's comes in the order in which it happened"
    # Asked once more from the beginning, it is all of it again: too much for one reply, so that its client comes several times.
    again, after = [], first
    while len(set(again)) < len(set(heard)):
        with Ear(house, after) as ear:
            while len(set(again)) < len(set(heard)) and (event := ear.next()):
                again.append(event.data["id"])
            after = ear.id
    assert set(again) == set(heard)


def test_a_feed_that_is_killed_comes_again_and_loses_nothing(house, base, conversation):
    with Ear(house).beginning() as ear:
        emit(base, conversation, "before")
        ear.next()
        for mark in range(5):
            for pid in until(lambda: house.processes("live-feed"), 10, "the feed"):
                os.kill(pid, signal.SIGKILL)
            emit(base, conversation, f"killed {mark}")
            event = ear.next()
            assert base.text(f"select payload ->> 'mark' from lead_events where id = '{event.data['id']}'") == f"killed {mark}"
    house.wait_log("[WARN] A feed is interrupted")


def test_five_hundred_hear_the_same_from_one_process(house, base, conversation):
    with Crowd(house, 500) as crowd:
        for mark in range(5):
            emit(base, conversation, mark)
        crowd.listen(lambda heard: all(one.count(b"event: lead.updated") == 5 for one in heard))
        assert len(house.processes("live-feed")) == 1
        assert metric(house, "leadpipe_listeners") == 500
        blocks = {tuple(re.findall(rb"^data: (.*)$", one, re.M)) for one in crowd.heard}
        assert len(blocks) == 1
    until(lambda: metric(house, "leadpipe_listeners") == 0, 10, "all to be gone")


def test_whoever_stops_reading_is_dropped_and_the_others_go_on(house, base):
    large = house.capture({**TEST_USER, "customerPhone": "+971502222222", "metadata": {"referrer": "x" * 15_000}, "notes": "n" * 5000})
    before = metric(house, "leadpipe_listeners_dropped_total")
    sleeper = socket.socket()
    sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sleeper.connect(("127.0.0.1", house.port))
    sleeper.sendall(f"GET /api/admin/live HTTP/1.1\r\nHost: a\r\nX-Admin-Api-Key: {KEY}\r\n\r\n".encode())
    with Ear(house).beginning() as ear:
        until(lambda: metric(house, "leadpipe_listeners") == 2, 10, "both")
        count = 0
        while metric(house, "leadpipe_listeners_dropped_total") == before:
            assert count < 2000, "it was not dropped"
            base.run(f"select public.emit_lead_event('lead.updated', '{large}') from generate_series(1, 50)")
            for _ in range(50):
                assert ear.next().data["conversationId"] == large
            count += 50
        assert metric(house, "leadpipe_listeners") == 1
        emit(base, large, "after")
        assert ear.next() is not None
    sleeper.close()


@pytest.mark.parametrize("cursor", ["7", "x", "1:1:", "7.1/1:1", "7.1/2:1:", "7.1/1:1:/2:2:", "7.1/1:1:/2:2:/x", "7.1/ 1:1:", "7.1/1:1:/", "'", "9" * 9000])
def test_an_id_that_is_none_is_400(house, cursor):
    for shown in ({"last-event-id": cursor}, {}):
        status, _, document = house.http(
            "/api/admin/live" + ("" if shown else "?lastEventId=" + urllib.request.quote(cursor[:4000])), headers={"x-admin-api-key": KEY, **shown})
        assert (status, [fault["path"] for fault in document["details"]]) == (400, ["lastEventId"]), document
        if len(cursor) > 4000:
            break


def test_who_comes_from_another_cluster_is_told_to_begin_anew(house):
    with Ear(house, "7000000000000000000.1/31:31:") as ear:
        event = ear.next()
        assert (event.name, event.data) == ("reset", {"reason": "earlier events are not available: reload all data"})
        assert not event.id.startswith("7000000000000000000.1/")


def test_head_and_old_clients(house, base, conversation):
    status, headers, document = house.http("/api/admin/live", method="HEAD", headers={"x-admin-api-key": KEY})
    assert (status, headers["content-type"], document) == (200, "text/event-stream", None)
    with socket.create_connection(("127.0.0.1", house.port), 20) as old:
        old.sendall(f"GET /api/admin/live HTTP/1.0\r\nX-Admin-Api-Key: {KEY}\r\n\r\n".encode())
        answer = b""
        while b"\nid: " not in answer:
            answer += old.recv(65_536)
        assert b"transfer-encoding" not in answer and b"connection: close" in answer
        emit(base, conversation, "old")
        assert b"event: lead.updated\nid: " in old.recv(65_536)


def test_by_hand_it_is_what_was_missed_and_an_end(house, base, conversation):
    def ask(document):
        done = subprocess.run([HANDLERS / "live-show"], input=json.dumps(document), text=True, capture_output=True,
                              env=clean_environment(DATABASE_URL=base.url))
        assert done.returncode == 0, done
        return done.stdout
    first = re.search(r"^retry: 1\d+\nid: (\S+)\n\nid: \1\n\n$", ask({}))[1]
    emit(base, conversation, "by hand")
    assert re.search(rf"^retry: 1\d+\nid: {first}\n\nevent: lead.updated\nid: \S+/\d+\ndata: {{.*}}\n\nid: \S+\n\n$", ask({"lastEventId": first}))


def test_a_key_that_is_revoked_is_let_in_no_more(house, base):
    """The stream of whoever had it ends with its minute."""
    desk = with_key(house, base, "Listener", "read")
    with Ear(house, key=desk.key, seconds=55) as ear:
        assert ear.status == 200
        assert leadpipe("key", "revoke", "Listener", DATABASE_URL=base.url).returncode == 0
        while ear.block() is not None:
            pass
        with Ear(house, ear.id, key=desk.key) as again:
            assert again.status == 401
    with Ear(house, key="wrong") as wrong:
        assert (wrong.status, wrong.answer.headers["content-type"]) == (401, "application/problem+json")


def test_stopping_ends_streams_in_order(cluster):
    database = cluster.migrated()
    house = House(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false")
    with house:
        ears = [Ear(house).beginning() for _ in range(20)]
        assert house.stop() == 0
        for ear in ears:
            # An end that the protocol knows: half a reply would be an error.
            assert ear.next() is None
            ear.close()
        assert house.stopped_in < 10
        assert "[ERROR]" not in house.log
    cluster.drop(database)
