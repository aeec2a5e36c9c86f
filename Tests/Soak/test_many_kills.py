"""Two hundred kills while five thousand leads come in and go out."""

import pytest

import kills


@pytest.mark.parametrize("seed", [7])
def test_nothing_is_lost_to_200_kills_over_5000_leads(tmp_path, seed):
    kills.judge(tmp_path, leads=5000, kills=200, seconds=420, seed=seed, patience=240)
