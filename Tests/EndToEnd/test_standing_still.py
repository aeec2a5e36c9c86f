"""A session that hangs with locked rows stops only what it holds."""

import json
import os
import signal

import pytest

from cluster import Session
from common import until
from instance import Instance
from ledger import lead
from sink import Sink
from traffic import Traffic

# What a session of an operator or a website may hold in an open transaction.
HELD = {
    "events": "select from lead_events where conversation_id in ({leads}) for update",
    "deliveries": "select from notification_logs where conversation_id in ({leads}) for update",
    "conversations": "select from conversations where id in ({leads}) for update",
    "channels": "select from notification_channels for update",
    "workers": "select from workers for update",
}


@pytest.mark.parametrize("held", HELD)
def test_rows_that_a_session_holds_delay_no_other_lead(database, tmp_path, held):
    with Sink(tmp_path) as sink, Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **sink.settings) as instance:
        sending = instance.capture(lead(900_001))
        until(lambda: database.count("notification_logs", "status = 'sent'") == 3, 15, "the first lead")
        # A lead that a dead worker was sending, and one that is not planned yet.
        worker, = instance.processes("leadpipe worker")
        os.kill(worker, signal.SIGSTOP)
        unplanned = instance.capture(lead(900_002))
        database.run("update notification_logs set status = 'sending', lease_until = now() - interval '1 second'")
        leads = f"'{sending}', '{unplanned}'"
        with Session(database.url) as session:
            session.text("begin")
            session.text(HELD[held].format(leads=leads))
            # A worker that starts also reports its settings. The changed setting makes it store them.
            database.psql("set lock_timeout = '200ms'; update notification_channels set settings_fingerprint = 'other'", check=False)
            os.kill(worker, signal.SIGKILL)
            with Traffic(instance, pause=0.05) as traffic:
                traffic.captures_more(20, count=20)
            seconds = traffic.wait_until_sent(database, 20)
            print(f"{held}: {len(traffic.captured)} leads sent {seconds:.1f} s after the last was captured")
            session.text("rollback")
        until(lambda: database.count("notification_logs", f"status = 'sent' and conversation_id in ({leads})") == 6, 30, "the leads whose rows were held")


CLAIM = """select claim_deliveries('{"worker": "w", "channels": [{"channel": "slack", "limit": 3}]}')"""


def unplanned(database, count):
    """Conversations with an event that has no deliveries yet, oldest first."""
    return [database.text(f"""with c as (insert into conversations (customer_name) values ('N{n}') returning id)
        insert into lead_events (event_type, conversation_id, created_at) select 'lead.created', id, now() - interval '1 minute' + {n} * interval '1 s'
        from c returning conversation_id""") for n in range(count)]


@pytest.mark.parametrize("held", ["events", "deliveries", "conversations"])
def test_as_many_held_rows_as_a_claim_may_take_do_not_stop_planning(database, held):
    """Without these rows, a claim would take them and nothing else."""
    first = unplanned(database, 3)
    if held == "deliveries":
        assert len(json.loads(database.text(CLAIM))["deliveries"]) == 3
        database.run("update notification_logs set lease_until = null, leased_by = null")
    other, = unplanned(database, 1)
    with Session(database.url) as session:
        session.text("begin")
        session.text(HELD[held].format(leads=",".join(f"'{lead}'" for lead in first)))
        reply = json.loads(database.text(CLAIM))
        assert ([line["conversationId"] for line in reply["deliveries"]], reply["planned"]) == ([other], 1)
        session.text("rollback")
    assert {line["conversationId"] for line in json.loads(database.text(CLAIM))["deliveries"]} == set(first)


def test_a_pace_reads_only_the_deliveries_that_begin(database):
    """Among many others: a plan that joins all deliveries would be slow while it holds the channel."""
    database.run("""insert into lead_events (event_type, planned_at, processed) select 'lead.created', now(), true from generate_series(1, 5000);
        insert into notification_logs (lead_event_id, channel, status) select id, 'slack', 'sent' from lead_events; analyze""")
    unplanned(database, 3)
    lines = json.loads(database.text(CLAIM))["deliveries"]
    asked = json.dumps({"paces": {"slack": 1000}, "deliveries": [{"id": line["id"], "fence": line["fence"]} for line in lines]})
    reply, read = database.text(f"""begin; select begin_deliveries('{asked}');
        select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'notification_logs'; rollback""").splitlines()
    assert (len(json.loads(reply)["begun"]), len(json.loads(reply)["early"])) == (1, 2)
    assert int(read) < 100


def test_an_outcome_whose_event_is_held_delays_no_other_lead(database, tmp_path):
    with Sink(tmp_path) as sink, Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **sink.settings) as instance:
        instance.capture(lead(900_001))
        until(lambda: database.count("notification_logs", "status = 'sent'") == 3, 15, "the first lead")
        recorders = until(lambda: len(found := instance.processes("delivery-record")) == 3 and found, 10, "the steps that record")
        for pid in recorders:
            os.kill(pid, signal.SIGSTOP)
        held = instance.capture(lead(900_002))
        until(lambda: len(sink.messages) == 6, 10, "its messages")
        with Session(database.url) as session:
            session.text("begin")
            session.text(HELD["events"].format(leads=f"'{held}'"))
            for pid in recorders:
                os.kill(pid, signal.SIGCONT)
            with Traffic(instance, pause=0.05) as traffic:
                traffic.captures_more(20, count=20)
            seconds = traffic.wait_until_sent(database, 30)
            print(f"{len(traffic.captured)} leads sent {seconds:.1f} s after the last was captured")
            session.text("rollback")
        until(lambda: database.count("notification_logs", "status <> 'sent'") == 0, 20, "the outcome of the lead whose event was held")
        assert len(sink.messages) == 3 * (len(traffic.captured) + 2)
