"""More seeds for the JSON parser's property and for random bodies than CI has time for."""

import sys
from pathlib import Path

import pytest

from capture_handlers import CAPTURES, by_name

sys.path.append(str(Path(__file__).parents[1] / "BlackBox"))
import test_bodies as bodies  # noqa: E402
import test_json as documents  # noqa: E402


@pytest.mark.parametrize("seed", range(100, 120))
def test_agrees_with_the_python_parser_on_more_documents(seed):
    documents.test_agrees_with_the_python_parser(seed, 20_000)


@pytest.mark.parametrize("capture", CAPTURES, ids=by_name)
@pytest.mark.parametrize("seed", range(100, 104))
def test_more_bodies_cause_no_internal_error(database, capture, seed):
    bodies.check(capture, database, seed, 10_000)
