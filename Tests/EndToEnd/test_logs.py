"""The log of all services under hostile requests: none of what came in, one line for each request, every line whole.
`make soak` sends 10,000."""

import pytest

import hostile


@pytest.mark.parametrize("log_format, count", [("text", 300), ("json", 150)])
def test_a_log_of_hostile_requests_holds_nothing_of_them(database, log_format, count):
    """20 canaries in every place, services that fail and say them again: the log has none, and one access line a request."""
    hostile.judge_log_of(count, 3, database, log_format)
