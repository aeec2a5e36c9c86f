"""Channels that request a pause, and workers that send as fast as they can. No worker sends to a channel during its
pause."""

import json
import math
from collections import Counter

from common import until
from instance import Instance
from kills import Worker
from ledger import lead
from stubs import Providers


class LimitedChannel:
    """A channel that closes after every `every` messages for `seconds`. Slack sends the wait in a header, Telegram in
    the body. A request during the pause gets the remaining time."""

    def __init__(self, name, every, seconds):
        self.name, self.every, self.seconds = name, every, seconds
        self.taken = Counter()
        self.closed_until, self.closed_at = 0, None
        # For each pause: how many seconds after its start each request arrived.
        self.late = []

    def __call__(self, message):
        now = message["at"]
        if now < self.closed_until:
            self.late[-1].append(round(now - self.closed_at, 3))
            return self.reject(math.ceil(self.closed_until - now))
        if self.taken.total() >= self.every * (len(self.late) + 1):
            self.late.append([])
            self.closed_at, self.closed_until = now, now + self.seconds
            return self.reject(self.seconds)
        self.taken[message["body"]] += 1
        return None

    def reject(self, seconds):
        if self.name == "slack":
            return 429, "rate_limited", {"Retry-After": str(seconds)}
        body = {"ok": False, "error_code": 429, "description": f"Too Many Requests: retry after {seconds}", "parameters": {"retry_after": seconds}}
        return 429, json.dumps(body), {"Content-Type": "application/json"}


def check(database, folder, leads, every, seconds, patience, workers):
    providers = Providers()
    channels = {name: LimitedChannel(name, every, seconds) for name in ("slack", "telegram")}
    providers.answers = dict(channels)
    try:
        with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", **providers.settings) as instance:
            for number in range(1, leads + 1):
                instance.capture(lead(number))
            environment = {**instance.environment, "ENABLE_NOTIFICATION_WORKER": "true", "WORKER_POLL_SECONDS": "1"}
            running = [Worker(folder, f"worker-{n}", environment) for n in range(workers)]
            try:
                until(lambda: database.count("notification_logs", "status = 'sent'") == 2 * leads, patience, "everything to be sent")
            finally:
                for worker in running:
                    worker.close()
    finally:
        providers.close()
    for name, channel in channels.items():
        early = [since for late in channel.late for since in late]
        print(f"{name}: {workers} workers, {len(channel.late)} pauses of {seconds} s, {len(early)} requests during them, after {channel.late} s")
        assert len(channel.late) == (leads - 1) // every and channel.taken.total() == len(channel.taken) == leads
    for channel in channels.values():
        # Another worker's request may be on its way when the first worker receives the 429. That request is rejected
        # too, and then its worker stops.
        late = [late for late in channel.late if len(late) >= workers]
        assert not late, f"{channel.name}: {workers} workers kept sending: {late}"
