"""Leads come in over HTTP and go out through three channels while processes are killed at random: a worker, one of its
steps, a database session, the postmaster. No lead may be lost, and a repeated message must be marked as a repeat."""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from cluster import Cluster, Session
from common import BIN, session_processes, until, untimed
from instance import Instance
from ledger import CHANNELS, Ledger, lead, none, spread
from sink import Sink

# The number of kills of each kind among 200.
SHARES = {"worker": 45, "event-claim": 20, "delivery-begin": 20, "delivery-record": 20, "notify-slack": 15, "notify-telegram": 15,
          "notify-email": 15, "session ended": 25, "session killed": 15, "postmaster": 10}
LEASE, POLL = 30, 5


class Kill(NamedTuple):
    at: float
    kind: str
    # The worker it belonged to. None for processes of the database.
    worker: int

    def may_hit(self, channel, attempt):
        """True if this kill may be the reason for the attempt's unknown outcome."""
        if self.at < attempt.began - 0.05 or self.kind in ("event-claim", "delivery-record"):
            return False
        return self.worker is None or attempt.worker.endswith(f":{self.worker}") and (
            self.kind in ("worker", "delivery-begin", f"notify-{channel}"))


class Worker:
    """`leadpipe worker`, restarted half a second after it ends."""

    def __init__(self, folder, name, environment):
        self.environment, self.log, self.is_over = environment, folder / f"{name}.log", False
        self.starts = 0
        self._start()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([BIN / "leadpipe", "worker"], env=self.environment, cwd="/", stdin=subprocess.DEVNULL,
                                            stderr=log, start_new_session=True)
        self.starts += 1

    def _watch(self):
        while not self.is_over:
            if self.process.poll() is not None:
                time.sleep(0.5)
                self._start()
            time.sleep(0.05)

    def steps(self, name):
        return [pid for pid, line in session_processes(self.process.pid).items() if f"/{name} " in f"{line} "]

    def close(self):
        self.is_over = True
        self.thread.join(5)
        self.process.terminate()
        self.process.wait(30)


class Sampler:
    """Samples the leased deliveries twice a second, and how long each lease has kept its status."""

    QUERY = ("select id || ' ' || fence || ' ' || status from notification_logs where lease_until is not null"
             " union all select 'due ' || coalesce(max(extract(epoch from clock_timestamp() - due_at)), 0)::int"
             " from notification_logs where due_at <= now() and lease_until is null")

    def __init__(self, url):
        self.url, self.is_over = url, False
        self.seen, self.oldest, self.samples = {}, 0, 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        session = None
        while not self.is_over:
            try:
                session = session or Session(self.url)
                lines = session.text(self.QUERY).splitlines()
            except (AssertionError, OSError, ValueError):
                session = None
                lines = []
            now = time.time()
            for line in lines:
                if line.startswith("due "):
                    self.oldest, self.samples = max(self.oldest, int(line[4:])), self.samples + 1
                else:
                    self.seen.setdefault(line, [now, now])[1] = now
            time.sleep(0.5)

    def close(self):
        self.is_over = True
        self.thread.join(10)

    def spans(self, status):
        """How long leases stayed in a status, in seconds."""
        return [last - first for line, (first, last) in self.seen.items() if line.endswith(status)]


OPEN = ("select channel, status, outcome_class, count(*), min(next_attempt_at) from notification_logs where status <> 'sent'"
        " group by 1, 2, 3")


def wait_for_all(database, patience, hurries):
    """Waits until everything is sent. `hurries` does not wait for leases of dead workers and for later attempts."""
    end, last = time.monotonic() + patience, (None, 0)
    while count := open_count(database):
        assert time.monotonic() < end, f"not sent after {patience} s: {database.text(OPEN)}"
        if count != last[0]:
            last = (count, time.monotonic())
        elif hurries and time.monotonic() > last[1] + 2:
            # Expires leases of dead workers and makes waiting deliveries due, because no worker is busy with them.
            # The database may still be starting.
            database.psql("update notification_logs set lease_until = now() where lease_until > now();"
                          "update notification_logs set next_attempt_at = now() where next_attempt_at > now()", check=False)


def open_count(database):
    done = database.psql("select (select count(*) from lead_events where planned_at is null) + "
                         "(select count(*) from notification_logs where status <> 'sent')", "-A", "-t", check=False)
    time.sleep(0.3)
    return int(done.stdout) if done.returncode == 0 else "away"


