"""Hostile text arrives complete in every channel, and only at the configured recipients."""

import html
import json
import re
import subprocess
from collections import Counter

import pytest

from cluster import leadpipe
from common import HANDLERS, clean_environment, until
from instance import Instance
from sink import Sink

# The fields that each form's message shows besides the customer's message.
SHOWN = {"lead": ["customerName", "customerEmail", "customerPhone", "budget", "propertyType", "preferredArea"],
         "contact": ["customerName", "customerEmail", "customerPhone", "department", "subject"],
         "inquiry": ["customerName", "customerEmail", "customerPhone", "propertyTitle"],
         "sell": ["customerName", "customerEmail", "customerPhone", "propertyType", "propertyAddress", "expectedPrice", "urgency"]}
LONG = {"contact": "message", "inquiry": "message", "sell": "propertyDescription"}


def line(value):
    """A value as a message may show it: on one line, without characters that change the direction of text."""
    kept = re.sub(r"[\t\n\x85\u2028\u2029]", " ", value)
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "", re.sub(r" +", " ", kept)).strip()


def text(message):
    """The text that a person reads, without mark-up and without isolating characters."""
    body = message["body"]
    if message["channel"] == "slack":
        found = "\n".join(re.findall(r'"text": "((?:[^"\\]|\\.)*)"', json.dumps(body["blocks"])))
        found = json.loads(f'"{found}"'.replace("\n", "\\n"))
        found = found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    elif message["channel"] == "telegram":
        found = html.unescape(re.sub(r"<[^>]*>", "", body["text"]))
    else:
        found = body.replace("\r\n", "\n")
    return re.sub(r" +", " ", re.sub(r"[\u2066-\u2069]", "", found))


@pytest.mark.parametrize("form", SHOWN)
def test_hostile_text_arrives_complete_in_all_channels(form, database, tmp_path):
    stream = leadpipe("generate", "--count", "120", "--hostile", "100", "--seed", "5", "--form", form).stdout
    with Sink(tmp_path) as sink:
        settings = {**sink.settings, "WORKER_POLL_SECONDS": "1", "WORKER_BATCH_SIZE": "100"}
        with Instance(DATABASE_URL=database.url, **settings):
            subprocess.run([str(HANDLERS / f"{form}-capture"), "--stream"], input=stream.encode(), capture_output=True, timeout=60,
                           env=clean_environment(DATABASE_URL=database.url, LOG_LEVEL="error"), cwd="/")
            stored = database.count("conversations")
            assert stored > 40
            until(lambda: database.count("notification_logs", "status = 'sent'") == 3 * stored, 30, "all messages")
        assert sink.counts["slack"]["failed"] == sink.counts["telegram"]["failed"] == sink.counts["email"]["failed"] == {}
        messages = sink.messages
    assert Counter((m["channel"], m["recipient"]) for m in messages) == {
        ("slack", "/services/T0/B0/sink"): stored, ("telegram", "-1001"): stored, ("email", "agents@example.com"): stored}
    texts = {channel: [text(m) for m in messages if m["channel"] == channel] for channel in ("slack", "telegram", "email")}
    values = 0
    for row in database.rows("select payload from lead_events where event_type = 'lead.created'"):
        payload = row["payload"]
        wanted = [line(payload[key]) for key in SHOWN[form] if payload.get(key) is not None]
        if payload.get(LONG.get(form)):
            wanted += [line(part) for part in payload[LONG[form]].split("\n")]
        wanted = [value for value in wanted if value and len(value) <= 400]
        values += len(wanted)
        for channel, all_texts in texts.items():
            assert any(all(value in found for value in wanted) for found in all_texts), (channel, wanted)
    print(f"{stored} leads, {values} values")
