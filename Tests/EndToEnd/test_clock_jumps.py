"""The wall clock of gateway, worker and handlers jumps while leads come in and go out. The database's clock does not."""

import struct

import pytest

from common import REPO, is_root
from instance import Instance
from sink import Sink
from traffic import Traffic

HOUR, DAY = 3600, 86_400


@pytest.mark.skipif(not is_root(), reason="a moved clock needs root")
@pytest.mark.seconds(180)
def test_leads_come_in_and_go_out_within_seconds_after_every_jump(database, tmp_path):
    clock = tmp_path / "offset"
    clock.write_bytes(struct.pack("q", 0))
    prefix = (str(REPO / "Tests" / "Clock" / "run"), f"@{clock}", "Asia/Dubai")
    with Sink(tmp_path) as sink, Instance(DATABASE_URL=database.url, prefix=prefix, **sink.settings) as instance:
        with Traffic(instance) as traffic, clock.open("r+b", buffering=0) as offset:
            traffic.captures_more(20)
            for jump in (HOUR, 0, -HOUR, 0, DAY, 0, -DAY, 0):
                offset.seek(0)
                offset.write(struct.pack("q", jump))
                captured = traffic.captures_more(5, count=5)
                sent = traffic.wait_until_sent(database, 8)
                print(f"clock at {jump:+} s: five leads captured in {captured:.1f} s, all sent {sent:.1f} s later", flush=True)
        traffic.wait_until_sent(database, 10)
        print(f"{len(traffic.captured)} leads, refused first {dict(traffic.refused)}")
        assert sum(traffic.refused.values()) <= 8, "a jump refused more than the requests in progress"
        traffic.check(database, sink)
        for line in ("A step failed", "Claiming failed", "A service ended"):
            assert line not in instance.log
