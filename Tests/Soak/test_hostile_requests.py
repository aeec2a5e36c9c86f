"""10,000 hostile requests, each with canaries, against the log of all services."""

import pytest

import hostile


@pytest.mark.parametrize("log_format, seed", [("text", 11), ("json", 12)])
def test_a_log_of_many_hostile_requests_holds_nothing_of_them(database, log_format, seed):
    hostile.judge_log_of(10_000, seed, database, log_format)
