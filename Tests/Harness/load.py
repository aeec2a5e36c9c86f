"""Load: a load generator in C, the gateway's memory and descriptors, and the effect of four times its capacity and of a
thousand slow connections on good requests."""

import json
import os
import statistics
import subprocess
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from common import clean_environment, until
from instance import Instance

# Several addresses, because these are more connections than one client may have.
CLIENTS = ",".join(f"127.0.1.{number}" for number in range(1, 11))
GOOD = "127.0.0.2"


@cache
def loader():
    """The compiled program of load.c."""
    program = Path(tempfile.mkdtemp(prefix="lpl-", dir="/tmp")) / "load"
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-o", str(program), str(Path(__file__).with_name("load.c"))], check=True, timeout=60)
    return program


class Loaded(Instance):
    """An instance without a worker and without rate limits, and its gateway."""

    def __init__(self, database, **settings):
        super().__init__(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", **settings)
        self.sent = 0

    def start(self, ready=True):
        super().start(ready)
        self.gateway = next(pid for pid in self.processes() if os.readlink(f"/proc/{pid}/exe").endswith("/gateway"))
        return self

    def load(self, seconds, rate, connections=16, sources=CLIENTS, health=0):
        """Sends `rate` requests a second, or with a rate of 0 the next one after each response. Returns the results. No
        two requests are the same lead."""
        words = [str(word) for word in (self.port, seconds, rate, connections, sources, health, self.sent)]
        done = subprocess.run([str(loader()), *words], capture_output=True, text=True, check=True, timeout=seconds + 60)
        answers = json.loads(done.stdout)
        self.sent = answers["next"]
        return answers

    def warm(self):
        self.load(3, 0, 64, health=20)

    def good(self, seconds):
        """Sends 100 good requests a second, some of them for /health. All must succeed. Returns their times."""
        answers = self.load(seconds, 100, sources=GOOD, health=4)
        assert not other_than(answers, 200, 201) and not answers["resets"] and not answers["unanswered"] and not answers["unsent"], answers
        return answers["all"]

    def settled(self):
        """The number of descriptors after the gateway has released those of closed connections."""
        counts = []
        until(lambda: counts.append(self.descriptors) or counts[-8:] == counts[-1:] * 8, 10, "a stable number of descriptors")
        return counts[-1]

    @property
    def memory(self):
        """The gateway's memory in KiB (PSS)."""
        with open(f"/proc/{self.gateway}/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))

    @property
    def descriptors(self):
        return len(os.listdir(f"/proc/{self.gateway}/fd"))


def rate(answers):
    """Leads stored a second."""
    return answers["statuses"].get("201", 0) / answers["seconds"]


def other_than(answers, *statuses):
    return {status: count for status, count in answers["statuses"].items() if int(status) not in statuses}


# ── A thousand slow connections ──

# The kind of slow client, as options of slowhttptest.
SLOW = {
    "headers": ["-H", "-i", "3"],
    "body": ["-B", "-i", "3", "-s", "60000", "-f", "application/json", "-u", "/api/chatbot/leads"],
    "read": ["-X", "-k", "10", "-w", "10", "-y", "20", "-n", "5", "-z", "5", "-u", "/none"],
}


@contextmanager
def slow_connections(instance, kind, count):
    """Slow connections from 127.0.0.1 while the block runs, as many as slowhttptest can hold open."""
    words = list(SLOW[kind])
    path = words.pop(words.index("-u") + 1) if "-u" in words else "/health"
    words = [word for word in words if word != "-u"]
    command = ["slowhttptest", "-c", str(count), "-r", str(count), "-l", "60", "-u", f"http://127.0.0.1:{instance.port}{path}", *words]
    process = subprocess.Popen(command, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def check_slow(database, kind, count, expected, rounds=3, seconds=4, **settings):
    """Compares good requests of one client with and without another client that holds `count` connections, of which
    `expected` are accepted, by the median over several rounds of the 99th percentile. Afterwards no connection and no
    memory of them remains."""
    with Loaded(database, **settings) as instance:
        instance.warm()
        before, quiet, loud, memories = instance.settled(), [], [], [instance.memory]
        for _ in range(rounds):
            quiet.append(instance.good(seconds))
            with slow_connections(instance, kind, count):
                until(lambda: instance.descriptors >= before + 0.98 * expected, 10, f"{expected} slow connections")
                loud.append(instance.good(seconds))
                held = instance.descriptors - before
                memories.append(instance.memory)
                assert held >= 0.95 * expected, f"only {held} were still open at the end"
            until(lambda: instance.descriptors <= before + 20, 20, "the end of all slow connections")
        memories.append(instance.memory)
        print(f"{kind}, {count} connections: p99 {[one['p99'] for one in quiet]} ms without, {[one['p99'] for one in loud]} ms with; KiB {memories}")
        without, with_ = (statistics.median(one["p99"] for one in round_) for round_ in (quiet, loud))
        assert with_ <= 2 * without, (without, with_)
        assert max(memories) < memories[0] + 65_536 and memories[-1] < 1.15 * memories[1] + 2048, memories


# ── Four times the capacity ──

def check_overload(database, seconds, connections=1000, factor=4, **settings):
    """Measures the capacity with 64 connections that wait for their responses, then offers `factor` times that rate. A
    low rate is measured before and after."""
    with Loaded(database, **settings) as instance:
        instance.warm()
        before = instance.load(5, 50)
        peak = instance.load(10, 0, 64)
        memory = [instance.memory]
        overload = instance.load(seconds, round(factor * rate(peak)), connections)
        memory.append(instance.memory)
        after = instance.load(5, 50)
        memory.append(instance.memory)
        # Other programs share the machine: the peak is measured before and after.
        peak_after = instance.load(10, 0, 64)
        goodput = 2 * rate(overload) / (rate(peak) + rate(peak_after))
        print(f"peak {rate(peak):.0f}/s before, {rate(peak_after):.0f}/s after, p99 {peak['leads']['p99']} ms; "
              f"offered {factor} times that: goodput {goodput:.2f}, p99 {overload['sinceSent']['p99']} ms"
              f" ({overload['leads']['p99']} since it was due), {overload['statuses']}, {overload['unsent']} without a free connection;"
              f" low rate p99 {before['leads']['p99']} before, {after['leads']['p99']} ms after; KiB {memory}")
        # A request that is not served is rejected with Retry-After. No connection is cut.
        assert not other_than(overload, 201, 429, 503) and not overload["resets"] and not overload["unanswered"] and not overload["withoutRetryAfter"], overload
        assert not other_than(after, 201) and after["leads"]["p99"] <= max(2 * before["leads"]["p99"], 50), (before, after)
        assert memory[2] < memory[0] + 32_768, memory
        return goodput, overload
