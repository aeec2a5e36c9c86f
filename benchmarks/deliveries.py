"""Measures how fast notifications are delivered, side by side with two queues on the same PostgreSQL:

deliveries.py BIN DATABASE_URL WORK

BIN is the folder of Leadpipe's executables, DATABASE_URL the owner's login of a migrated database without a running worker, WORK a
folder for temporary files. Requires a Python with the packages of requirements.txt. All data in the database is deleted."""

import contextlib
import json
import pathlib
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

import psycopg

from measure import HERE, PLAIN, keep, processes, row, running, setting, table, until

BIN, URL, WORK = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], pathlib.Path(sys.argv[3]).resolve()


DELIVERIES = setting("BENCH_DELIVERIES", 10_000)
SAMPLES = setting("BENCH_SAMPLES", 200)
HTTP = setting("BENCH_HTTP", 3000)
EACH = setting("BENCH_EACH", 1000)
ROUNDS = setting("BENCH_ROUNDS", 3)
# The time for all measurements and the limit for any single wait, in seconds.
SECONDS, LIMIT = setting("BENCH_SECONDS", 330), setting("BENCH_LIMIT", 60)
STARTED = time.monotonic()
BATCH = 100
# The number of jobs that procrastinate runs at a time.
CONCURRENCY = 20

TRANSACTIONS, WAL = "transactions that write", "KiB of WAL"
ROWS = ["rows inserted", "rows updated", "of which HOT updates"]


class Meter:
    """Measures CPU time in ms of PostgreSQL, a worker and a sink by the kind of process, and the transactions, WAL and
    row versions written."""

    def __init__(self, connection, sink=None):
        self.connection, self.sink = connection, sink
        parents = {process.pid: process.parent for process in processes()}
        self.postmaster = parents[connection.info.backend_pid]
        self.before = {process.pid: process.seconds for process in processes()}
        self.rows_before = self.rows()
        self.written_before = self.written()

    def rows(self):
        """The row versions written by sessions that have ended, and by this one."""
        self.connection.execute("select pg_stat_force_next_flush()")
        return self.connection.execute("""select sum(n_tup_ins)::bigint, sum(n_tup_upd)::bigint, sum(n_tup_hot_upd)::bigint
            from pg_stat_user_tables""").fetchone()

    def rows_since(self):
        return {name: now - before for name, now, before in zip(ROWS, self.rows(), self.rows_before, strict=True)}

    def written(self):
        return self.connection.execute("""select pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
            pg_current_wal_lsn() - '0/0'""").fetchone()

    def read(self, worker):
        queries = dict(self.connection.execute("select pid, query from pg_stat_activity where backend_type = 'client backend'"))
        transactions, wal = (now - before for now, before in zip(self.written(), self.written_before, strict=True))
        spent = {TRANSACTIONS: transactions, WAL: float(wal) / 1024}
        for pid, name, parent, session, seconds, _ in processes():
            if parent == self.postmaster and pid != self.connection.info.backend_pid:
                function = re.search(r"claim_deliveries|begin_deliveries|record_outcomes", queries.get(pid, ""))
                kind = function[0] if function else "sessions" if pid in queries else "its own processes"
                name = f"PostgreSQL: {kind}"
            elif session == self.sink:
                name = "the sink"
            elif session != worker:
                continue
            spent[name] = spent.get(name, 0) + 1000 * (seconds - self.before.get(pid, 0))
        return spent


# Queues

class Run:
    """The results of one run: its rates and the cost of a delivery. `times` has when each delivery was recorded as
    done."""

    def __init__(self, began, times, spent):
        first, last = min(times), max(times)
        # Deliveries with the time of the first are not counted: they were recorded in the same transaction.
        self.began, self.steady = began, sum(moment > first for moment in times) / (last - first)
        self.whole = len(times) / (last - began)
        self.spent = {name: figure / len(times) for name, figure in spent.items()}


