"""The effect of an overload and of slow clients on good requests. LOAD_SECONDS sets how long the overload lasts
(60)."""

import os

import pytest

import load

SECONDS = int(os.environ.get("LOAD_SECONDS", "60"))


@pytest.mark.parametrize("kind", load.SLOW)
def test_slow_connections_do_not_slow_other_clients(database, kind):
    load.check_slow(database, kind, 1000, 1000, LEADPIPE_CLIENT_CONNECTIONS="2000")


def test_one_client_gets_at_most_256_connections(database):
    load.check_slow(database, "headers", 1000, 256)


def test_overload_keeps_the_throughput(database):
    goodput, overload = load.check_overload(database, SECONDS)
    assert goodput >= 0.9 and overload["sinceSent"]["p99"] <= 250
