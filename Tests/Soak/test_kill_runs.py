"""Many short runs: 150 leads while processes of the worker of `leadpipe up` are killed 12 times, on a loaded machine. KILL_RUNS
sets how many runs (200), KILL_SEED the first seed (1), KILL_AT_ONCE how many run at the same time (6), and KILL_LOAD how
many processes do nothing but compute (2)."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from common import until
from instance import Instance
from ledger import spread
from sink import Sink
from traffic import Traffic

RUNS, SEED, AT_ONCE, LOAD = (int(os.environ.get(f"KILL_{name}", default)) for name, default in [("RUNS", 200), ("SEED", 1), ("AT_ONCE", 6), ("LOAD", 2)])
LEADS, KILLS = 150, 12
# A lease of 30 s and the wait before its delivery is sent again, the longest wait of the supervisor, and the time that a
# loaded machine needs for the rest.
BOUND = 30 + 4 + 8 + 18
STEPS = ["leadpipe worker", "handlers/event-claim", "handlers/delivery-begin", "handlers/delivery-record", "handlers/notify-slack",
         "handlers/notify-telegram", "handlers/notify-email"]

OPEN = ("select (select count(*) from lead_events where planned_at is null)"
        " + (select count(*) from notification_logs where status <> 'sent')")
# Instances choose free ports, so they start one after another.
STARTING = threading.Lock()


def one(cluster, folder, seed):
    """Runs once, and returns how long the last delivery took after the last kill and the last lead."""
    dice = random.Random(seed)
    database = cluster.migrated()
    folder.mkdir()
    slow = {channel: [{"fail": "slow", "milliseconds": 5, "percent": 100}] for channel in ("slack", "telegram", "email")}
    try:
        with contextlib.ExitStack() as stack:
            with STARTING:
                sink = stack.enter_context(Sink(folder, slow))
                instance = stack.enter_context(Instance(DATABASE_URL=database.url, **sink.settings))
            assert sink.process.poll() is None, "another program took the sink's port"
            with Traffic(instance, pause=0.03, most=LEADS) as traffic:
                for _ in range(KILLS):
                    time.sleep(dice.uniform(0, 0.8))
                    word = dice.choice(STEPS)
                    victims = until(lambda word=word: instance.processes(word) or instance.processes(STEPS[0]), 20, "a worker")
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(dice.choice(list(victims)), signal.SIGKILL)
                until(lambda: len(traffic.captured) == LEADS, 60, f"all leads; refused {dict(traffic.refused)}")
            began = time.monotonic()
            try:
                until(lambda: database.value(OPEN) == "0", BOUND, "the last delivery")
            except AssertionError as error:
                open_ = database.text("select channel, status, outcome_class, leased_by, lease_until - now(), count(*) from notification_logs"
                                      " where status <> 'sent' group by 1, 2, 3, 4, 5 limit 20")
                raise AssertionError(f"seed {seed}: {error}\n{open_}\n{instance.log[-6000:]}") from None
            seconds = time.monotonic() - began
            traffic.check(database, sink, repeats=True)
            print(f"seed {seed}: sent {seconds:.1f} s after the last lead", flush=True)
            return seconds
    finally:
        cluster.drop(database)


@pytest.mark.seconds(300 + RUNS * 150 // AT_ONCE)
def test_every_run_ends_with_all_deliveries_sent(cluster, tmp_path):
    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(LOAD)]
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            runs = [pool.submit(one, cluster, tmp_path / str(seed), seed) for seed in range(SEED, SEED + RUNS)]
            failures = [error for run in runs if (error := run.exception())]
    finally:
        for process in load:
            process.kill()
            process.wait()
    times = [run.result() for run in runs if not run.exception()]
    print(f"{len(times)} of {RUNS} runs passed; seconds to the last delivery: {spread(times)}")
    assert not failures, f"{len(failures)} runs failed, as\n" + "\n\n".join(str(error) for error in failures[:2])
