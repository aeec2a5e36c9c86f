"""Leads that are sent while something goes wrong: each is repeated with its key until the reply is 201."""

import threading
import time
from collections import Counter

from common import until
from ledger import CHANNELS, Ledger, lead, none


class Traffic:
    """Sends a lead every `pause` seconds from a thread, until the end of the context or until there are `most`."""

    def __init__(self, instance, pause=0.1, most=None):
        self.instance, self.pause, self.most = instance, pause, most
        self.captured, self.refused, self.number = {}, Counter(), 0
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while self.number != self.most and not self.is_over.wait(self.pause):
            self.number += 1
            self.send(self.number)

    def send(self, number):
        while number not in self.captured:
            try:
                status, _, document = self.instance.http("/api/chatbot/leads", lead(number), seconds=15)
            except (OSError, ValueError) as error:
                status, document = type(error).__name__, None
            if status == 201:
                self.captured[number] = document["id"]
            elif self.is_over.is_set():
                return
            else:
                self.refused[status] += 1
                time.sleep(0.3)

    def captures_more(self, seconds, count=3):
        """Waits until so many further leads have been captured. Returns the time that it took."""
        began, wanted = time.monotonic(), len(self.captured) + count
        until(lambda: len(self.captured) >= wanted, seconds, f"{count} more leads; refused {dict(self.refused)}")
        return time.monotonic() - began

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join(30)

    # ── Checks ──

    def wait_until_sent(self, database, seconds):
        """Waits until everything that has been captured by now is sent. Returns the time that it took."""
        began, numbers = time.monotonic(), len(self.captured)
        names = ",".join(f"'Lead {number:06}'" for number in list(self.captured))

        def sent():
            done = database.psql("select count(*) from notification_logs d join lead_events e on e.id = d.lead_event_id where d.status = 'sent'"
                                 f" and e.payload ->> 'customerName' in ({names})", "-A", "-t", check=False)
            return done.returncode == 0 and int(done.stdout) >= numbers * len(CHANNELS)
        until(sent, seconds, f"{numbers} leads in every channel")
        return time.monotonic() - began

    def check(self, database, sink, repeats=False, late=False):
        """Every lead that was answered with 201 is stored once and sent once in every channel. With `repeats`, a message
        may come again after an attempt with an unknown outcome, and is then marked. With `late`, the first one may arrive
        after its repeats."""
        ledger = Ledger(database, sink.messages, killed=repeats)
        stored = set(database.text("select id from conversations").split())
        assert set(self.captured.values()) <= stored, "leads were lost"
        names = Counter((d.channel, d.name) for d in ledger.deliveries.values())
        none([(channel, number) for number in self.captured for channel in CHANNELS if names[channel, f"Lead {number:06}"] != 1],
             "leads without exactly one delivery in a channel")
        none((d for d in ledger.deliveries.values() if d.status != "sent" or not d.taken), "deliveries that were not received")
        if repeats:
            none(ledger.untold_repeats() if late else ledger.unmarked_repeats(), "repeats that are not marked")
        else:
            none((d for d in ledger.deliveries.values() if len(d.taken) != 1), "messages that were sent more than once")
        return ledger
