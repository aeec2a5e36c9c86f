"""Every kind of host with every fault, for longer, and without help: each delivery waits for its lease and its next attempt.
HOST_RUNS sets how many runs (5), HOST_SEED the first seed (1), and HOST_LONGEST the longest time in seconds of a fault (20)."""

import os

import pytest

from host_faults import Run
from network import obstacle
from several_hosts import Site

RUNS, SEED, LONGEST = (int(os.environ.get(f"HOST_{name}", default)) for name, default in [("RUNS", 5), ("SEED", 1), ("LONGEST", 20)])
FAULTS = 16
# A lease of 30 s, the waits before the next three attempts, and the time that a loaded machine needs for the rest.
PATIENCE = 30 + 3 + 12 + 36 + 19

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))


@pytest.mark.seconds(FAULTS * (LONGEST + 40) + 400)
@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_hosts_that_fail_for_longer(seed, tmp_path):
    with Site(tmp_path, RATE_LIMIT_LEAD="600/60") as site:
        run = Run(site, seed, faults=FAULTS, longest=LONGEST, pause=0.3)
        run.check(PATIENCE, hurries=False)
        run.wait_until_forgotten()
