"""Leads that nobody answers: warned of and breached once each, in every channel, with nothing false and no floods."""

import json
import struct
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

import handlers
from cluster import Session
from common import REPO, TEST_USER, is_root, until
from instance import Instance
from sink import Sink

HOT = {**TEST_USER, "leadScore": 95, "leadQuality": "hot"}
WARNING, BREACHED = "⚠️ SLA Warning", "🚨 SLA BREACHED"


def sweep(database, **settings):
    done = handlers.run("sla-sweep", "{}", DATABASE_URL=database.url, **settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def events(database):
    """The SLA events of single conversations, by type."""
    return dict(line.split("|") for line in database.text(
        "select event_type, count(*) from lead_events where event_type::text like 'sla.%' and conversation_id is not null group by 1").splitlines())


def move(database, lead, deadline, warned=False):
    """Moves the deadline of a lead, as if time had passed."""
    database.run(f"update conversations set created_at = now() - interval '2 days', sla_response_deadline = now() + interval '{deadline}'"
                 + (f", sla_warned_for = now() + interval '{deadline}'" if warned else "") + f" where id = '{lead}'")


def add(database, count, deadline, quality="hot"):
    database.run(f"""insert into conversations (customer_name, customer_phone, lead_score, lead_quality, sla_response_deadline, source, created_at)
      select 'Waiting ' || n, '+9715' || (10000000 + n), 90, '{quality}', now() + interval '{deadline}', 'chatbot', now() - interval '2 days'
      from generate_series(1, {count}) n""")


def headers(sink, channel):
    """The headers of a channel's messages."""
    text = [message["subject"] if channel == "email" else json.dumps(message["body"], ensure_ascii=False)
            for message in sink.messages if message["channel"] == channel]
    return [next((header for header in (WARNING, BREACHED) if header in each), None) for each in text]


def told(sink):
    """The headers of each channel's SLA messages."""
    return {name: [header for header in headers(sink, name) if header] for name in ("slack", "telegram", "email")}


# ── The worker ──

def test_worker_warns_at_the_time_and_tells_every_channel_once(database, tmp_path):
    """No poll: the worker sleeps until what is due, and a new lead shortens the sleep."""
    with Sink(tmp_path) as sink, Instance(
            DATABASE_URL=database.url, WORKER_POLL_SECONDS="3600", FRONTEND_URL="https://app.example", **sink.settings) as instance:
        lead = instance.capture(HOT)
        move(database, lead, "5 minutes 3 seconds")
        instance.capture({**TEST_USER, "customerName": "Wakes the Worker", "customerPhone": "+971501234568"})
        time.sleep(1.5)
        assert events(database) == {}
        began = time.monotonic()
        until(lambda: all(told(sink).values()), 6, "the warning")
        print(f"the warning arrived {time.monotonic() - began - 1.5:+.2f} s from its time")
        assert events(database) == {"sla.warning": "1"}

        move(database, lead, "3 seconds", warned=True)
        instance.capture({**TEST_USER, "customerName": "Wakes It Again", "customerPhone": "+971501234569"})
        until(lambda: all(len(each) == 2 for each in told(sink).values()), 8, "the breach")
        time.sleep(1.5)
        assert told(sink) == dict.fromkeys(("slack", "telegram", "email"), [WARNING, BREACHED])
        assert events(database) == {"sla.warning": "1", "sla.breached": "1"}
        messages = json.dumps([message for message in sink.messages if WARNING in json.dumps(message, ensure_ascii=False)], ensure_ascii=False)
        for word in ("Test User", "+971501234567", "95/100 (hot)", "5 minutes left", f"https://app.example/admin/conversations/{lead}"):
            assert messages.count(word) >= 3, (word, messages)
        assert database.text(
            "select string_agg(event_type::text, ' ' order by created_at) from conversation_timeline "
            f"where conversation_id = '{lead}' and event_type <> 'notification_sent'") == "created sla_warning sla_breached"
        assert database.count("conversations", f"id = '{lead}' and sla_breached") == 1


@pytest.mark.seconds(90)
def test_two_workers_and_a_restart_after_three_days_send_one_summary(database, tmp_path):
    settings = {"DATABASE_URL": database.url, "WORKER_POLL_SECONDS": "1"}
    with Sink(tmp_path) as sink:
        with Instance(**settings, **sink.settings) as instance:
            for number in range(30):
                instance.capture({**HOT, "customerPhone": f"+97150{2000000 + number}"})
            until(lambda: sink.counts["slack"]["taken"] == 30, 20, "the new leads")
        database.run("update conversations set sla_response_deadline = sla_response_deadline - interval '3 days', created_at = created_at - interval '3 days'")
        with Instance(**settings, **sink.settings) as instance, Instance(**settings, **sink.settings):
            until(lambda: all(told(sink).values()), 15, "the summary")
            time.sleep(2.5)
            instance.capture({**HOT, "customerPhone": "+971503000000"})
            until(lambda: sink.counts["slack"]["taken"] == 32, 10, "a new lead")
    assert told(sink) == dict.fromkeys(("slack", "telegram", "email"), [BREACHED])
    summary = [message for message in sink.messages if "30 conversations" in json.dumps(message)]
    assert len(summary) == 3
    assert events(database) == {"sla.breached": "30"}
    assert database.count("conversations", "sla_breached") == 30
    assert database.count("conversation_timeline", "event_type = 'sla_breached'") == 30


@pytest.mark.skipif(not is_root(), reason="a moved clock needs root")
def test_a_jump_of_the_workers_clock_says_nothing_false(database, tmp_path):
    clock = tmp_path / "offset"
    clock.write_bytes(struct.pack("q", 0))
    prefix = (str(REPO / "Tests" / "Clock" / "run"), f"@{clock}", "Asia/Dubai")
    with Sink(tmp_path) as sink, Instance(
            DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", prefix=prefix, **sink.settings) as instance, clock.open("r+b", buffering=0) as offset:
        due, late = instance.capture(HOT), instance.capture({**HOT, "customerPhone": "+971501234568"})
        for jump in (86_400, 0, -86_400, 0):
            offset.seek(0)
            offset.write(struct.pack("q", jump))
            time.sleep(2.5)
        assert events(database) == {}
        move(database, due, "4 minutes")
        move(database, late, "-1 minute")
        until(lambda: sorted(told(sink)["slack"]) == [WARNING, BREACHED], 10, "the warning and the breach")
        for jump in (-86_400, 86_400, 0):
            offset.seek(0)
            offset.write(struct.pack("q", jump))
            time.sleep(2)
        assert events(database) == {"sla.warning": "1", "sla.breached": "1"}
        assert "The SLA sweep failed" not in instance.log


# ── The step by hand ──

def test_twenty_sweepers_at_once_emit_each_event_once(database):
    add(database, 60, "4 minutes")
    add(database, 70, "-1 minute", "warm")
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: sweep(database), range(20)))
    assert events(database) == {"sla.warning": "60", "sla.breached": "70"}
    assert (sum(reply["warned"] for reply in replies), sum(reply["breached"] for reply in replies)) == (60, 70)
    assert database.count("conversation_timeline", "event_type = 'sla_warning'") == 60
    assert database.count("conversation_timeline", "event_type = 'sla_breached'") == 70
    assert database.count("lead_events", "not processed and conversation_id is not null") == 20
    assert database.text("select payload ->> 'sumsUp' from lead_events where conversation_id is null") == "110"


