"""Two hundred kills while five thousand leads come in and go out."""

import kills


def test_200_kills_over_5000_leads_lose_nothing(tmp_path):
    repeats, stages = kills.check(tmp_path, leads=5000, kills=200, seconds=420, seed=7, patience=240)
    assert repeats <= stages
