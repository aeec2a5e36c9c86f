"""A few kills among some leads. `make soak` has 200 kills, and waits for every lease."""

import kills


def test_kills_lose_nothing_and_repeats_are_marked(tmp_path):
    kills.check(tmp_path, leads=60, kills=10, seconds=4, seed=1, patience=30, hurries=True)
