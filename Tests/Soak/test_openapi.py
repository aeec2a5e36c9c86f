"""schemathesis with 1,000 examples for each operation, with and without a key."""

import pytest

from instance import Instance
from openapi import KEY, check, frequent_events


@pytest.mark.seconds(3600)
@pytest.mark.parametrize("key, seed", [(KEY, 2), (None, 3)], ids=["with-key", "without-key"])
def test_openapi_document_is_accurate(tmp_path, key, seed):
    with Instance(ADMIN_API_KEY=KEY, TRUSTED_PROXIES="127.0.0.1") as instance, frequent_events(instance):
        sent = check(instance, tmp_path, 1000, key, seed, "coverage,fuzzing", seconds=3500)
        print(f"{sent} requests of schemathesis, {'with' if key else 'without'} a key")
        assert [line for line in instance.log.splitlines() if "[ERROR]" in line] == []
