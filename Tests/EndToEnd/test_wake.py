"""WAKE=notify: a capture on another machine wakes a worker without a common socket. The next poll is a minute away."""

import json
import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest

import handlers
from capture_handlers import CAPTURES, by_name
from cluster import Session
from common import HANDLERS, TEST_USER, clean_environment, until
from instance import Instance
from pooler import pooler

LISTENS, DEAF = "[INFO] LISTEN works", "[WARN] LISTEN does not work here (a transaction pooler?): polling only"
LOST, NOT_SENT = "[WARN] The listening session was lost", "[WARN] NOTIFY failed"
SUBSCRIPTION = {"email": "sara@example.com", "source": "footer"}


@contextmanager
def worker(providers, said=LISTENS, **settings):
    """A worker alone, after it has logged whether LISTEN works."""
    instance = Instance(command=("worker",), SLACK_WEBHOOK_URL=providers.settings["SLACK_WEBHOOK_URL"],
                        **{"WORKER_POLL_SECONDS": "60", "WAKE": "notify", **settings})
    try:
        instance.start(ready=False)
        instance.wait_log(said)
        yield instance
    finally:
        instance.__exit__()


def arrives(providers, count, seconds=1.5):
    """Waits until `count` messages have arrived."""
    until(lambda: len(providers.of("slack")) >= count, seconds, f"message {count}")


class Stream:
    """A stream of lead-capture that stays open between leads."""

    def __init__(self, **settings):
        self.process = subprocess.Popen(
            [str(HANDLERS / "lead-capture"), "--stream"], env=clean_environment(LOG_LEVEL="warn", **settings), cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def capture(self, count=1):
        # All at once, so a thread writes while this one reads.
        writer = threading.Thread(target=self._write, args=(f"{json.dumps(TEST_USER)}\n".encode() * count,))
        writer.start()
        for _ in range(count):
            assert "conversation" in json.loads(self.process.stdout.readline())
        writer.join()

    def _write(self, lines):
        self.process.stdin.write(lines)
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _, log = self.process.communicate(timeout=20)
        assert (self.process.returncode, log) == (0, b"")


class Bystander(Session):
    """A session that also listens, and counts the notifications. Probes have a payload and are not counted."""

    def __enter__(self):
        self.text("listen leadpipe_wake")
        return self

    def received(self):
        """The number of notifications since the last call."""
        return self.text("select 1").count('"leadpipe_wake" received')


def test_every_capture_handler_wakes_a_remote_worker(cluster, database, providers):
    intake = {"DATABASE_URL": cluster.url(database.name, "leadpipe_intake"), "WAKE": "notify"}
    with worker(providers, DATABASE_URL_WORKER=cluster.url(database.name, "leadpipe_worker")):
        bodies = [(capture.handler, capture.body) for capture in CAPTURES] + [("newsletter-subscribe", SUBSCRIPTION)]
        for count, (name, body) in enumerate(bodies, 1):
            done = handlers.run(name, body, **intake)
            assert (done.returncode, b"[WARN]" in done.stderr) == (0, False), done.stderr
            arrives(providers, count)
        with Stream(**intake) as stream:
            for count in range(6, 9):
                stream.capture()
                arrives(providers, count)


def test_without_notify_a_remote_worker_is_not_woken(database, providers):
    with worker(providers, DATABASE_URL=database.url), Bystander(database.url) as bystander:
        for settings in ({}, {"WAKE": "socket"}):
            assert handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url, **settings).returncode == 0
        time.sleep(1)
        assert bystander.received() == 0 and not providers.of("slack")


def test_a_worker_that_is_not_woken_polls_every_five_seconds(database, providers):
    with worker(providers, DATABASE_URL=database.url, WORKER_POLL_SECONDS=""):
        arrivals = []
        for count in (1, 2):
            assert handlers.run("lead-capture", {**TEST_USER, "customerName": f"Lead {count}"}, DATABASE_URL=database.url).returncode == 0
            arrives(providers, count, 8)
            arrivals.append(time.monotonic())
            # The worker looks for more at once when it has found something.
            time.sleep(0.5)
        assert 4 <= arrivals[1] - arrivals[0] <= 7


