"""The handlers that store what strangers send: what is true of each is tested of each. A new one is one line here."""

from typing import NamedTuple

import handlers
from common import TEST_USER


class Capture(NamedTuple):
    handler: str
    path: str
    body: dict
    # Where a submission ends up, and the event it causes.
    table: str = "conversations"
    event: str = "lead.created"

    def keyed(self, key):
        return {**self.body, "idempotencyKey": key}

    def envelope(self, key, body=None, **more):
        return handlers.envelope(body or self.body, path=self.path, headers={"idempotency-key": key}, **more)

    def stored(self, database):
        """How many of it are stored, and how many events say so."""
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
