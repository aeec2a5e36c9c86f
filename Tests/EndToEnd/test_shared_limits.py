"""RATE_LIMIT_STORE=postgres: one limit for all connections, gateways and processes of a database."""

import json
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import handlers
from cluster import Session
from common import BIN, TEST_USER, clean_environment
from gateway import GatewayWith, parse

KEY = "the-admin-key-of-the-tests"


def question(key, count, seconds, rate="lead"):
    document = {"limits": [{"rate": rate, "key": key, "count": count, "seconds": seconds}]}
    return f"select public.admit_request('{json.dumps(document)}') -> 'request'"


def admit(session, key, count, seconds):
    return json.loads(session.text(question(key, count, seconds)))


def most_in_a_window(times, window):
    """The maximum number of times in any half-open window of this length."""
    times = sorted(times)
    return max(sum(1 for other in times[index:] if other < start + window) for index, start in enumerate(times))


@pytest.mark.seconds(90)
def test_limit_holds_in_every_window_of_twenty_connections(database):
    """Also checked with the clock of the test: a request was admitted between its call and its result."""
    count, seconds, results, start = 10, 2, [], threading.Barrier(20)

    def ask():
        with Session(database.url) as session:
            start.wait(30)
            end = time.monotonic() + 9
            while time.monotonic() < end:
                before = time.monotonic()
                verdict = admit(session, "198.51.100.1", count, seconds)
                results.append((verdict, before, time.monotonic()))

    with ThreadPoolExecutor(20) as pool:
        for future in [pool.submit(ask) for _ in range(20)]:
            future.result()
    admitted = [result for result in results if result[0]["allowed"]]
    assert len(results) > 200 and len(admitted) < len(results) / 2
    times = [verdict["held"][0]["at"] for verdict, _, _ in admitted]
    assert most_in_a_window(times, seconds * 1000) <= count
    certain = [sum(1 for _, before, after in admitted if before >= start and after < start + seconds) for _, start, _ in admitted]
    assert max(certain) <= count
    # The limit is used: nothing is refused while there is room.
    assert len(admitted) >= count * 4


def test_wait_of_a_refused_client_is_enough(database):
    with Session(database.url) as session:
        for round_ in range(3):
            verdicts = [admit(session, "client", 3, 1) for _ in range(4)]
            refused = verdicts[-1]
            assert not refused["allowed"], round_
            time.sleep(refused["resetsIn"] / 1000)
            assert admit(session, "client", 3, 1)["allowed"], round_
            time.sleep(1)


def test_clients_do_not_wait_for_each_other(database):
    """A session holds the row of one client: only that client waits, for 200 ms, and is not admitted."""
    with Session(database.url) as holder, Session(database.url) as other:
        holder.text("begin")
        holder.text(question("held", 10, 60))
        other.text("set lock_timeout = '2s'")
        began = time.monotonic()
        assert admit(other, "free", 10, 60)["allowed"]
        assert time.monotonic() - began < 1.5
        done = handlers.run("rate-count", {"admit": {"limits": [{"rate": "lead", "key": "held", "count": 10, "seconds": 60}]}},
                            DATABASE_URL=database.url)
        assert done.returncode == 75
        assert json.loads(done.stdout)["problem"]["code"] == "database_busy"
        holder.text("rollback")
    assert database.count("leadpipe.rate_counts", "key = 'held'") == 0


