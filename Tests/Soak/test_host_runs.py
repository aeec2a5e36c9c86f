"""Every kind of host with every fault, for longer, and without help: each delivery waits for its lease and its next attempt.
HOST_RUNS sets how many runs (5), HOST_SEED the first seed (1), and HOST_LONGEST the longest time in seconds of a fault (20)."""

import os
import time

import pytest

from common import until
from host_faults import Run
from ledger import lead
from network import obstacle
from several_hosts import Site

RUNS, SEED, LONGEST = (int(os.environ.get(f"HOST_{name}", default)) for name, default in [("RUNS", 5), ("SEED", 1), ("LONGEST", 20)])
FAULTS = 16
# A lease of 30 s, the waits before the next three attempts, and the time that a loaded machine needs for the rest.
PATIENCE = 30 + 3 + 12 + 36 + 19
# When the database has ended the sessions of a host that is gone. A worker elsewhere notifies a session that listens up to
# 30 s later; the server waits 150 s for the acknowledgement, and until its next retransmission.
GONE = 30 + 150 + 60

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))


@pytest.mark.seconds(FAULTS * (LONGEST + 40) + 200)
@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_hosts_that_fail_for_longer(seed, tmp_path):
    with Site(tmp_path, RATE_LIMIT_LEAD="600/60") as site:
        Run(site, seed, faults=FAULTS, longest=LONGEST, pause=0.3).check(PATIENCE, hurries=False)


@pytest.mark.seconds(360)
def test_database_forgets_hosts_that_stay_without_power(tmp_path):
    with Site(tmp_path) as site:
        gone = [site.gateways[0], site.workers[0]]
        assert site.ask(site.gateways[0], "/api/chatbot/leads", lead(1))[0] == 201
        left = [site.cluster.sessions_of(machine.host) for machine in gone]
        assert all(left)
        for machine in gone:
            machine.power_off()
        began = time.monotonic()
        until(lambda: not any(site.cluster.sessions_of(machine.host) for machine in gone), GONE, f"the end of the sessions {left}")
        print(f"the database ended {sum(map(len, left))} sessions after {time.monotonic() - began:.0f} s")
        assert site.ask(site.gateways[1], "/api/chatbot/leads", lead(2))[0] == 201
