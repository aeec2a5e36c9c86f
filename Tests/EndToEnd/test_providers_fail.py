"""What happens to a lead when a provider fails: the lead is stored, the other channels are notified, the reason is in
the database."""

import email
import email.policy
import itertools
import time

import pytest

from common import TEST_USER, free_port, until
from instance import Instance


@pytest.fixture
def instance(database, providers, mail):
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **providers.settings, **mail.settings) as instance:
        yield instance


def delivery(database, channel):
    rows = database.rows(f"select * from notification_logs where channel = '{channel}'")
    return rows[0] if rows else {"status": None}


def test_webhook_with_500_affects_no_lead_and_no_other_channel(instance, database, providers, mail):
    providers.answers["slack"] = (500, "rollup_error", {})
    status, _, reply = instance.http("/api/chatbot/leads", TEST_USER)
    assert status == 201
    assert database.count("conversations", f"id = '{reply['id']}'") == 1

    failed = until(lambda: (row := delivery(database, "slack"))["status"] == "failed" and row, 15, "the failure")
    assert "500" in failed["error_message"] and "rollup_error" in failed["error_message"]
    assert failed["next_attempt_at"] is not None
    assert failed["outcome_class"] == "retry"
    until(lambda: delivery(database, "telegram")["status"] == delivery(database, "email")["status"] == "sent", 15, "the others")
    assert database.count("lead_events", "event_type = 'lead.created' and processed") == 0

    # The webhook works again: the same message is retried once. The other channels get nothing again.
    del providers.answers["slack"]
    until(lambda: delivery(database, "slack")["status"] == "sent", 20, "the second attempt")
    until(lambda: database.count("lead_events", "event_type = 'lead.created' and processed") == 1, 5, "the event to close")
    good = delivery(database, "slack")
    assert good["error_message"] is None and good["next_attempt_at"] is None
    attempts = database.rows(f"select attempt, class, status_code from notification_attempts where delivery = '{good['id']}' order by attempt")
    assert [row["class"] for row in attempts] == ["retry"] * (len(attempts) - 1) + ["delivered"]
    assert len(providers.of("slack")) == len(attempts) == good["retry_count"]
    assert len(providers.of("telegram")) == len(mail.envelopes) == 1


def test_logs_when_all_channels_fail(database, providers):
    providers.answers["slack"] = (500, "rollup_error", {})
    with Instance(DATABASE_URL=database.url, SLACK_WEBHOOK_URL=providers.settings["SLACK_WEBHOOK_URL"]) as instance:
        instance.capture(TEST_USER)
        instance.wait_log("[WARN] All notification channels failed")
        assert "Notifications sent via" not in instance.log


def test_missing_webhook_pauses_its_channel_with_a_reason(instance, database, providers):
    providers.answers["slack"] = (404, "no_service", {})
    instance.capture(TEST_USER)
    until(lambda: delivery(database, "slack")["status"] == "failed", 15, "the failure")
    instance.capture({**TEST_USER, "customerPhone": "+971501234568"})
    until(lambda: database.count("notification_logs", "channel = 'telegram' and status = 'sent'") == 2, 15, "the other channel")
    row, = database.rows("select paused_until > now() + interval '4 minutes' as paused, pause_reason from notification_channels where channel = 'slack'")
    assert row["paused"] is True and "no_service" in row["pause_reason"]
    # The operator's query finds it. No attempt is counted, and the second lead's message is not sent.
    failed, = database.rows("SELECT * FROM notification_logs WHERE status = 'failed' ORDER BY created_at DESC LIMIT 10")
    assert failed["retry_count"] == 0 and "no_service" in failed["error_message"] and failed["next_attempt_at"] is not None
    assert len(providers.of("slack")) == 1


def test_respects_a_channels_retry_after(instance, database, providers):
    providers.answers["slack"] = (429, "rate_limited", {"Retry-After": "3"})
    instance.capture(TEST_USER)
    until(lambda: providers.of("slack"), 10, "the first request")
    del providers.answers["slack"]
    until(lambda: delivery(database, "slack")["status"] == "sent", 20, "the delivery after the pause")
    first, second = providers.of("slack")
    assert second["at"] - first["at"] >= 3
    assert delivery(database, "slack")["retry_count"] == 1


