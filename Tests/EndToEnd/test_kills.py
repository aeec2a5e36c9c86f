"""A few kills among some leads; `make soak` has two hundred kills, and waits for every lease."""

import kills


def test_nothing_is_lost_to_kills_and_what_comes_twice_says_so(tmp_path):
    kills.check(tmp_path, leads=60, kills=10, seconds=4, seed=1, patience=30, hurries=True)
