"""The gateway's memory while the live feed runs for long, with listeners that come and go. HOSTILE_FEED_SECONDS sets how
long (60); `make soak` sets an hour."""

import os
import threading
import time
from pathlib import Path

import pytest

from admin import KEY, AdminClient
from common import TEST_USER, until
from instance import Instance
from listener import Listener

SECONDS = int(os.environ.get("HOSTILE_FEED_SECONDS", "60"))
LISTENERS = 20
ALLOWED = 64 * 1024


def resident(pid):
    """A process's memory in KiB, without what it shares with files."""
    return int(next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("RssAnon")).split()[1])


def listen(instance, counts, number, is_over):
    """Reads the feed, and connects again when the stream ends, like a browser."""
    last = None
    while not is_over.is_set():
        try:
            listener = Listener(instance, after=last)
            while not is_over.is_set() and (event := listener.next()):
                counts[number] += 1
                last = event.id
            listener.close()
        except OSError:
            time.sleep(0.2)


@pytest.mark.seconds(SECONDS + 180)
def test_a_feed_that_runs_for_long_keeps_the_memory_of_its_start(database):
    with Instance(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false", LEADPIPE_CLIENT_CONNECTIONS="1000") as instance:
        gateway = next(pid for pid in instance.processes() if os.readlink(f"/proc/{pid}/exe").endswith("/gateway"))
        admin = AdminClient(instance)
        lead = instance.capture(TEST_USER)
        counts, is_over = [0] * LISTENERS, threading.Event()
        threads = [threading.Thread(target=listen, args=(instance, counts, number, is_over), daemon=True) for number in range(LISTENERS)]
        for thread in threads:
            thread.start()
        sent, start, most, end = 0, None, 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            admin.patch(f"/api/admin/conversations/{lead}", {"notes": f"{sent} " + "y" * 1500})
            sent += 1
            time.sleep(0.02)
            if sent == 20:
                until(lambda: min(counts) > 0, 20, "the first event of every listener")
                start = resident(gateway)
            most = max(most, resident(gateway))
        # What they have still to read.
        until(lambda: min(counts) >= sent - 1, 20, f"all of {sent} events; {counts}")
        is_over.set()
        instance.capture({**TEST_USER, "customerName": "Last Event"})
        for thread in threads:
            thread.join(60)
        print(f"{sent} events to {LISTENERS} listeners in {SECONDS} s; KiB: {start} at the start, {most} at most, {resident(gateway)} in the end")
        assert most - start < ALLOWED
