"""schemathesis with 1,000 examples for each operation, with and without a key."""

import pytest

from house import House
from openapi import KEY, judge, something_happening


# Chains of requests take so many more each that 100 of them are as much.
@pytest.mark.seconds(3600)
@pytest.mark.parametrize("key, seed, examples, phases", [
    (KEY, 2, 1000, "coverage,fuzzing"), (None, 3, 1000, "coverage,fuzzing"), (KEY, 4, 100, "stateful"),
], ids=["with-key", "without-key", "in-chains"])
def test_the_document_is_true(tmp_path, key, seed, examples, phases):
    with House(ADMIN_API_KEY=KEY, TRUSTED_PROXIES="127.0.0.1") as house, something_happening(house):
        sent = judge(house, tmp_path, examples, key, seed, phases, seconds=3500)
        print(f"{sent} requests of schemathesis, {'with' if key else 'without'} a key")
        assert [line for line in house.log.splitlines() if "[ERROR]" in line] == []
