"""Two gateways, a CGI server, two workers and a database on hosts of their own, in network namespaces. The limits hold over
all entry hosts together; one host that is cut off, paused or without power loses no lead, and repeats are marked."""

import pytest

from host_faults import Run
from network import obstacle
from several_hosts import Site

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))


@pytest.mark.seconds(200)
def test_hosts_that_fail_one_at_a_time_lose_nothing_and_repeats_are_marked(tmp_path):
    with Site(tmp_path, RATE_LIMIT_LEAD="600/60") as site:
        Run(site, seed=1, faults=8, longest=4, pause=0.25).check(patience=40, hurries=True)