class Queue:
    """A queue and its worker. `done` selects when jobs were recorded as done, in seconds; `empty` deletes them."""

    def __init__(self, name, url):
        self.name, self.url = name, url
        self.connection = psycopg.connect(url, autocommit=True)

    def times(self):
        return [moment for moment, in self.connection.execute(self.done)]

    def count(self):
        return self.connection.execute(f"select count(*) from ({self.done}) done").fetchone()[0]

    def drain(self, jobs, count=None, sink=None):
        """Loads jobs, starts the worker and waits until `count` jobs are done, or all of them by default."""
        self.connection.execute(self.empty)
        self.load(jobs)
        self.connection.execute("vacuum analyze")
        self.connection.execute("checkpoint")
        meter = Meter(self.connection, sink)
        began = time.time()
        with running(self.worker, self.environment) as worker:
            until(lambda: self.count() >= (count or jobs), f"{count or jobs} deliveries of {self.name}")
            spent = meter.read(worker.pid)
        # Sessions report the rows when they end.
        time.sleep(0.5)
        return Run(began, self.times(), spent | meter.rows_since())


class Ours(Queue):
    # Older rows are kept between runs, because tables in use are not empty.
    since = 0
    worker = [BIN / "leadpipe", "worker"]

    def __init__(self, name, environment, *channels, batch=BATCH, handlers=BIN / "handlers"):
        super().__init__(name, URL)
        self.channels = ", ".join(f"'{channel}'" for channel in channels)
        self.environment = {
            "DATABASE_URL_WORKER": login("worker"), "LEADPIPE_HANDLERS": str(handlers), "WORKER_BATCH_SIZE": str(batch),
            "SLACK_PER_SECOND": "off", "TELEGRAM_PER_SECOND": "off"} | environment

    @property
    def done(self):
        return f"""select extract(epoch from updated_at)::float8 from notification_logs
            where status = 'sent' and channel in ({self.channels}) and created_at > to_timestamp({Ours.since})"""

    @property
    def empty(self):
        return f"""
            delete from lead_events where created_at > to_timestamp({Ours.since});
            delete from notification_attempts where started_at > to_timestamp({Ours.since});
            delete from conversation_timeline where created_at > to_timestamp({Ours.since});
            truncate notification_channels, workers"""

    def load(self, jobs):
        self.connection.execute("""
            insert into lead_events (event_type, conversation_id, payload, created_at)
            select event_type, conversation_id, payload, clock_timestamp() from bench_events limit %s""", [jobs])

    def clear(self):
        self.connection.execute("""
            drop table if exists bench_events, bench_commits;
            truncate conversations, customer_identities, notification_attempts, notification_channels, workers cascade""")

    def prepare(self, count):
        """Stores test leads with lead-capture and keeps their events for all later runs. Does a first run, so that
        the tables have older deliveries."""
        self.clear()
        leads = subprocess.Popen([BIN / "leadpipe", "generate", "--count", str(count), "--hostile", "0"], stdout=subprocess.PIPE)
        subprocess.run([BIN / "handlers/lead-capture", "--stream"], stdin=leads.stdout, stdout=subprocess.DEVNULL, check=True,
                       env=PLAIN | {"DATABASE_URL": login("intake")}, timeout=4 * LIMIT)
        leads.wait()
        self.connection.execute("create table bench_events as select * from lead_events where event_type = 'lead.created'")
        self.drain(count)
        Ours.since = time.time()


