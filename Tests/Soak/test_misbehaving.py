"""10,000 requests to handlers that do not end as they should."""

import misbehaving


def test_10000_failing_handlers_leave_nothing_behind(tmp_path):
    misbehaving.check(tmp_path, requests=10_000)
