"""10,000 requests to handlers that do not end as they should."""

import misbehaving


def test_ten_thousand_bad_ends_leave_nothing(tmp_path):
    misbehaving.judge(tmp_path, requests=10_000)
