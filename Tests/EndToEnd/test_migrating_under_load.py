"""The migrations of the event system while leads are captured: both succeed, because they take their locks together and
give them back after each try."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

import database as databases
import migration
from cluster import Session

# The migrations that lock tables of captures, and the one before them.
LAST = "20261128112002"


def person(worker, number):
    return {"route": "lead-capture", "source": "chatbot", "idempotency": {"key": f"{worker} {number}", "content": {}},
            "lead": {"customerName": f"N{number}", "customerPhone": f"+9715{worker}{number:07}", "customerEmail": f"n{number}@w{worker}.example"},
            "messages": [{"id": f"m{n}", "text": "hello"} for n in range(2)], "event": {"type": "lead.created", "payload": {}}}


@pytest.mark.seconds(90)
def test_captures_go_on_while_migrations_run(cluster):
    earlier = [path for path in migration.migrations() if path.stem[:14] <= LAST]
    later = [path for path in migration.migrations() if path.stem[:14] > LAST]
    assert len(later) >= 2
    made = databases.create("under_load", earlier, PGHOST=str(cluster.home), PGUSER="leadpipe")
    database = cluster.database("under_load")
    done = Event()

    def capture(worker):
        number = 0
        with Session(database.url) as session:
            while not done.is_set():
                number += 1
                reply = json.loads(session.text(f"select capture_lead('{json.dumps(person(worker, number))}')"))
                assert reply["outcome"] == "created", reply
        return number

    with ThreadPoolExecutor(6) as pool:
        captures = [pool.submit(capture, worker) for worker in range(6)]
        try:
            for _ in range(3):  # All of them can run again.
                for path in later:
                    made.load([path])
        finally:
            done.set()
        captured = sum(each.result(30) for each in captures)
    assert database.count("conversations") == database.count("lead_events") == captured
    assert database.count("chat_messages") == 2 * captured
