"""Fixtures of all tests: a time limit, the cluster, databases, the providers."""

import os
import shutil
import signal
import sys
import tempfile

import pytest

from cluster import Cluster
from common import BIN
from pooler import pooler
from stubs import MailServer, Providers
from tls_cluster import TLSCluster

sys.dont_write_bytecode = True
TIME_LIMIT = int(os.environ.get("TEST_TIME_LIMIT", "60"))


def pytest_configure(config):
    if not os.access(BIN / "leadpipe", os.X_OK):
        raise pytest.UsageError(f"{BIN}/leadpipe is missing: run `make build`, or set LEADPIPE_BIN")
    if not config.option.basetemp:
        config.option.basetemp = config.own_folder = tempfile.mkdtemp(prefix="lpp-", dir="/tmp")


def pytest_unconfigure(config):
    shutil.rmtree(getattr(config, "own_folder", "/nonexistent"), ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Fails a test that takes longer, with its fixtures, than TIME_LIMIT or its own mark `seconds`."""
    own = item.get_closest_marker("seconds")
    limit = max(TIME_LIMIT, own.args[0] if own else 0)

    def give_up(*_):
        raise AssertionError(f"took longer than {limit} s")
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(limit)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def tls_server():
    cluster = TLSCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def database(cluster):
    """A fresh migrated database."""
    database = cluster.migrated()
    yield database
    cluster.drop(database)


@pytest.fixture
def pooled(cluster, database):
    """The URL of the database through a transaction pooler."""
    with pooler(cluster, database) as url:
        yield url


@pytest.fixture
def dropping(cluster, database):
    """The same, but the pooler drops startup options silently."""
    with pooler(cluster, database, ignored="options") as url:
        yield url


@pytest.fixture
def providers():
    providers = Providers()
    yield providers
    providers.close()


@pytest.fixture
def mail():
    mail = MailServer()
    yield mail
    mail.close()
