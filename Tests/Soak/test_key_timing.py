"""The time that a wrong key takes to be rejected reveals nothing about the right key.

The test sends requests to the handler itself, as a stream, over two pipes. Without a network, an event loop or a queue
in between, a difference would show sooner than it could to any client. 2 x 20,000 requests, one of each kind in turn,
in random order within each pair. The statistic is Welch's t over the times below the 90th percentile of all 40,000
together (a fixed crop, the same for both kinds: longer times are noise of the machine), as in dudect. |t| >= 4.5 would
be a leak."""

import json
import math
import random
import statistics
import subprocess
import time

import pytest

from common import HANDLERS, clean_environment

SAMPLES = 20_000
# A session of this test, which is valid.
SESSION = "0123456789abcdef0123456789abcdef"
RIGHT = "lp-0123456789abcdefghijklmnopqrstuvwxyz-the-right-key-of-this-test"

# Two kinds of wrong keys. If the time depended on how much of a key is right, or on which keys exist, their times would
# differ.
KINDS = {
    "shares-all-but-the-last-sign": (lambda random: RIGHT[:-1] + random.choice("abcdefg"), lambda random: "#" * len(RIGHT)),
    "shares-half": (lambda random: RIGHT[:32] + "#" * (len(RIGHT) - 32), lambda random: "#" * len(RIGHT)),
    "a-session-but-the-last-sign": (lambda random: cookie(SESSION[:-1] + random.choice("0123456789abcde")), lambda random: cookie("#" * 32)),
    "looks-like-a-named-key": (lambda random: f"lp_{random.getrandbits(256):064x}", lambda random: f"xq_{random.getrandbits(256):064x}"),
}


def welch(left, right):
    spread = statistics.variance(left) / len(left) + statistics.variance(right) / len(right)
    return (statistics.fmean(left) - statistics.fmean(right)) / math.sqrt(spread)


def crop(left, right, share=0.90):
    """Both lists without the values above the percentile of all values together."""
    limit = sorted(left + right)[int(share * (len(left) + len(right)))]
    return [time for time in left if time < limit], [time for time in right if time < limit]


def cookie(token):
    return {"cookie": f"__Host-leadpipe_session={token}"}


class Asked:
    """session-show as the gateway runs it, one request at a time."""

    def __init__(self, url):
        environment = clean_environment(DATABASE_URL=url, LEADPIPE_ROLE="leadpipe_admin", ADMIN_API_KEY=RIGHT, LOG_LEVEL="error")
        self.process = subprocess.Popen([HANDLERS / "session-show", "--stream"], env=environment, cwd="/", stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)

    def time(self, key):
        """(nanoseconds, reply) of a request with this key, or with these headers."""
        headers = key if isinstance(key, dict) else {"x-admin-api-key": key}
        line = (json.dumps({
            "version": "2.0", "rawPath": "/api/admin/session", "rawQueryString": "", "headers": headers, "isBase64Encoded": False,
            "requestContext": {"requestId": "timing", "timeEpoch": 1_795_381_200_000, "http": {"method": "GET", "path": "/api/admin/session"}},
        }) + "\n").encode()
        began = time.perf_counter_ns()
        self.process.stdin.write(line)
        reply = self.process.stdout.read(65_536)
        while not reply.endswith(b"\n"):
            reply += self.process.stdout.read(65_536)
        return time.perf_counter_ns() - began, reply

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_rejecting_a_wrong_key_takes_constant_time(database, kinds):
    chance = random.Random(7)
    asked = Asked(database.url)
    times = ([], [])
    try:
        database.run(f"insert into admin_sessions (sha256, configured_sha256) values (sha256('{SESSION}'), sha256('{RIGHT}'))")
        for right in (RIGHT, cookie(SESSION)):
            assert json.loads(asked.time(right)[1])["statusCode"] == 200
        for turn in range(SAMPLES + 500):
            for kind in chance.sample((0, 1), 2):
                taken, reply = asked.time(kinds[kind](chance))
                assert b'"statusCode":401' in reply
                # The first requests warm caches, including PostgreSQL's.
                if turn >= 500:
                    times[kind].append(taken)
    finally:
        asked.end()
    t = welch(*crop(*times))
    print(f"t = {t:.2f}; medians {statistics.median(times[0]) / 1000:.1f} and {statistics.median(times[1]) / 1000:.1f} µs")
    assert abs(t) < 4.5


def test_statistic_detects_a_difference():
    """Tests the statistic itself: 100 ns in 100 µs of noise, as in a comparison that stops at the first wrong
    character."""
    chance = random.Random(8)
    left = [chance.gammavariate(9, 300) + 60_000 for _ in range(SAMPLES)]
    right = [chance.gammavariate(9, 300) + 60_100 for _ in range(SAMPLES)]
    other = [chance.gammavariate(9, 300) + 60_000 for _ in range(SAMPLES)]
    assert abs(welch(*crop(left, right))) > 4.5 > abs(welch(*crop(left, other)))
