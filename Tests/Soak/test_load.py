"""What an overload and slow clients do to good requests. LOAD_SECONDS sets how long the overload lasts (60)."""

import os

import pytest

import load

SECONDS = int(os.environ.get("LOAD_SECONDS", "60"))


@pytest.mark.parametrize("kind", load.SLOW)
def test_a_thousand_slow_connections_do_no_harm(database, kind):
    load.judge_slow(database, kind, 1000, 1000, LEADPIPE_CLIENT_CONNECTIONS="2000")


def test_a_client_with_a_thousand_slow_connections_has_256(database):
    load.judge_slow(database, "headers", 1000, 256)


def test_four_times_the_capacity_costs_little_of_it(database):
    goodput, overload = load.judge_overload(database, SECONDS)
    assert goodput >= 0.9 and overload["sinceSent"]["p99"] <= 250
