"""The handlers that store submissions of visitors. Tests of what they have in common run for each of them. Add a new
handler to `CAPTURES`."""

from typing import NamedTuple

import handlers
from common import TEST_USER


class Capture(NamedTuple):
    handler: str
    path: str
    body: dict
    # The table that a submission is stored in, and the event that it causes.
    table: str = "conversations"
    event: str = "lead.created"

    def keyed(self, key):
        return {**self.body, "idempotencyKey": key}

    def envelope(self, key, body=None, **more):
        return handlers.envelope(body or self.body, path=self.path, headers={"idempotency-key": key}, **more)

    def stored(self, database):
        """The number of stored submissions and of their events."""
        return database.count(self.table), database.count("lead_events", f"event_type = '{self.event}'")


PERSON = {name: TEST_USER[name] for name in ("customerName", "customerPhone", "customerEmail")}
CAPTURES = [
    Capture("lead-capture", "/api/chatbot/leads", TEST_USER),
    Capture("contact-capture", "/api/contact", {**PERSON, "message": "Please call me", "department": "Sales"}),
    Capture("inquiry-capture", "/api/property-inquiry", {**PERSON, "propertyTitle": "Marina View 2BR", "budget": "AED 2M"}),
    Capture("sell-capture", "/api/sell-submission", {**PERSON, "propertyAddress": "Palm 7", "expectedPrice": "AED 4M"}),
]


def by_name(capture):
    return capture.handler