@pytest.mark.seconds(120)
def test_size_is_bounded_under_a_flood_of_addresses(database):
    """A full table: 64 clients in each of 1,024 buckets. New ones share the rows of their buckets."""
    database.run("""insert into leadpipe.rate_counts (rate, key, bucket, times, counts, ends)
      select 'lead', 'active ' || n, n % 1024, array[leadpipe.unix_milliseconds()], '{1}', leadpipe.unix_milliseconds() + 3600000
      from generate_series(1, 65536) n""")
    flood = """select count(*) from generate_series(%d, %d) n where (public.admit_request(jsonb_build_object('limits', jsonb_build_array(
      jsonb_build_object('rate', 'lead', 'key', 'new ' || n, 'count', 10, 'seconds', 60)))) #>> '{request,allowed}')::boolean"""
    with Session(database.url) as session:
        admitted = sum(int(session.text(flood % (first, first + 499))) for first in range(0, 4000, 500))
        assert 0 < admitted <= 4000
        assert int(session.text("select count(*) from leadpipe.rate_counts where rate = 'lead'")) <= 65_536 + 1024
        assert session.text("select count(*) from leadpipe.rate_counts where key like 'new %'") == "0"
        # A client that was there before has a count of its own.
        assert admit(session, "active 1", 2, 60)["remaining"] == 0
        assert int(session.text("select pg_total_relation_size('leadpipe.rate_counts')")) < 60_000_000
        # What has expired makes room.
        session.text("update leadpipe.rate_counts set ends = 0 where rate = 'lead'")
        session.text(flood % (10_000, 10_499))
        assert int(session.text("select count(*) from leadpipe.rate_counts where key like 'new %'")) == 500
        assert int(session.text("select count(*) from leadpipe.rate_counts where key like 'active %'")) < 45_000


# ── Gateways ──

def children(parent):
    """The process ids and command lines of the child processes."""
    for pid in subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, timeout=10).stdout.split():
        with open(f"/proc/{pid}/cmdline") as line:
            yield int(pid), line.read()


class Gateway(GatewayWith):
    """A gateway with the real handlers, which counts in the database."""

    def __init__(self, folder, database, **environment):
        folder.mkdir()
        super().__init__(folder, {}, **{
            "LEADPIPE_HANDLERS": str(BIN / "handlers"), "DATABASE_URL": database.url, "RATE_LIMIT_STORE": "postgres", "ADMIN_API_KEY": KEY,
            "TRUSTED_PROXIES": "127.0.0.1", "LOG_LEVEL": "info", **environment})

    def lead(self, client="203.0.113.7", body=None, **headers):
        """(status, headers, document)."""
        lines = [f"X-Forwarded-For: {client}", *(f"{name}: {value}" for name, value in headers.items())]
        text = self.answer("POST", "/api/chatbot/leads", lines, json.dumps(TEST_USER if body is None else body), seconds=15)
        return (*parse(text), json.loads(text.partition(b"\r\n\r\n")[2] or b"null"))

    def admin(self, key, client="203.0.113.8", path="/api/admin/agents"):
        return self.request("GET", path, [f"X-Forwarded-For: {client}", *([f"X-Admin-Api-Key: {key}"] if key else [])], seconds=15)


@pytest.fixture
def two(database, tmp_path):
    """Starts two gateways on one database, with these settings."""
    started = []

    def start(**environment):
        for name in ("a", "b"):
            started.append(Gateway(tmp_path / name, database, **environment).__enter__())
        return started
    yield start
    for gateway in started:
        gateway.__exit__()


@pytest.mark.seconds(90)
def test_two_gateways_keep_one_limit(two, database):
    gateways = two(RATE_LIMIT_LEAD="10/60")
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda n: gateways[n % 2].lead(), range(40)))
    statuses = [status for status, _, _ in results]
    assert statuses.count(429) == 30 and set(statuses) <= {200, 201, 429}, statuses
    for status, headers, document in results:
        assert headers["ratelimit-policy"] == '"lead";q=10;w=60'
        assert headers["x-ratelimit-limit"] == "10"
        if status == 429:
            assert 1 <= int(headers["retry-after"]) <= 60
            assert document["code"] == "rate_limited"
    assert {int(headers["x-ratelimit-remaining"]) for status, headers, _ in results if status != 429} == set(range(10))
    # Another client is not affected, and the table says who was counted.
    assert gateways[0].lead(client="203.0.113.9")[0] in (200, 201)
    assert database.value("select sum(n) from leadpipe.rate_counts, unnest(counts) n where rate = 'lead' and key = '203.0.113.7'") == "10"


@pytest.mark.seconds(90)
def test_retry_after_holds_across_gateways(two):
    a, b = two(RATE_LIMIT_LEAD="3/3")
    assert [gateway.lead()[0] for gateway in (a, b, a)].count(429) == 0
    status, headers, _ = b.lead()
    assert status == 429
    time.sleep(int(headers["retry-after"]))
    assert a.lead()[0] in (200, 201)


