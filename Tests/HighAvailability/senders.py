"""Steady load with the time of every reply."""

import threading
import time
from collections import Counter

from common import until
from ledger import lead
from traffic import Traffic


class Senders(Traffic):
    """Clients that send one lead after another. A lead without a 201 is sent again with its key."""

    CLIENTS = 6

    def __init__(self, instance, pause):
        super().__init__(instance, pause)
        self.lock, self.gives_up = threading.Lock(), False
        # (sent at, answered at) of each 201.
        self.stored, self.waits = [], Counter()
        self.longest = 0.0
        self.threads = [threading.Thread(target=self._client, daemon=True) for _ in range(self.CLIENTS)]

    def _client(self):
        while not self.is_over.wait(self.pause):
            with self.lock:
                self.number += 1
                number = self.number
            while not self.offer(number) and not self.gives_up:
                time.sleep(0.3)

    def offer(self, number):
        began, headers, document = time.monotonic(), {}, None
        try:
            status, headers, document = self.instance.http("/api/chatbot/leads", lead(number), seconds=20)
        except (OSError, ValueError) as error:
            status = type(error).__name__
        ended = time.monotonic()
        with self.lock:
            self.longest = max(self.longest, ended - began)
            if status == 201:
                self.captured[number] = document["id"]
                self.stored.append((began, ended))
            else:
                self.refused[status] += 1
                if status == 503:
                    self.waits[headers.get("retry-after", "none")] += 1
        assert status not in (200, *range(400, 429)), (status, document)
        return status == 201

    def since(self, moment):
        """How many leads that were sent after this moment have been stored."""
        with self.lock:
            return sum(began > moment for began, _ in self.stored)

    def wait_for(self, count, moment, seconds):
        until(lambda: self.since(moment) >= count, seconds, f"{count} leads; refused {dict(self.refused)}")

    def gap(self, begin, end):
        """The longest time without a 201 from one moment to another."""
        with self.lock:
            times = sorted(ended for _, ended in self.stored if begin < ended < end)
        return max(after - before for before, after in zip([begin, *times], [*times, end], strict=True))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, failure, *_):
        self.gives_up = failure is not None
        self.is_over.set()
        for thread in self.threads:
            thread.join(60)