@pytest.mark.parametrize(("size", "number"), [("", 10), ("3", 3)])
def test_a_worker_takes_ten_at_a_time(database, providers, size, number):
    """While one batch is sent, the next one is taken."""
    with Stream(DATABASE_URL=database.url) as stream:
        stream.capture(25)
    providers.answers["slack"] = "hold"
    taken = "lease_until > now()"
    with worker(providers, DATABASE_URL=database.url, WORKER_BATCH_SIZE=size):
        until(lambda: database.count("notification_logs", taken) >= 2 * number, 5, "two batches")
        time.sleep(0.5)
        assert database.count("notification_logs", taken) == 2 * number
        providers.release.set()
        arrives(providers, 25, 20)


def test_ended_session_is_restored_and_missed_leads_are_found(cluster, database, providers):
    operator = cluster.database("postgres")
    with worker(providers, DATABASE_URL=database.url) as instance, Stream(DATABASE_URL=database.url) as silent:
        silent.capture()
        handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url, WAKE="notify")
        arrives(providers, 2)
        operator.run(f"update pg_database set datallowconn = false where datname = '{database.name}'")
        operator.run(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database.name}' and query like '%listen leadpipe_wake'")
        instance.wait_log(LOST)
        silent.capture()
        time.sleep(1)
        assert len(providers.of("slack")) == 2
        operator.run(f"update pg_database set datallowconn = true where datname = '{database.name}'")
        arrives(providers, 3, 8)
        until(lambda: instance.log.count(LISTENS) == 2)
        handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url, WAKE="notify")
        arrives(providers, 4)
        assert instance.log.count(LOST) == 1


def test_survives_a_restart_of_the_server(cluster, database, providers):
    with worker(providers, DATABASE_URL=database.url) as instance:
        cluster.stop()
        instance.wait_log(LOST)
        cluster.start()
        until(lambda: instance.log.count(LISTENS) == 2)
        handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url, WAKE="notify")
        arrives(providers, 1)
        assert (instance.log.count(LOST), DEAF in instance.log) == (1, False)


def test_worker_behind_a_transaction_pooler_polls(cluster, database, providers):
    # One session of the pooler, so that UNLISTEN runs in the one that LISTEN ran in.
    with pooler(cluster, database, size=1) as pooled, \
            worker(providers, said=DEAF, DATABASE_URL=pooled, WORKER_POLL_SECONDS="2") as instance, Session(pooled) as next_client:
        assert next_client.text("select count(*) from pg_listening_channels()") == "0"
        assert handlers.run("lead-capture", TEST_USER, DATABASE_URL=pooled, WAKE="notify").returncode == 0
        arrives(providers, 1, 5)
        assert (instance.log.count(DEAF), LISTENS in instance.log) == (1, False)


def test_captures_behind_a_transaction_pooler_wake_a_worker(database, pooled, providers):
    with worker(providers, DATABASE_URL=database.url):
        for count in range(1, 4):
            assert handlers.run("lead-capture", TEST_USER, DATABASE_URL=pooled, LEADPIPE_ROLE="leadpipe_intake", WAKE="notify").returncode == 0
            arrives(providers, count)


def test_worker_can_listen_through_a_session_pooler(cluster, database, providers):
    with pooler(cluster, database, "session", size=20) as url, worker(providers, DATABASE_URL=url):
        handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url, WAKE="notify")
        arrives(providers, 1)


