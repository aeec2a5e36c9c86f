"""Who asks to wait is left alone: no request comes before its time, but for what was on its way from another worker."""

import pytest

import throttle


@pytest.mark.parametrize("workers", [1, 2])
def test_a_channel_that_asks_to_wait_is_left_alone_by_all_workers(database, tmp_path, workers):
    throttle.check(database, tmp_path, leads=100, every=20, seconds=1, patience=40, workers=workers)
