"""The short crash sweep over lead-capture, and database sessions that end in the middle of a transaction. `make soak`
sweeps every system call."""

import json
import random
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import handlers
from capture_handlers import CAPTURES, by_name
from cluster import Session
from common import HANDLERS, TEST_USER, clean_environment, until
from crash import FAULTS, Sweep, require_ptrace
from instance import Instance

# The calls with which a handler communicates. PostgreSQL writes to the disk, so a handler never calls fsync.
CALLS = {"write": 3, "sendto": 3, "connect": 1, "recvfrom": 2, "poll": 2, "fsync": 0, "sendmsg": 0}


def test_fault_at_external_calls_stores_nothing_or_everything(database):
    """kill -9, ENOSPC, EIO, ENOMEM and EINTR at each call: no half lead, no false 201, no hang, and a repeat stores one
    lead."""
    require_ptrace()
    sweep = Sweep(database)
    try:
        met = sweep.over_all([(call, fault) for call in CALLS for fault in FAULTS])
        for (call, fault), times in met.items():
            assert times >= CALLS[call] and (CALLS[call] or not times), f"{call} {fault} was injected {times} times: does the handler still make these calls?"
    finally:
        sweep.close()


# ── The server ends the session ──

SESSIONS = "from pg_stat_activity where application_name = 'leadpipe' and datname = current_database()"
TABLES = ["idempotency_keys", "conversations", "customer_identities", "chat_messages", "lead_events", "conversation_timeline"]
LEAD = {**TEST_USER, "messages": [{"id": "m1", "messageText": "one"}]}


def everything(database):
    return database.text("select " + ", ".join(f"(select count(*) from {table})" for table in TABLES))


@pytest.mark.parametrize("table", TABLES)
def test_session_that_ends_before_a_write_stores_nothing(database, table):
    """The transaction is blocked at each table in turn, and its session is ended there."""
    envelope = handlers.envelope(LEAD, headers={"idempotency-key": "ended"})
    with Session(database.url) as holder, Session(database.url) as operator:
        holder.text("begin")
        holder.text(f"lock table public.{table} in exclusive mode")
        running = subprocess.Popen(
            [str(HANDLERS / "lead-capture")], env=clean_environment(DATABASE_URL=database.url), cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        running.stdin.write(json.dumps(envelope).encode())
        running.stdin.close()
        until(lambda: operator.text(f"select count(*) {SESSIONS} and wait_event_type = 'Lock'") == "1", 15, f"a session that waits for {table}")
        operator.text(f"select pg_terminate_backend(pid) {SESSIONS}")
        reply, log = running.stdout.read(), running.stderr.read().decode()
        running.stdout.close()
        running.stderr.close()
        assert running.wait(20) == 75, log
        assert json.loads(reply)["statusCode"] == 503
        assert "[ERROR] Conversation insert error" in log
        holder.text("rollback")
    assert everything(database) == "0|0|0|0|0|0"
    again = handlers.run("lead-capture", envelope, DATABASE_URL=database.url)
    assert json.loads(again.stdout)["statusCode"] == 201
    assert everything(database) == "1|1|2|1|1|1"


@pytest.mark.parametrize("capture", CAPTURES, ids=by_name)
def test_sessions_ended_at_random_lose_no_acknowledged_lead(database, capture):
    """Sixty submissions while sessions are ended at random. Every lead with a 201 is stored; the others are after one
    repeat."""
    dice = random.Random(7)
    envelopes = [capture.envelope(f"random-{n}", {**capture.body, "customerName": f"Random {n}"}) for n in range(60)]
    ended = threading.Event()

    def end_sessions():
        with Session(database.url) as operator:
            while not ended.is_set():
                operator.text(f"select pg_terminate_backend(pid) {SESSIONS} order by random() limit {dice.randint(1, 2)}")

    def send(envelope):
        return json.loads(handlers.run(capture.handler, envelope, seconds=40, DATABASE_URL=database.url).stdout)

    killer = threading.Thread(target=end_sessions)
    killer.start()
    try:
        with ThreadPoolExecutor(6) as pool:
            replies = list(pool.map(send, envelopes))
    finally:
        ended.set()
        killer.join()
    keys = set(database.text("select key from idempotency_keys").splitlines())
    promised = {f"random-{n}" for n, reply in enumerate(replies) if reply["statusCode"] == 201}
    assert {reply["statusCode"] for reply in replies} <= {201, 503}
    assert promised <= keys and len(promised) < 60, "no session was ended in time"
    assert capture.stored(database) == (len(keys), len(keys))
    with ThreadPoolExecutor(6) as pool:
        assert {reply["statusCode"] for reply in pool.map(send, envelopes)} == {201}
    assert capture.stored(database) == (60, 60)


def test_unreadable_request_does_not_return_200(cluster, tmp_path):
    """A failing read of stdin stores nothing. The gateway must not report success."""
    for path in HANDLERS.glob("[!.]*"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "lead-capture").unlink()
    (tmp_path / "lead-capture").write_text(f'#!/bin/sh\n[ "$1" = --describe ] || exec <&-\nexec {HANDLERS}/lead-capture "$@"\n')
    (tmp_path / "lead-capture").chmod(0o755)
    database = cluster.migrated()
    with Instance(DATABASE_URL=database.url, LEADPIPE_HANDLERS=str(tmp_path), ENABLE_NOTIFICATION_WORKER="false", LEADPIPE_PROCESS="oneshot") as instance:
        status, _, document = instance.http("/api/chatbot/leads", TEST_USER)
        assert database.count("conversations") == 0
        assert status >= 500, document