def test_many_captures_cause_few_notifications_and_the_last_is_not_lost(database, providers):
    with worker(providers, DATABASE_URL=database.url), Bystander(database.url) as bystander, \
            Stream(DATABASE_URL=database.url, WAKE="notify") as stream:
        began = time.monotonic()
        stream.capture(1000)
        took = time.monotonic() - began
        time.sleep(0.1)
        received = bystander.received()
        assert 2 <= received <= took * 100 + 2, f"{received} in {took:.2f} s"
        arrives(providers, 1000, 30)
        # Two leads at once. Stored together they cause one NOTIFY. Otherwise each causes its own, although no line
        # follows.
        stream.capture(2)
        time.sleep(0.1)
        assert bystander.received() in (1, 2)
        arrives(providers, 1002)


@pytest.mark.parametrize("pause", [0, 0.002])
def test_leads_that_come_one_after_another_are_answered(database, pause):
    """Each NOTIFY is sent while the stream waits for the next line, which may arrive before the NOTIFY has its reply."""
    with Stream(DATABASE_URL=database.url, WAKE="notify") as stream:
        for _ in range(20):
            stream.capture()
            time.sleep(pause)
    assert database.text("select count(*) from conversations") == "20"


@pytest.mark.parametrize("capture", CAPTURES, ids=by_name)
def test_denied_notify_changes_no_reply_and_no_status(cluster, database, capture):
    database.run("revoke execute on function pg_notify(text, text) from public")
    intake = {"DATABASE_URL": cluster.url(database.name, "leadpipe_intake"), "WAKE": "notify"}
    done = handlers.run(capture.handler, capture.envelope("refused"), **intake)
    assert (done.returncode, json.loads(done.stdout)["statusCode"]) == (0, 201)
    assert done.stderr.decode().count(NOT_SENT) == 1 and "sqlstate=42501" in done.stderr.decode()
    done = handlers.run(capture.handler, f"{json.dumps(capture.body)}\n" * 20, "--stream", **intake)
    assert (done.returncode, len(handlers.lines(done.stdout))) == (0, 20)
    assert done.stderr.decode().count("[WARN]") == 1, done.stderr


def test_hanging_notify_delays_neither_reply_nor_exit(cluster, database):
    database.run("""create function public.pg_notify(text, text) returns void language sql as 'select pg_sleep(9)';
                    alter role leadpipe_intake set search_path = public, pg_catalog""")
    try:
        began = time.monotonic()
        process = subprocess.Popen([str(HANDLERS / "lead-capture")], cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=clean_environment(
                                       DATABASE_URL=cluster.url(database.name, "leadpipe_intake"), WAKE="notify"))
        process.stdin.write(json.dumps(TEST_USER).encode())
        process.stdin.close()
        reply = process.stdout.read()
        replied = time.monotonic() - began
        log = process.stderr.read().decode()
        assert (process.wait(10), "conversation" in json.loads(reply)) == (0, True)
        assert replied < 0.7 < time.monotonic() - began < 3
        assert f"{NOT_SENT}: workers on other machines poll reason=no response in time" in log
    finally:
        database.run("alter role leadpipe_intake reset search_path")


def test_hanging_or_dead_listener_delays_no_delivery(database, providers, tmp_path):
    socket = {"DATABASE_URL": database.url, "LEADPIPE_WAKE": str(tmp_path / "wake")}
    with worker(providers, **socket) as instance:
        listener = next(iter(instance.processes("wake-listen")))
        os.kill(listener, signal.SIGSTOP)
        handlers.run("lead-capture", TEST_USER, **socket)
        arrives(providers, 1)
        os.kill(listener, signal.SIGKILL)
        instance.wait_log("[WARN] Listening failed reason=")
        until(lambda: instance.log.count(LISTENS) == 2)
        handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url, WAKE="notify")
        arrives(providers, 2)


def test_stopping_worker_leaves_no_listener_behind(database, providers):
    with worker(providers, DATABASE_URL=database.url) as instance:
        assert len(instance.processes("wake-listen")) == 1
        assert instance.stop() == 0
        assert not instance.processes() and instance.stopped_in < 2
