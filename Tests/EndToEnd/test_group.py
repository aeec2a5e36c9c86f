"""Leads that wait for a capture handler are stored together: one call, but each lead succeeds or fails on its own, and
replies keep their order."""

import array
import fcntl
import json
import socket
import subprocess
import termios
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import handlers
from cluster import Session
from common import HANDLERS, TEST_USER, clean_environment, until


@pytest.fixture
def database(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


def stream(database, leads, **environment):
    """Sends all leads at once. Returns (replies, log lines)."""
    lines = "".join(json.dumps(lead) + "\n" for lead in leads)
    done = handlers.run("lead-capture", lines, "--stream", DATABASE_URL=database.url, **environment)
    return handlers.lines(done.stdout), done.stderr.decode().splitlines()


def person(number, **more):
    return handlers.envelope({**TEST_USER, "customerName": f"N{number}", "customerPhone": f"+97150{number:07}", "customerEmail": f"n{number}@example.com",
                              **more})


def broken(database, statement):
    """Replaces capture_leads with a function that runs `statement` first."""
    database.run(f"""create or replace function public.capture_leads(p jsonb) returns jsonb language plpgsql security definer as
                     $$ begin {statement} return (select jsonb_agg(public.capture_lead(l)) from jsonb_array_elements(p) l); end $$""")


def test_one_call_and_one_wake_for_all(database, tmp_path):
    wake = tmp_path / "wake"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as tap:
        tap.bind(str(wake))
        tap.setblocking(False)
        database.run("create sequence public.calls; grant usage on public.calls to public")
        broken(database, "perform nextval('public.calls');")
        replies, log = stream(database, [person(n) for n in range(50)], LEADPIPE_WAKE=str(wake))
        assert [reply["statusCode"] for reply in replies] == [201] * 50
        assert [json.loads(reply["body"])["conversation"]["customerName"] for reply in replies] == [f"N{n}" for n in range(50)]
        assert database.count("conversations") == 50
        batches = int(database.text("select last_value from public.calls"))
        assert batches <= 3
        taps = 0
        try:
            while tap.recv(16):
                taps += 1
        except BlockingIOError:
            pass
        assert 1 <= taps <= 4
    assert sum("Successfully created conversation" in line for line in log) == 50
    assert sum("Event emitted: lead.created" in line for line in log) == 50


def test_each_lead_succeeds_or_fails_on_its_own(database):
    leads = [
        person(1), handlers.envelope({"customerPhone": "x"}), handlers.envelope(TEST_USER, headers={"idempotency-key": "k"}),
        handlers.envelope("{"), handlers.envelope(TEST_USER, headers={"idempotency-key": "k"}),
        handlers.envelope({**TEST_USER, "intent": "rent"}, headers={"idempotency-key": "k"}), person(2),
    ]
    late = person(3)
    late["requestContext"]["x"] = {"deadlineMs": 1_000_000}
    replies, _ = stream(database, [*leads, late, person(4)])
    assert [reply["statusCode"] for reply in replies] == [201, 400, 201, 400, 201, 422, 201, 504, 201]
    assert replies[4]["headers"]["idempotency-replayed"] == "true" and replies[4]["body"] == replies[2]["body"]
    assert database.count("conversations") == 4


def test_falls_back_to_storing_one_by_one(database):
    broken(database, "raise exception 'not together';")
    replies, log = stream(database, [person(n) for n in range(9)])
    assert [reply["statusCode"] for reply in replies] == [201] * 9
    assert database.count("conversations") == 9
    assert sum("Conversation insert error" in line for line in log) == 0


@pytest.mark.parametrize("state", ["40P01", "40001", "LPTRY"])
def test_retries_after_a_deadlock(database, state):
    database.run("create sequence public.tries; grant usage on public.tries to public")
    broken(database, f"if nextval('public.tries') < 3 then raise exception 'lost' using errcode = '{state}'; end if;")
    replies, log = stream(database, [person(n) for n in range(9)])
    assert [reply["statusCode"] for reply in replies] == [201] * 9
    assert database.count("conversations") == 9 and not any("ERROR" in line for line in log)


def test_streams_with_the_same_customers_in_opposite_orders_do_not_deadlock(database):
    """Both store leads of all customers, in opposite orders."""
    leads = [person(n) for n in range(60)] * 4
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda order: stream(database, order), [leads, leads[::-1]]))
    assert all(reply["statusCode"] == 201 for replies, _ in outcomes for reply in replies)
    assert database.text("select count(distinct customer_id) from conversations") == "60"
    assert not any("deadlock" in line for _, log in outcomes for line in log)


def test_locked_conversation_does_not_delay_other_leads(database):
    """Leads for the locked conversation get 503 with Retry-After. The others are stored immediately."""
    held = "00000000-0000-4000-8000-00000000000a"
    first, _ = stream(database, [person(0, conversationId=held)])
    assert first[0]["statusCode"] in (200, 201)
    with Session(database.url) as holder:
        holder.text("begin")
        holder.text(f"select from conversations where id = '{held}' for update")
        began = time.monotonic()
        replies, _ = stream(database, [person(0 if n % 3 == 0 else n, notes=f"Note {n}", **({"conversationId": held} if n % 3 == 0 else {}))
                                       for n in range(12)])
        took = time.monotonic() - began
    assert [reply["statusCode"] for reply in replies] == [503 if n % 3 == 0 else 201 for n in range(12)]
    assert replies[0]["headers"]["retry-after"] == "1" and took < 8


def test_stores_one_by_one_without_the_function(database):
    database.run("drop function public.capture_leads(jsonb)")
    replies, _ = stream(database, [person(n) for n in range(5)])
    assert [reply["statusCode"] for reply in replies] == [201] * 5


def test_reads_and_checks_the_next_leads_while_the_database_works(database):
    """They are answered in order, and a lead whose client has stopped waiting is not stored."""
    def send(leads):
        process.stdin.write("".join(json.dumps(lead) + "\n" for lead in leads).encode())
        process.stdin.flush()

    def is_read():
        waiting = array.array("i", [0])
        fcntl.ioctl(process.stdin, termios.FIONREAD, waiting)
        return waiting[0] == 0
    process = subprocess.Popen([HANDLERS / "lead-capture", "--stream"], env=clean_environment(DATABASE_URL=database.url), cwd="/",
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        send([person(0)])
        assert json.loads(process.stdout.readline())["statusCode"] == 201
        with Session(database.url) as other:
            other.text("begin; lock table conversations in access exclusive mode; select 1")
            send([person(1)])
            until(lambda: database.text("select count(*) from pg_locks where not granted") == "1", 5, "the handler's wait for the lock")
            late = person(4)
            late["requestContext"]["x"] = {"deadlineMs": int(time.time() * 1000) + 150}
            send([person(2), handlers.envelope({"customerPhone": "x"}), person(3), late, handlers.envelope("{"), *[person(n) for n in range(5, 90)]])
            # More than a batch; the rest stays in the pipe or the buffer.
            until(is_read, 0.8, "the read ahead")
            assert database.text("select count(*) from pg_locks where not granted") == "1"
            time.sleep(0.2)
            other.text("commit")
        out, errors = process.communicate(timeout=20)
        replies = handlers.lines(out)
        assert [reply["statusCode"] for reply in replies] == [201, 201, 400, 201, 504, 400, *[201] * 85], errors
        names = [json.loads(reply["body"])["conversation"]["customerName"] for reply in replies if reply["statusCode"] == 201]
        assert names == [f"N{n}" for n in [1, 2, 3, *range(5, 90)]]
        assert database.count("conversations") == 89
    finally:
        process.kill()
        process.wait()