class Peer(Queue):
    """A queue of peers/queues.py in its own database. Its jobs carry the payloads of Leadpipe's events."""

    environment = {}
    tables = {
        "pgqueuer": ("select extract(epoch from created)::float8 from pgqueuer_log where status = 'successful'",
                     "truncate pgqueuer, pgqueuer_log, pgqueuer_statistics"),
        "procrastinate": ("select extract(epoch from at)::float8 from procrastinate_events where type = 'succeeded'",
                          "truncate procrastinate_jobs, procrastinate_events, procrastinate_workers cascade"),
    }

    def __init__(self, peer, concurrency, name):
        url = URL.replace("/leadpipe?", f"/bench_{peer}?")
        self.command = [sys.executable, HERE / "peers/queues.py", peer]
        with contextlib.suppress(psycopg.errors.DuplicateDatabase):
            ours.connection.execute(f"create database bench_{peer}")
            subprocess.run([*self.command, "install", url], check=True, timeout=LIMIT)
        super().__init__(name, url)
        self.done, self.empty = self.tables[peer]
        self.worker = [*self.command, "work", url, str(concurrency)]
        self.clock = [*self.command, "clock", url, str(concurrency)]

    def load(self, jobs):
        lines = "".join(f"{payload}\n" for payload in payloads(jobs))
        subprocess.run([*self.command, "load", self.url], input=lines, text=True, check=True, timeout=LIMIT)


def payloads(count):
    return [payload for payload, in ours.connection.execute("select payload::text from bench_events limit %s", [count])]


def login(name):
    return URL.replace("//leadpipe@", f"//leadpipe_{name}@")


def handlers_without_slack():
    """Returns a folder with Leadpipe's handlers, in which notify-slack does nothing."""
    folder = WORK / "handlers"
    folder.mkdir(exist_ok=True)
    for handler in (BIN / "handlers").iterdir():
        if handler.name != "notify-slack" and not (folder / handler.name).exists():
            (folder / handler.name).symlink_to(handler)
    subprocess.run(["cc", "-O2", "-o", folder / "notify-slack", HERE / "peers/noop.c"], check=True)
    return folder


# Tables

def median(runs, figure):
    return statistics.median(getattr(run, figure) for run in runs)


def each(runs):
    return ", ".join(f"{run.steady:,.0f}" for run in runs)


PROFILES = {}


def profile(name, runs):
    """Stores the cost of a delivery for the table at the end."""
    kinds = {kind for run in runs for kind in run.spent}
    PROFILES[name] = {kind: statistics.mean(run.spent.get(kind, 0) for run in runs) for kind in kinds}


def print_profiles():
    kinds = {kind for profile in PROFILES.values() for kind in profile} - {TRANSACTIONS, WAL, *ROWS}
    table("CPU ms for a delivery", *PROFILES)
    for kind in sorted(kinds):
        row(kind, *(f"{profile[kind]:.3f}" if kind in profile else "" for profile in PROFILES.values()))
    keep(database_cpu={name: sum(spent for kind, spent in profile.items() if kind.startswith("PostgreSQL")) for name, profile in PROFILES.items()})
    row("all of these", *(f"{sum(profile.get(kind, 0) for kind in kinds):.3f}" for profile in PROFILES.values()))
    for kind in TRANSACTIONS, WAL, *ROWS:
        row(kind, *(f"{profile[kind]:.2f}" for profile in PROFILES.values()))


# Measurements

def turns(share):
    """Yields up to ROUNDS turns: at least one, and no further one after that share of the time."""
    for turn in range(ROUNDS):
        if turn == 0 or time.monotonic() < STARTED + share * SECONDS:
            yield turn


