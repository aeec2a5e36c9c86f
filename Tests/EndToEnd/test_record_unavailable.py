"""The function that stores outcomes fails for longer than a lease, while everything else works."""

import time
from collections import Counter

from common import until
from instance import Instance
from ledger import Taken, lead
from sink import Sink


def test_running_worker_resends_nothing_while_outcomes_cannot_be_stored(database, tmp_path):
    with Sink(tmp_path) as sink, Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **sink.settings) as instance:
        database.run("alter function record_outcomes(jsonb) rename to record_outcomes_away")
        try:
            for number in range(1, 21):
                instance.capture(lead(number))
            until(lambda: database.count("notification_logs", "status = 'sending'") >= 3, 15, "a send in each channel")
            time.sleep(2)
            # Ends the leases and the waits for a next attempt early.
            for column in ("lease_until", "next_attempt_at"):
                database.run(f"update notification_logs set {column} = now() where {column} > now() and status in ('sending', 'failed')")
                time.sleep(3)
        finally:
            database.run("alter function record_outcomes_away(jsonb) rename to record_outcomes")
        times = Counter((message.channel, message.name) for message in map(Taken.read, sink.messages))
        assert max(times.values()) == 1, f"{sum(n > 1 for n in times.values())} of {len(times)} messages went out more than once"
