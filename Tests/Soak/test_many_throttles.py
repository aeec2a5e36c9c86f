"""Two workers, and channels that request a pause of one to three seconds dozens of times."""

import pytest

import throttle


@pytest.mark.parametrize("workers, seconds", [(1, 1), (2, 1), (2, 3)])
def test_workers_respect_repeated_pauses(database, tmp_path, workers, seconds):
    throttle.check(database, tmp_path, leads=600, every=30, seconds=seconds, patience=200, workers=workers)