class Run:
    def __init__(self, folder, leads, kills, seconds, seed, workers, slow, hurries):
        self.folder, self.leads, self.seconds, self.seed = folder, leads, seconds, seed
        self.dice = random.Random(seed)
        self.kinds = [kind for kind, share in SHARES.items() for _ in range(round(share * kills / 200) or 1)]
        self.dice.shuffle(self.kinds)
        self.worker_count, self.slow, self.hurries = workers, slow, hurries
        self.kills, self.captured, self.refused = [], {}, Counter()
        self.is_over = threading.Event()

    def check(self, patience):
        print(f"seed {self.seed}: {self.leads} leads, {len(self.kinds)} kills over {self.seconds} s, {self.worker_count} workers", flush=True)
        behaviour = {channel: [{"fail": "slow", "milliseconds": self.slow, "percent": 100}] for channel in CHANNELS}
        self.cluster = Cluster()
        try:
            self.database = self.cluster.migrated()
            with Sink(self.folder, behaviour) as sink, \
                    Instance(DATABASE_URL=self.database.url, ENABLE_NOTIFICATION_WORKER="false", **sink.settings) as instance:
                return self.go(instance, sink, patience)
        finally:
            self.cluster.close()

    def go(self, instance, sink, patience):
        # The first worker gets wakes, the others poll.
        environment = {**instance.environment, "ENABLE_NOTIFICATION_WORKER": "true", "WORKER_POLL_SECONDS": "1" if self.hurries else str(POLL)}
        wakes = [{"LEADPIPE_WAKE": str(instance.state / "wake.sock")}] + [{}] * (self.worker_count - 1)
        self.workers = [Worker(self.folder, f"worker-{n}", environment | wake) for n, wake in enumerate(wakes)]
        sampler = Sampler(self.database.url)
        began = time.time()
        senders = [threading.Thread(target=self.send, args=(instance, part, began)) for part in range(4)]
        for thread in senders:
            thread.start()
        try:
            self.kill_all(began)
            print(f"kills done after {time.time() - began:.0f} s: {dict(Counter(kill.kind for kill in self.kills))}", flush=True)
            for thread in senders:
                thread.join(self.seconds + patience)
            assert len(self.captured) == self.leads, (len(self.captured), self.refused)
            wait_for_all(self.database, patience, self.hurries)
            self.ended = time.time()
            print(f"all sent {self.ended - began:.0f} s after the start", flush=True)
            time.sleep(1.5)
        finally:
            self.is_over.set()
            sampler.close()
            for worker in self.workers:
                worker.close()
        return self.look(sink, sampler)

    # ── Leads ──

    def send(self, instance, part, began):
        """Each of four clients sends its leads at their times, and repeats each until the reply is 201."""
        for number in range(part + 1, self.leads + 1, 4):
            wait = began + number * self.seconds / self.leads - time.time()
            if self.is_over.wait(max(wait, 0)):
                return
            while number not in self.captured and not self.is_over.is_set():
                try:
                    status, _, document = instance.http("/api/chatbot/leads", lead(number), seconds=15)
                except (OSError, ValueError) as error:
                    status, document = type(error).__name__, None
                if status == 201:
                    self.captured[number] = (time.time(), document["id"])
                else:
                    self.refused[status] += 1
                    time.sleep(0.3)

    # ── Kills ──

    def kill_all(self, began):
        moments = sorted(self.dice.uniform(1, self.seconds) for _ in self.kinds)
        for moment, kind in zip(moments, self.kinds, strict=True):
            time.sleep(max(0, began + moment - time.time()))
            self.kill(kind)

    def kill(self, kind):
        """Kills a process of that kind as soon as there is one."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if kind == "postmaster":
                return self.kill_postmaster()
            victims = self.victims(kind)
            if victims:
                victim = self.dice.choice(victims)
                # A random delay, because the moment right after the lookup is not random.
                time.sleep(self.dice.uniform(0, 0.05))
                if self.end(kind, *victim):
                    return
            time.sleep(0.02)
        raise AssertionError(f"there was no {kind} to kill")

    def victims(self, kind):
        if kind == "worker":
            return [(worker.process.pid, worker.process.pid) for worker in self.workers if worker.process.poll() is None]
        if kind.startswith("session"):
            done = self.database.psql("select pid from pg_stat_activity where application_name = 'leadpipe' and datname = current_database()",
                                      "-A", "-t", check=False)
            return [(int(pid), None) for pid in done.stdout.split()]
        return [(pid, worker.process.pid) for worker in self.workers for pid in worker.steps(kind)]

    def end(self, kind, pid, worker):
        if kind == "session ended":
            if self.database.psql(f"select pg_terminate_backend({pid})", "-A", "-t", check=False).stdout.strip() != "t":
                return False
        else:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return False
        self.kills.append(Kill(time.time(), kind, worker))
        return True

    def kill_postmaster(self):
        pid = int((Path(self.cluster.data) / "postmaster.pid").read_text().split()[0])
        self.end("postmaster", pid, None)
        until(self.start_database, 40, "the database to restart")

    def start_database(self):
        """Fails until the last session has noticed that its postmaster is gone."""
        try:
            self.cluster.start()
            return True
        except AssertionError:
            time.sleep(0.2)

    # ── Checks ──

    def look(self, sink, sampler):
        ledger = Ledger(self.database, sink.messages, killed=True)
        deliveries = list(ledger.deliveries.values())
        hits = self.blame(deliveries)
        repeats = [(d, message) for d in deliveries for message in d.taken[1:]]
        guilty = Counter((self.culprit(d, self.lost_before(d, message)), d.channel) for d, message in repeats)
        print(f"captured {len(self.captured)}, refused first {dict(self.refused)}; worker starts {[w.starts for w in self.workers]}")
        killers = {kill for kill, _ in hits}
        print(f"kills that left an outcome unknown: {len(killers)} of {len(self.kills)}, by kind {dict(Counter(k.kind for k in killers))}; "
              f"sending stages hit {len(hits)}; unknown attempts {sum(hits.values())}, most by one stage {max(hits.values(), default=0)}")
        print(f"repeats {len(repeats)} of {len(guilty)} stages, most of one {max(guilty.values(), default=0)}; by channel "
              f"{dict(Counter(d.channel for d, _ in repeats))}, by kind {dict(Counter(k.kind for k, _ in guilty.elements()))}")
        print(f"first messages marked as a repeat: {len(ledger.marked_first_messages())}")
        for channel in CHANNELS:
            print(f"{channel:<9}{dict(ledger.classes(channel))}")
        print(f"leases stood, in seconds: claimed {spread(sampler.spans('pending'))}; sending {spread(sampler.spans('sending'))}; "
              f"oldest due and not claimed {sampler.oldest} ({sampler.samples} samples)")
        gaps = self.gaps(deliveries)
        print(f"from the kill to the next attempt after an unknown outcome: first {spread(gaps[1])}; later ones {spread(gaps[2])}")
        self.print_logs()
        self.print_kills(hits, guilty)
        self.promises(ledger, deliveries, sampler)
        return len(repeats), len(hits)

    def promises(self, ledger, deliveries, sampler):
        # Nothing is lost and nothing is stored twice.
        names = Counter((d.channel, d.name) for d in deliveries)
        missing = [(channel, number) for number in self.captured for channel in CHANNELS if names[channel, f"Lead {number:06}"] != 1]
        none(missing, "leads without exactly one delivery in a channel")
        none((d for d in deliveries if d.status != "sent" or not d.taken), "deliveries that were not received")
        assert self.database.count("conversations") == self.database.count("lead_events", "event_type = 'lead.created' and processed") == self.leads
        stored = set(self.database.text("select id from conversations").split())
        assert {id for _, id in self.captured.values()} == stored
        # A message that comes twice follows an attempt with an unknown outcome, and is marked as a repeat.
        none(ledger.wrong_outcomes(), "attempts with a wrong outcome")
        none(ledger.unmarked_repeats(), "repeats that are not marked")
        none(ledger.marked_without_reason(), "messages marked as a repeat without a reason")
        # The work continues in time: no lease lasts longer than its limit plus a poll, and nothing waits longer than
        # that after it is due. The sampler reads twice a second, and not while the database is unavailable.
        worst = max([*sampler.spans("pending"), *sampler.spans("sending"), 0])
        assert worst <= LEASE + POLL + 2, f"a lease lasted {worst:.1f} s"
        assert sampler.oldest <= LEASE + POLL + 2, f"a due delivery was not claimed for {sampler.oldest} s"

    def blame(self, deliveries):
        """The sending stages that were hit, as (kill, channel), with the number of unknown outcomes of each."""
        return Counter((self.culprit(d, attempt), d.channel) for d in deliveries for attempt in d.attempts if attempt.kind == "unknown")

    def culprit(self, delivery, attempt):
        """The first kill after the attempt began that explains its unknown outcome."""
        guilty = next((kill for kill in self.kills if kill.may_hit(delivery.channel, attempt)), None)
        assert guilty, f"unknown without a kill: {attempt} of {delivery}"
        return guilty

    @staticmethod
    def lost_before(delivery, message):
        """The attempt with an unknown outcome before this repeat."""
        return [attempt for attempt in delivery.attempts if attempt.began < message.at and attempt.kind == "unknown"][-1]

    def gaps(self, deliveries):
        gaps = defaultdict(list)
        for d in deliveries:
            for n, (attempt, following) in enumerate(pairwise(d.attempts)):
                if attempt.kind == "unknown":
                    first = not any(earlier.kind == "unknown" for earlier in d.attempts[:n])
                    gaps[1 if first else 2].append(following.began - self.culprit(d, attempt).at)
        return gaps

    def print_logs(self):
        kinds = Counter()
        for worker in self.workers:
            for line in worker.log.read_text(errors="replace").splitlines():
                if untimed(line).startswith(("[WARN]", "[ERROR]")):
                    kinds[" ".join(word for word in line.split() if "=" not in word and len(word) < 30)] += 1
        print("warnings of the workers: " + "; ".join(f"{times} × {kind}" for kind, times in kinds.most_common(14)))

    def print_kills(self, hits, guilty):
        def of(kill, counts):
            return "/".join(str(counts.get((kill, channel), 0)) for channel in CHANNELS)
        began = self.kills[0].at
        print("kills (second, kind, outcomes left unknown in slack/telegram/email, repeats): " + ", ".join(
            f"{kill.at - began:.1f} {kill.kind} {of(kill, hits)} {of(kill, guilty)}" for kill in self.kills))


def check(folder, leads, kills, seconds, seed, patience, workers=2, slow=20, hurries=False):
    """Returns the number of repeated messages and of sending stages that were hit. A worker has one stage for each
    channel. `hurries` skips the wait for leases of dead workers and for later attempts."""
    return Run(folder, leads, kills, seconds, seed, workers, slow, hurries).check(patience)
