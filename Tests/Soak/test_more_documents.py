"""The property of the JSON reader over more seeds than CI has time for."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "BlackBox"))
from test_json import test_the_reader_and_the_oracle_never_disagree as never_disagree  # noqa: E402


@pytest.mark.parametrize("seed", range(100, 130))
def test_the_reader_and_the_oracle_never_disagree_on_more(seed):
    never_disagree(seed, 20_000)
