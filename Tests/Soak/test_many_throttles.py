"""Two workers and channels that shut dozens of times, for one to three seconds."""

import pytest

import throttle


@pytest.mark.parametrize("workers, seconds", [(1, 1), (2, 1), (2, 3)])
def test_a_channel_that_shuts_again_and_again_is_left_alone(database, tmp_path, workers, seconds):
    throttle.judge(database, tmp_path, leads=600, every=30, seconds=seconds, patience=200, workers=workers)