def test_answered_closed_and_reopened_in_between(database, providers):
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", **providers.settings) as instance:
        chat = str(uuid.uuid4())
        answered, closed, again = instance.capture(HOT), instance.capture({**HOT, "customerPhone": "+971501234568"}), instance.capture(
            {**HOT, "customerPhone": "+971501234569", "conversationId": chat})
        for lead in (answered, closed, again):
            move(database, lead, "4 minutes")
        database.run(f"update conversations set first_response_at = now() where id = '{answered}'")
        database.run(f"update conversations set status = 'lost' where id = '{closed}'")
        reply = sweep(database)
        assert (reply["warned"], reply["breached"]) == (1, 0)
        assert 200_000 < reply["nextDueInMs"] <= 240_000

        move(database, answered, "-1 minute")
        move(database, closed, "-1 minute")
        move(database, again, "-1 minute")
        assert sweep(database)["breached"] == 1
        assert sweep(database)["breached"] == 0

        # The customer of a closed conversation writes again: a new deadline, and a new round.
        database.run(f"update conversations set status = 'lost' where id = '{again}'")
        instance.capture({**HOT, "customerPhone": "+971501234569", "conversationId": chat, "messages": [{"id": "m1", "messageText": "Hello?"}]})
        state = f"select status, sla_breached, sla_response_deadline > now() + interval '14 minutes' from conversations where id = '{again}'"
        assert database.text(state) == "new|f|t"
        reply = sweep(database)
        assert (reply["warned"], reply["breached"]) == (0, 0)
        assert 580_000 < reply["nextDueInMs"] <= 600_000, "the warning is due after ten minutes"
        move(database, again, "4 minutes")
        assert sweep(database)["warned"] == 1
        move(database, again, "-5 seconds")
        assert sweep(database)["breached"] == 1
        assert events(database) == {"sla.warning": "2", "sla.breached": "2"}