@pytest.mark.seconds(90)
def test_invalid_requests_cost_half(two):
    a, b = two(RATE_LIMIT_LEAD="10/60")
    left = []
    for gateway in (a, b, a, b):
        status, headers, _ = gateway.lead(body={})
        assert status == 400
        left.append(headers["x-ratelimit-remaining"])
    assert left == ["10", "9", "9", "8"]
    # So do bodies that the gateway itself refuses.
    status, headers, _ = a.lead(body={"message": "x" * 300_000})
    assert (status, headers["x-ratelimit-remaining"]) == (413, "8")


@pytest.mark.seconds(90)
def test_ipv6_networks_are_limited_together(two):
    a, b = two(RATE_LIMIT_LEAD="1/60")
    assert a.lead("2001:db8:7:1::1")[0] in (200, 201)
    assert b.lead("2001:db8:7:1::2")[0] == 429
    assert sum(gateway.lead(f"2001:db8:7:{n}::1")[0] != 429 for n in range(2, 7) for gateway in (a, b)) == 5
    assert sum(a.lead(f"2001:db8:7:{n}::1")[0] != 429 for n in range(7, 12)) == 2, "eight clients of the /48"
    assert b.lead("2001:db8:8:1::1")[0] in (200, 201)


@pytest.mark.seconds(120)
def test_guesses_of_keys_are_counted_together(two, database):
    a, b = two()
    assert a.admin(KEY, "192.0.2.1")[0] == 200
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda n: (a, b)[n % 2].admin(f"wrong-{n}", "192.0.2.1")[0], range(30)))
    assert (statuses.count(401), statuses.count(429)) == (20, 10), statuses
    # The key was accepted at the first gateway: the second one knows it, and it counts by itself.
    status, headers = b.admin(KEY, "192.0.2.1")
    assert (status, headers["x-ratelimit-remaining"]) == (200, "119")
    status, headers = a.admin(KEY, "198.51.100.77")
    assert (status, headers["x-ratelimit-remaining"]) == (200, "118")
    stored = database.text("select rate, key from leadpipe.rate_counts")
    assert KEY not in stored and "wrong-" not in stored
    assert database.count("leadpipe.rate_counts", "rate = 'accepted'") == 1


@pytest.mark.seconds(120)
def test_without_the_database_requests_get_503_and_after_a_crash_counts_restart(two, cluster, database):
    a, b = two(RATE_LIMIT_LEAD="2/60")
    assert [gateway.lead()[0] for gateway in (a, b, a)][2] == 429
    cluster.stop("immediate")
    try:
        for gateway in (a, b):
            for _ in range(3):
                status, headers, document = gateway.lead(client="203.0.113.50")
                assert (status, document["code"]) == (503, "database_unavailable")
                assert int(headers["retry-after"]) >= 1
        assert "503: the request could not be counted" in a.log
    finally:
        cluster.start()
    # The table is empty after a crash, as documented.
    assert database.count("leadpipe.rate_counts") == 0
    statuses = [gateway.lead()[0] for gateway in (a, b, a, b, a)]
    assert statuses[-1] == 429 and 1 <= sum(status in (200, 201) for status in statuses) <= 2, statuses


@pytest.mark.seconds(90)
def test_killed_counter_is_replaced(database, tmp_path):
    with Gateway(tmp_path / "a", database) as gateway:
        assert gateway.lead()[0] in (200, 201)
        counters = [pid for pid, command in children(gateway.process.pid) if "rate-count" in command]
        assert counters
        for pid in counters:
            os.kill(pid, signal.SIGKILL)
        statuses = [gateway.lead()[0] for _ in range(5)]
        assert set(statuses) <= {200, 201, 503} and statuses[-1] != 503, statuses


def test_gateway_needs_the_step(database, tmp_path):
    folder = tmp_path / "handlers"
    folder.mkdir()
    done = subprocess.run([str(BIN / "gateway"), "--check"], capture_output=True, text=True, timeout=20,
                          env=clean_environment(LEADPIPE_HANDLERS=str(folder), RATE_LIMIT_STORE="postgres"))
    assert done.returncode == 78
    assert "no step rate-count of class intake" in done.stderr
