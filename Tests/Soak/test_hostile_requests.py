"""10,000 hostile requests, each with canaries. The log of all services must contain none of them."""

import pytest

import hostile


@pytest.mark.parametrize("log_format, seed", [("text", 11), ("json", 12)])
def test_log_contains_nothing_of_hostile_requests(database, log_format, seed):
    hostile.check_log_of(10_000, seed, database, log_format)