def test_a_lead_that_another_session_has_locked_delays_no_other(database):
    add(database, 3, "-1 minute")
    with Session(database.url) as other:
        other.text("begin")
        other.text("select id from conversations where customer_name = 'Waiting 2' for update")
        reply = sweep(database)
        assert (reply["breached"], reply["nextDueInMs"]) == (2, 1000)
        # It is answered meanwhile.
        other.text("update conversations set first_response_at = now() where customer_name = 'Waiting 2'")
        other.text("commit")
    reply = sweep(database)
    assert (reply["breached"], reply["nextDueInMs"]) == (0, None)
    assert events(database) == {"sla.breached": "2"}


def test_office_hours_determine_the_warning(database):
    add(database, 1, "40 minutes", "warm")
    # The office closed half an hour ago, until this time next week: no office time is left before the deadline.
    (day, start), (other, end) = (
        database.text(f"select to_char(now() at time zone 'UTC' - interval '{minutes} minutes', 'Dy HH24:MI')").split(" ") for minutes in (90, 30))
    hours = f"{day} {start}-{end}" if day == other else f"{day} {start}-24:00, {other} 00:00-{end}"
    if hours.endswith(" 00:00-00:00"):
        hours = hours.split(",")[0]
    assert sweep(database)["warned"] == 0
    assert sweep(database, BUSINESS_HOURS=hours, TIME_ZONE="UTC")["warned"] == 1


# ── Many conversations ──

@pytest.mark.seconds(150)
def test_a_sweep_among_100_000_open_conversations_is_quick(database, tmp_path):
    # A third has been breached, a third has been warned of, and a third is not due for hours.
    database.run("""
      insert into conversations (customer_name, lead_quality, sla_response_deadline, sla_warned_for, sla_breached)
      select 'Open ' || n, (array['hot', 'warm', 'cold'])[n % 7 % 3 + 1], due, case when n % 3 = 1 then due end, n % 3 = 0
      from generate_series(1, 100000) n, lateral (select now() + case n % 3 when 0 then -n * interval '1 minute'
        when 1 then interval '2 minutes' + n * interval '1 millisecond' else interval '9 hours' + n * interval '1 second' end) as d (due)""")
    database.run("delete from conversation_changes; analyze conversations")
    near = json.dumps({"warnBefore": {name: f"2100-01-01T00:0{n}:00Z" for n, name in enumerate(("hot", "warm", "cold"))}})
    with Session(database.url) as session:
        session.text("begin")
        before = session.text("select concat_ws('|', now() + interval '5 minutes', now() + interval '20 minutes', now() + interval '8 hours')").split("|")
        session.text("commit")
        idle = json.dumps({"warnBefore": dict(zip(("hot", "warm", "cold"), before, strict=True))})
        times = []
        for _ in range(7):
            began = time.monotonic()
            reply = json.loads(session.text(f"select sweep_sla('{idle}')"))
            times.append(time.monotonic() - began)
        assert (reply["warned"], reply["breached"], reply["isComplete"]) == (0, 0, True), reply
        print(f"nothing due among 100,000: {min(times) * 1000:.1f} to {max(times) * 1000:.1f} ms")
        assert sorted(times)[3] <= 0.05
        assert json.loads(session.text(f"select sweep_sla('{near}')"))["warned"] == 100

    database.run("delete from lead_events; delete from leadpipe.sla_sweep; delete from conversations where sla_breached or sla_warned_for is null")
    add(database, 1000, "-1 minute")
    began = time.monotonic()
    with Sink(tmp_path) as sink, Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **sink.settings) as instance:
        instance.wait_log("Notification worker started")
        began = time.monotonic()
        instance.capture(TEST_USER)
        until(lambda: "🤖 New Chatbot" in json.dumps(sink.messages, ensure_ascii=False), 5, "the new lead")
        print(f"a new lead arrives after {time.monotonic() - began:.1f} s")
        until(lambda: "Where to Look" in json.dumps(sink.messages), 10, "the summary")
        took = time.monotonic() - began
        print(f"1,000 breaches are announced after {took:.1f} s")
        assert took <= 10
        assert int(events(database)["sla.breached"]) >= 1000
        until(lambda: len(headers(sink, "slack")) == 22, 10, "the new lead, twenty breaches, and the summary")
