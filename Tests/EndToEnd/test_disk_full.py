"""The disk of the private database is full while leads come in, and has space again later."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from common import is_root, until
from instance import Instance
from ledger import CHANNELS, lead
from sink import Sink
from traffic import Traffic

MIB = 1024 * 1024


@pytest.fixture
def small_disk():
    """A folder on a file system of 300 MiB. PostgreSQL's user can reach it, unlike the folders of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="lpd-", dir="/tmp"))
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m,mode=755", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"cannot mount a file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
    folder.rmdir()


def fill(path):
    """Writes until no block is left."""
    with path.open("ab", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


@pytest.mark.skipif(not is_root(), reason="mounting a file system needs root")
@pytest.mark.seconds(180)
def test_refuses_leads_while_the_disk_is_full_and_continues_when_it_has_space(small_disk, tmp_path):
    state, filler = small_disk / "state", small_disk / "filler"
    # Slow providers, so that messages are being sent when the disk becomes full.
    slow = {channel: [{"fail": "slow", "milliseconds": 300, "percent": 100}] for channel in CHANNELS}
    with Sink(tmp_path, slow) as sink, Instance(state=state, WORKER_POLL_SECONDS="1", **sink.settings) as instance:
        with Traffic(instance, pause=0.05) as traffic:
            traffic.captures_more(20)
            fill(filler)

            def refused():
                fill(filler)  # what a checkpoint or a vacuum has freed
                new = {**lead(900_000), "idempotencyKey": os.urandom(8).hex(), "notes": os.urandom(2_000).hex()}
                status, headers, problem = instance.http("/api/chatbot/leads", new)
                return status != 201 and (status, problem["code"], "retry-after" in headers)
            assert until(refused, 60, "a refusal") in [(503, code, True) for code in ("database_unavailable", "database_timeout")]

            def unhealthy():
                fill(filler)
                status, _, health = instance.http("/health")
                return status == 503 and health
            health = until(unhealthy, 30, "/health to report it")
            assert health["status"] == "unavailable" and health["database"] in ("full", "away"), health
            end = time.monotonic() + 8
            while time.monotonic() < end:
                fill(filler)
                time.sleep(0.1)
            lines = instance.log.count("A step failed")
            assert lines < 200, f"{lines} failed steps in seconds"
            print(f"full: {lines} failed steps; database {health['database']}, {health['reasons']}; refused so far {dict(traffic.refused)}")
            assert set(traffic.refused) <= {503, 504, 502}, traffic.refused
            filler.unlink()
            seconds = traffic.captures_more(40, count=20)
            print(f"captured again after {seconds:.1f} s")
            until(lambda: instance.http("/health")[2]["database"] == "ok", 20, "/health to be well")
        print(f"{len(traffic.captured)} leads, all sent {traffic.wait_until_sent(instance.database, 60):.1f} s later")
        until(lambda: instance.database.count("notification_logs", "status <> 'sent'") == 0, 60, "the last delivery")
        ledger = traffic.check(instance.database, sink, repeats=True)
        again = ledger.repeats()
        # A message whose outcome could not be stored while the disk was full may come again. It is marked.
        print(f"{len(again)} of {len(ledger.deliveries)} messages came again")
        assert len(again) <= 6, again[:3]
