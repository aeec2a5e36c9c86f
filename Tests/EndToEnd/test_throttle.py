"""A channel that requests a pause gets no request before its end, except one that another worker has already sent."""

import pytest

import throttle


@pytest.mark.parametrize("workers", [1, 2])
def test_all_workers_respect_a_channels_pause(database, tmp_path, workers):
    throttle.check(database, tmp_path, leads=100, every=20, seconds=1, patience=40, workers=workers)
