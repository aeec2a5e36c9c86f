"""10,000 hostile form bodies over HTTP: no 5xx, a clear reply to each, and memory that does not grow with them."""

import pytest

import hostile_forms
from unread import MIB


@pytest.mark.seconds(1800)
@pytest.mark.parametrize("seed", [21])
def test_ten_thousand_form_bodies(database, seed):
    hostile_forms.check_forms(10_000, seed, database, 32 * MIB)
