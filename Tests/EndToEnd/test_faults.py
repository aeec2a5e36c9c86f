"""Every fault that PROVIDERS has a line for, over some leads; `make soak` has it over ten thousand."""

import faults


def test_faults_of_every_kind_over_200_leads(database, tmp_path):
    faults.judge(database, tmp_path, count=200, seed=1, horizon=1, seconds=40, every=3, hangs=False)
