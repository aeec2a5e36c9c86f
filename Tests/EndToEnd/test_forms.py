"""The website's forms and the newsletter, from HTTP to every channel."""

import email
import email.policy
import json
import threading

import pytest

import handlers
from common import until
from instance import Instance
from stubs import MailServer, Providers

PERSON = {"customerName": "سارة Ahmed <b>&", "customerEmail": "sara@example.com", "customerPhone": "050 123 4567"}
PERSON_SAID = ["سارة Ahmed <b>&", "sara@example.com", "+971501234567"]

# path, body, source, Slack's header, the email's subject, and other content of the messages besides the person
FORMS = {
    "contact": (
        "/api/contact", {"subject": "A viewing", "department": "Sales", "message": "Call me *today* <!channel>"},
        "contact_form", "📬 New Contact Form Message", "📬 New Contact Form Message",
        ["A viewing", "Sales", "Call me *today* <!channel>"]),
    "contact, by its second path": (
        "/api/submit-contact", {"message": "By the other path"}, "contact_form", "📬 New Contact Form Message",
        "📬 New Contact Form Message", ["By the other path"]),
    "inquiry": (
        "/api/property-inquiry",
        {"propertyTitle": "Marina & view", "propertyUrl": "https://truenester.com/p/7?a=1&b=2", "message": "Is it free?"},
        "property_inquiry", "🏠 New Property Inquiry", "🏠 New Property Inquiry", ["Marina & view", "Is it free?"]),
    "sell": (
        "/api/sell-submission",
        {"propertyType": "Villa", "propertyAddress": "Palm 1", "expectedPrice": "AED 5M", "propertyDescription": "Five rooms",
         "urgency": "ASAP"},
        "sell_submission", "🏷️ New Valuation Request", "🏷️ New Valuation Request",
        ["Villa", "Palm 1", "AED 5M", "Five rooms", "ASAP"]),
}


class Agency:
    """An instance with all channels and a webhook for the newsletter, and the messages that arrived."""

    def __init__(self, instance, providers, mail):
        self.instance, self.providers, self.mail = instance, providers, mail

    def post(self, path, body, **headers):
        return self.instance.http(path, body, headers=headers)

    def settled(self):
        until(lambda: self.instance.database.count("lead_events", "not processed") == 0, 20, "all events to be processed")

    def forget(self):
        self.settled()
        self.providers.received.clear()
        self.mail.envelopes.clear()


@pytest.fixture(scope="module")
def agency():
    providers, mail = Providers(), MailServer()
    newsletter = f"http://127.0.0.1:{providers.port}/services/T0/B0/newsletter"
    try:
        with Instance(**providers.settings, **mail.settings, FRONTEND_URL="https://truenester.com", RATE_LIMIT_CONTACT="off",
                      SLACK_WEBHOOK_NEWSLETTER_URL=newsletter) as instance:
            yield Agency(instance, providers, mail)
    finally:
        providers.close()
        mail.close()


def texts(document):
    """All strings in a document as they are displayed, with Slack's entities resolved."""
    if isinstance(document, dict):
        return [text for value in document.values() for text in texts(value)]
    if isinstance(document, list):
        return [text for value in document for text in texts(value)]
    if isinstance(document, str):
        return [document.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")]
    return []


@pytest.mark.parametrize("name", FORMS)
def test_form_is_stored_and_sent_to_every_channel(agency, name):
    path, body, source, header, subject, said = FORMS[name]
    agency.forget()

    status, _, document = agency.post(path, PERSON | body)

    assert status == 201 and document["success"] is True and document["message"], document
    agency.settled()
    row, = agency.instance.database.rows(f"select * from conversations where id = '{document['id']}'")
    assert (row["source"], row["customer_phone"], row["status"]) == (source, "+971501234567", "new")
    statuses = agency.instance.database.rows(
        f"select channel::text, status from notification_logs where conversation_id = '{document['id']}' order by 1")
    assert [(row["channel"], row["status"]) for row in statuses] == [(c, "sent") for c in ("email", "slack", "telegram")]

    slack, = agency.providers.of("slack")
    assert slack["json"]["blocks"][0]["text"]["text"] == header
    assert slack["json"]["text"].startswith("🔔 New Lead: ")
    shown = "\n".join(texts(slack["json"]))
    telegram, = agency.providers.of("telegram")
    told = "\n".join(texts(telegram["json"]))
    envelope, = agency.mail.envelopes
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert message["Subject"].replace("\u2068", "").replace("\u2069", "") == f"{subject}: {PERSON['customerName']}"
    plain = message.get_body(("plain",)).get_content()
    for fact in [*PERSON_SAID, *said]:
        for channel, text in (("slack", shown), ("telegram", told), ("mail", plain)):
            assert fact in text.replace("\u2068", "").replace("\u2069", ""), (channel, fact, text)
    for text in (shown, told, plain):
        assert not any(word in text for word in ("undefined", "Optional", "nil\n"))
    assert f"/admin/conversations/{document['id']}" in shown
    if name == "inquiry":
        assert body["propertyUrl"] in shown


def test_subscription_is_sent_once_to_the_newsletters_slack_webhook(agency):
    agency.forget()
    replies = [agency.post("/api/newsletter/subscribe", {"email": "Reader@example.com", "source": "footer"}) for _ in range(3)]
    agency.settled()
    assert {status for status, _, _ in replies} == {201}
    assert all(document == replies[0][2] for _, _, document in replies)
    slack, = agency.providers.of("slack")
    assert slack["path"].endswith("/newsletter")
    shown = "\n".join(texts(slack["json"]))
    assert "📧 New Newsletter Subscription" in shown and "Reader@example.com" in shown and "footer" in shown
    assert not agency.providers.of("telegram") and not agency.mail.envelopes


def test_unsubscribing_notifies_no_one_and_resubscribing_does(agency):
    agency.post("/api/newsletter/subscribe", {"email": "back@example.com"})
    agency.forget()
    left = [agency.post("/api/newsletter/unsubscribe", {"email": address}) for address in ("back@example.com", "never@example.com")]
    assert [(status, document["data"]["status"]) for status, _, document in left] == [(200, "unsubscribed")] * 2
    agency.settled()
    assert not agency.providers.received
    agency.post("/api/newsletter/subscribe", {"email": "back@example.com"})
    agency.settled()
    until(lambda: len(agency.providers.of("slack")) == 1, 5, "the message about the new subscription")


def test_health_does_not_reveal_subscriptions(agency):
    """For an anonymous client, the worker's time and the queue do not change when an address is new."""
    agency.forget()

    def seen():
        _, _, document = agency.instance.http("/health")
        return document["queue"], document["worker"]["lastSeen"][:16], document["status"]
    before = seen()
    for address in ("new@example.com", "new@example.com", "other@example.com"):
        agency.post("/api/newsletter/subscribe", {"email": address})
        assert seen() == before
    agency.settled()


def test_twenty_concurrent_subscriptions_of_one_address_are_one(database):
    replies = []

    def subscribe(number):
        address = "reader@example.com" if number % 2 else "READER@example.com"
        replies.append(handlers.run("newsletter-subscribe", {"email": address}, DATABASE_URL=database.url))

    threads = [threading.Thread(target=subscribe, args=(number,)) for number in range(20)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert [done.returncode for done in replies] == [0] * 20
    assert len({json.loads(done.stdout)["data"]["id"] for done in replies}) == 1
    assert database.count("newsletter_subscribers") == 1
    assert database.count("lead_events") == 1
