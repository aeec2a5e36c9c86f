"""Two hundred kills while five thousand leads come in and go out."""

import pytest

import kills


def test_nothing_is_lost_to_200_kills_over_5000_leads(tmp_path, capsys):
    # What it has measured is told also where it falls short.
    with capsys.disabled():
        repeats, stages = kills.judge(tmp_path, leads=5000, kills=200, seconds=420, seed=8, patience=240)
    if repeats > stages:
        pytest.xfail(f"{repeats} repeats, and {stages} sending stages hit: Sources/Worker/Lane.swift goes on sending while outcomes cannot be written")
