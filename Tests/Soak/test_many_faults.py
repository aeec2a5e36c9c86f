"""Thousands of leads through three channels while one request in five fails, in every way that
docs/reference/providers.md lists."""

import faults


def test_every_fault_over_10000_leads(database, tmp_path):
    faults.check(database, tmp_path, count=10_000, seed=20, horizon=40, seconds=700)


def test_every_fault_over_2000_leads_with_unknown_outcomes_parked(database, tmp_path):
    faults.check(database, tmp_path, count=2000, seed=21, horizon=20, seconds=400, parks=True)