def test_hanging_channel_does_not_delay_others(instance, database, providers, mail):
    providers.answers["slack"] = "hang"
    began = time.monotonic()
    instance.capture(TEST_USER)
    until(lambda: providers.of("slack") and providers.of("telegram") and mail.envelopes, 8, "the other channels")
    assert time.monotonic() - began < 8
    assert delivery(database, "slack")["status"] == "sending"
    providers.release.set()


def test_broken_connection_after_sending_is_unknown(instance, database, providers):
    providers.answers["slack"] = "hang"
    providers.release.set()
    instance.capture(TEST_USER)
    row = until(lambda: (row := delivery(database, "slack"))["status"] == "failed" and row, 15, "the failure")
    assert row["outcome_class"] == "unknown"
    assert row["next_attempt_at"] is not None


def test_unreachable_mail_server_is_retried(database, providers):
    settings = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(free_port()), "EMAIL_FROM": "a@example.com", "EMAIL_TO": "b@example.com"}
    with Instance(DATABASE_URL=database.url, **providers.settings, **settings) as instance:
        instance.capture(TEST_USER)
        row = until(lambda: (row := delivery(database, "email"))["status"] == "failed" and row, 15, "the failure")
        assert row["next_attempt_at"] is not None and row["error_message"]
        until(lambda: delivery(database, "slack")["status"] == "sent", 10, "the other channel")


def test_customer_input_is_escaped_in_every_message(instance, database, providers, mail):
    hostile = "<!channel> <b>&\u2028</b> <http://evil|bank>"
    instance.capture({**TEST_USER, "customerName": hostile, "budget": "</b><a href='tg://x'>x</a>",
                      "propertyType": "x\r\nBcc: victim@example.com"})
    until(lambda: providers.of("slack") and providers.of("telegram") and mail.envelopes, 15, "all three")
    slack = providers.of("slack")[0]["body"]
    assert "<!channel>" not in slack and "<http" not in slack and "&lt;!channel&gt;" in slack
    telegram = providers.of("telegram")[0]["json"]
    if telegram.get("parse_mode"):
        assert "<a href='tg" not in telegram["text"] and "&lt;a href" in telegram["text"]
    envelope = mail.envelopes[0]
    assert envelope.rcpt_tos == ["agents@truenester.com"]
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert sorted(name.lower() for name in message) == [
        "auto-submitted", "content-type", "date", "from", "message-id", "mime-version", "reply-to", "subject", "to"]
    html = next(part.get_content() for part in message.walk() if part.get_content_type() == "text/html")
    assert "<b>&" not in html and "&lt;!channel&gt;" in html


def test_limits_the_rate_of_slack_and_telegram_but_not_of_email(database, providers, mail):
    settings = {**providers.settings, **mail.settings, "SLACK_PER_SECOND": "", "TELEGRAM_PER_SECOND": "2"}
    with Instance(DATABASE_URL=database.url, **settings) as instance:
        for n in range(4):
            instance.capture({**TEST_USER, "customerName": f"Lead {n}"})
        until(lambda: len(mail.envelopes) == 4, 15, "the mails")
        until(lambda: len(providers.of("slack")) == len(providers.of("telegram")) == 4, 15, "the messages")
    for name, pause in (("slack", 1.0), ("telegram", 0.5)):
        times = [message["at"] for message in providers.of(name)]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        # The rate applies to the start of each send. The first send also has to start its processes.
        assert all(gap > pause * 0.7 for gap in gaps) and times[-1] - times[0] > 3 * pause - 0.3, (name, gaps)


def test_stopping_worker_releases_its_claims(database, providers, mail):
    """The next worker sends them immediately, not after the lease, and no attempt is counted."""
    settings = {**providers.settings, "SLACK_PER_SECOND": "", "TELEGRAM_PER_SECOND": ""}
    with Instance(DATABASE_URL=database.url, **settings) as instance:
        for n in range(6):
            instance.capture({**TEST_USER, "customerName": f"Lead {n}"})
        until(lambda: len(providers.of("slack")) >= 2, 15, "the first messages")
        instance.stop()
        assert database.count("notification_logs", "lease_until is not null") == 0
        instance.start()
        until(lambda: database.count("notification_logs", "status = 'sent'") == 12, 20, "all messages")
    assert len(providers.of("slack")) == len(providers.of("telegram")) == 6
    assert database.count("notification_logs", "retry_count <> 1") == 0
