"""Two hundred kills while five thousand leads come in and go out, and twelve kills of a worker within seconds."""

import os
import signal
import time

import kills
from common import until
from instance import Instance
from sink import Sink
from traffic import Traffic


def test_200_kills_over_5000_leads_lose_nothing(tmp_path):
    repeats, stages = kills.check(tmp_path, leads=5000, kills=200, seconds=420, seed=7, patience=240)
    assert repeats <= stages


def test_twelve_kills_of_a_worker_stop_no_delivery_for_long(database, tmp_path):
    """The wait before a restart must not add up over the kills of a healthy worker."""
    with Sink(tmp_path) as sink, Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **sink.settings) as instance:
        with Traffic(instance) as traffic:
            traffic.captures_more(20)
            for _ in range(12):
                workers = until(lambda: instance.processes("leadpipe worker"), 10, "a worker")
                for pid in workers:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.5)
        # At most one wait, and the lease of what the last worker was sending.
        print(f"sent {traffic.wait_until_sent(database, 8 + 35):.1f} s after the last kill")
        traffic.check(database, sink, repeats=True)
