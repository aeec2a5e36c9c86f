"""More seeds than CI has time for: of the JSON reader's property, and of bodies that nobody thought of."""

import sys
from pathlib import Path

import pytest

from capture_handlers import CAPTURES, by_name

sys.path.append(str(Path(__file__).parents[1] / "BlackBox"))
import test_bodies as bodies  # noqa: E402
import test_json as documents  # noqa: E402


@pytest.mark.parametrize("seed", range(100, 120))
def test_the_reader_and_the_oracle_never_disagree_on_more(seed):
    documents.test_the_reader_and_the_oracle_never_disagree(seed, 20_000)


@pytest.mark.parametrize("capture", CAPTURES, ids=by_name)
@pytest.mark.parametrize("seed", range(100, 104))
def test_no_body_of_many_more_is_our_own_fault(database, capture, seed):
    bodies.judge(capture, database, seed, 10_000)