def rates():
    # Slow queues get fewer jobs; their rate does not depend on the number.
    counts = {ours: DELIVERIES, pgqueuer: DELIVERIES, ours_by_default: DELIVERIES // 2, pgqueuer_by_default: DELIVERIES // 2,
              procrastinate: DELIVERIES // 10}
    runs = {queue: [] for queue in counts}
    for _ in turns(0.4):
        for queue, count in counts.items():
            runs[queue].append(queue.drain(count))
    table(f"deliveries that do nothing, in batches of {BATCH}", "how many", "a second, from the first to the last", "each run",
          "with the worker's start", "against leadpipe")
    for queue, done in runs.items():
        steady = median(done, "steady")
        row(queue.name, f"{counts[queue]:,}", f"{steady:,.0f}", each(done), f"{median(done, 'whole'):,.0f}",
            f"{steady / median(runs[ours], 'steady'):.2f} ×")
        profile(queue.name, done)
    keep(deliveries={queue.name: median(done, "steady") for queue, done in runs.items()})


def latencies():
    """Gives each queue one job at a time in turn, with pauses, while all three workers wait."""
    count = SAMPLES + 5  # The first five warm up.
    wake = {"LEADPIPE_WAKE": str(WORK / "wake.sock")}
    leads = subprocess.run([BIN / "leadpipe", "generate", "--count", str(count), "--hostile", "0", "--seed", "2"],
                           stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    lines = {ours: leads, pgqueuer: payloads(count), procrastinate: payloads(count)}
    asked, told, began = ({queue: [] for queue in lines} for _ in range(3))
    commits = []
    with contextlib.ExitStack() as stack:
        def start(command, environment, **files):
            return stack.enter_context(running(command, environment, **files))

        def producer(command, environment):
            return start(command, environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        for queue in lines:
            queue.connection.execute(queue.empty)
        ours.connection.execute("create table bench_commits (payload jsonb)")
        start(ours.worker, ours.environment | wake)
        producers = {ours: producer([BIN / "handlers/lead-capture", "--stream"], {"DATABASE_URL": login("intake")} | wake)}
        clocks = {}
        for peer in pgqueuer, procrastinate:
            clocks[peer] = WORK / peer.name
            start(peer.clock, {}, stdout=stack.enter_context(clocks[peer].open("w")))
            producers[peer] = producer([*peer.command, "produce", peer.url], {})
        time.sleep(3)
        for sample in range(count):
            for queue, process in producers.items():
                asked[queue].append(time.time_ns())
                process.stdin.write(lines[queue][sample] + "\n")
                process.stdin.flush()
                if not process.stdout.readline():
                    sys.exit(f"the producer of {queue.name} has ended")
                told[queue].append(time.time_ns())
                time.sleep(random.uniform(0.03, 0.06))
            commits.append(time.time_ns())
            ours.connection.execute("insert into bench_commits values (%s)", [lines[pgqueuer][sample]])
            commits[-1] = time.time_ns() - commits[-1]
            time.sleep(random.uniform(0.03, 0.06))
        until(lambda: ours.count() == count, "the last samples", 10)
    ours.connection.execute("drop table bench_commits")
    for peer, clock in clocks.items():
        began[peer] = list(map(int, clock.read_text().split()))
    began[ours] = [int(moment) for moment, in ours.connection.execute(
        "select provider_id from notification_logs where created_at > to_timestamp(%s) order by provider_id::bigint",
        [Ours.since])]
    table(f"one at a time, {SAMPLES} samples", "from commit to start, p50 ms", "p99 ms", "from the call to start, p50 ms", "p99 ms")
    for queue in lines:
        assert len(began[queue]) == count, f"{queue.name} has begun {len(began[queue])}"
        row(queue.name, *percentiles(began[queue], told[queue]), *percentiles(began[queue], asked[queue]))
    keep(commit_to_start=[float(ms) for ms in percentiles(began[ours], told[ours])])
    row("for comparison: one insert and its commit", "", "", *percentiles(commits, [0] * count))


def percentiles(moments, since):
    waits = sorted((moment - before) / 1e6 for moment, before in zip(moments[5:], since[5:], strict=True))
    return f"{waits[len(waits) // 2]:.2f}", f"{waits[int(len(waits) * 0.99)]:.2f}"


class Sink:
    """A running `leadpipe sink`, and the settings that send notifications to it."""

    def __init__(self, stack):
        log = WORK / "sink.log"
        process = stack.enter_context(running(
            [BIN / "leadpipe", "sink", "--http-port", "0", "--smtp-port", "0", "--file", WORK / "sink.ndjson"],
            {"LOG_LEVEL": "info"},
            stderr=stack.enter_context(log.open("w"))))
        until(lambda: "Sink listening" in log.read_text(), "the sink does not listen", 10)
        said = log.read_text()
        self.session = process.pid
        self.http = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        self.slack = {"SLACK_WEBHOOK_URL": f"{self.http}/services/bench"}
        self.others = {
            "TELEGRAM_BOT_TOKEN": "1:bench", "TELEGRAM_CHAT_ID": "-1", "TELEGRAM_API_URL": self.http,
            "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": re.search(r"smtp\W+127\.0\.0\.1:(\d+)", said)[1],
            "EMAIL_FROM": "Leadpipe <leadpipe@example.com>", "EMAIL_TO": "agents@example.com"}

    def behave(self, behaviour):
        request = urllib.request.Request(f"{self.http}/behaviour", json.dumps(behaviour).encode(), method="PUT")
        urllib.request.urlopen(request, timeout=5).read()


def over_http():
    with contextlib.ExitStack() as stack:
        sink = Sink(stack)
        # Bound but not listening, so connections are refused.
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        refused = {"SLACK_WEBHOOK_URL": f"http://127.0.0.1:{closed.getsockname()[1]}/services/bench"}
        slack = Ours("Slack alone", sink.slack, "slack")
        three = Ours("Slack, Telegram and email", sink.slack | sink.others, "slack", "telegram", "email")
        two = Ours("Telegram and email", sink.slack | sink.others, "telegram", "email")
        cases = {
            "healthy": (sink.slack, {}),
            "not configured": ({}, {}),
            "refusing connections": (refused, {}),
            "hanging": (sink.slack, {"slack": [{"fail": "hang", "percent": 100}]}),
            "answering 500": (sink.slack, {"slack": [{"fail": "refuse", "status": 500, "percent": 100}]}),
        }
        runs = {name: [] for name in [slack, three, *cases]}
        for _ in turns(0.85):
            sink.behave({})
            runs[slack].append(slack.drain(HTTP, sink=sink.session))
            for name in random.sample(list(cases), len(cases)):
                webhook, behaviour = cases[name]
                sink.behave(behaviour)
                if name == "healthy":
                    runs[three].append(three.drain(EACH, 3 * EACH, sink.session))
                    runs[name].append(Run(runs[three][-1].began, two.times(), {}))
                else:
                    dead = Ours(f"Telegram and email, Slack {name}", webhook | sink.others, "telegram", "email")
                    runs[name].append(dead.drain(EACH, 2 * EACH, sink.session))
    table("over HTTP and SMTP into the sink", "deliveries", "a second", "each run")
    for queue, count in (slack, HTTP), (three, 3 * EACH):
        row(queue.name, f"{count:,}", f"{median(runs[queue], 'steady'):,.0f}", each(runs[queue]))
        profile(queue.name, runs[queue])
    table("Slack is", "Telegram and email a second", "each run", "slower by")
    for name in cases:
        slower = statistics.median(1 - dead.steady / well.steady for dead, well in zip(runs[name], runs["healthy"], strict=True))
        row(name, f"{median(runs[name], 'steady'):,.0f}", each(runs[name]), f"{100 * slower:.1f} %")


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
nobody = {"SLACK_WEBHOOK_URL": "http://127.0.0.1:1/"}
without_slack = handlers_without_slack()
ours = Ours("leadpipe", nobody, "slack", handlers=without_slack)
ours_by_default = Ours("leadpipe, batches of 10", nobody, "slack", batch=10, handlers=without_slack)
ours.prepare(max(DELIVERIES, HTTP, EACH))
pgqueuer = Peer("pgqueuer", BATCH, "pgqueuer")
pgqueuer_by_default = Peer("pgqueuer", 10, "pgqueuer, batches of 10")
procrastinate = Peer("procrastinate", CONCURRENCY, "procrastinate")
for part in sys.argv[4:] or ["rates", "latencies", "over_http"]:
    globals()[part]()
print_profiles()
ours.clear()
