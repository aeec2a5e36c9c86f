"""The executables are replaced while leads come in and go out: renamed over, copied over while they run, and switched by
a symbolic link."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

import instance as instances
from common import BIN, until
from instance import Instance
from sink import Sink
from traffic import Traffic

# Those that run under this load, and those that the gateway starts.
NAMES = ["gateway", "leadpipe", "confine", "handlers/lead-capture", "handlers/health-check", "handlers/event-claim", "handlers/delivery-begin",
         "handlers/notify-slack", "handlers/delivery-record"]


def by_rename(name, old, new):
    shutil.copy2(new / name, old / f"{name}.new")
    os.rename(old / f"{name}.new", old / name)


def by_copy(name, old, new):
    """A running file cannot be written (ETXTBSY). One that does not run is incomplete for a moment."""
    subprocess.run(["cp", new / name, old / name], capture_output=True)


def by_install(name, old, new):
    """As `make build` does: the file is absent, and then incomplete, for a moment."""
    subprocess.run(["install", "-m", "755", new / name, old / name], check=True)


@pytest.fixture
def copies(tmp_path):
    """Two copies of bin/, and a link to the first."""
    for version in ("one", "two"):
        subprocess.run(["cp", "-a", "--reflink=auto", BIN, tmp_path / version], check=True)
    link = tmp_path / "current"
    link.symlink_to("one")
    yield tmp_path
    for version in ("one", "two"):
        shutil.rmtree(tmp_path / version)


def signal_all(running, word, number):
    for pid in running.processes(word):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@pytest.mark.seconds(240)
def test_replaced_executables_lose_no_lead(copies, database, tmp_path, monkeypatch):
    dice = random.Random(3)
    monkeypatch.setattr(instances, "BIN", copies / "current")
    with Sink(tmp_path) as sink, Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **sink.settings) as running:
        with Traffic(running, pause=0.05) as traffic:
            traffic.captures_more(20)
            for way in (by_rename, by_copy, by_install):
                for round in range(6):
                    name = dice.choice(NAMES)
                    way(name, copies / "one", copies / "two")
                    # Processes that are started while files change: steps, handlers, and all handlers' descriptions.
                    signal_all(running, dice.choice(["handlers/event-claim", "handlers/lead-capture", "handlers/health-check"]), signal.SIGKILL)
                    if round % 2:
                        signal_all(running, "/gateway", signal.SIGHUP)
                    traffic.captures_more(15, count=2)
                print(f"{way.__name__}: {len(traffic.captured)} leads; refused so far {dict(traffic.refused)}", flush=True)
            # The link to another folder; the old one is removed, as a deployment tool does.
            (copies / "next").symlink_to("two")
            os.rename(copies / "next", copies / "current")
            traffic.captures_more(15, count=5)
            signal_all(running, "/gateway", signal.SIGHUP)
            time.sleep(1)
            traffic.captures_more(15, count=5)
        traffic.wait_until_sent(database, 45)
        until(lambda: database.count("notification_logs", "status <> 'sent'") == 0, 30, "the last delivery")
        print(f"{len(traffic.captured)} leads, refused first {dict(traffic.refused)}")
        traffic.check(database, sink, repeats=True)
