"""Builds the argument of capture_lead for a body, like argument.js."""

import datetime
import json


def argument(body: dict) -> str:
    lead = {name: value for name, value in body.items() if name not in ("messages", "idempotencyKey")}
    key = body.get("idempotencyKey")
    return json.dumps({
        "route": "lead-capture", "source": "chatbot", "receivedAt": datetime.datetime.now(datetime.UTC).isoformat(),
        "idempotency": {"key": key, "content": body} if key else None,
        "lead": lead | {"leadScore": 42, "leadQuality": "cold", "leadScoreBreakdown": {"source": "server"}, "tags": [],
                        "slaDeadline": "2027-01-01T00:00:00.000Z"},
        "messages": [{"id": m.get("id"), "sender": "customer" if m["sender"] == "user" else m["sender"], "text": m["messageText"], "type": "text",
                      "timestamp": m["timestamp"]} for m in body.get("messages", [])],
        "event": {"type": "lead.created",
                  "payload": {name: value for name, value in lead.items() if name != "metadata"} | {"source": "chatbot", "leadScore": 42}},
        "timeline": {"title": "Lead Created", "description": "Captured from chatbot"},
    })


def answer(body: dict, reply: dict) -> str:
    lead = {name: value for name, value in body.items() if name not in ("messages", "idempotencyKey")}
    return json.dumps({"id": reply["id"], "conversation": {
        name: reply[name] for name in ("id", "status", "createdAt", "updatedAt")} | lead})
