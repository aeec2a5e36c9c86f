"""The deployment checklist's own verification, step by step, on `leadpipe up` with its private database."""

import email
import email.policy
import json
import re
import subprocess

import pytest

from common import TEST_USER, TIME, clean_environment, until
from instance import Instance
from stubs import MailServer, Providers

ADMIN_KEY = "TrueNester2025_AdminAPI_SecureKey_Dubai_Development_Production_v1"


class Verification:
    """One instance, configured as in the checklist, and one lead sent with the checklist's curl command."""

    def __init__(self, instance, providers, mail):
        self.instance, self.providers, self.mail = instance, providers, mail
        # The checklist's command with this host.
        done = subprocess.run(["bash", "-c", f"""
            curl -sS -w '\\n%{{http_code}}' -X POST http://127.0.0.1:{instance.port}/api/chatbot/leads \\
              -H "Content-Type: application/json" \\
              -d '{{
                "customerName": "Test User",
                "customerPhone": "+971501234567",
                "customerEmail": "test@example.com",
                "intent": "buy"
              }}'"""], env=clean_environment(), capture_output=True, text=True, timeout=30)
        text, _, status = done.stdout.rpartition("\n")
        self.status = int(status)
        self.reply = json.loads(text)
        self.id = self.reply["id"]
        until(lambda: instance.database.count("lead_events", "event_type = 'lead.created' and processed"), 20, "the event to be processed")


@pytest.fixture(scope="module")
def checked():
    providers, mail = Providers(), MailServer()
    settings = {
        **providers.settings, **mail.settings, "FRONTEND_URL": "https://truenester.com", "ADMIN_API_KEY": ADMIN_KEY,
        "LOG_LEVEL": "info", "ENABLE_NOTIFICATION_WORKER": "true", "FEATURE_WHATSAPP_ENABLED": "false",
        "FEATURE_CRM_ENABLED": "false", "FEATURE_SMS_ENABLED": "false"}
    try:
        with Instance(**settings) as instance:
            yield Verification(instance, providers, mail)
    finally:
        providers.close()
        mail.close()


def test_has_the_tables_and_columns_of_the_checklist(checked):
    tables = checked.instance.database.text(
        "select string_agg(to_regclass(t)::text, ',') from unnest(array['lead_events','conversation_timeline',"
        "'follow_up_tasks','notification_logs']) t")
    assert tables == "lead_events,conversation_timeline,follow_up_tasks,notification_logs"
    columns = checked.instance.database.count(
        "information_schema.columns", "table_name = 'conversations' and column_name in ('metadata', 'idempotency_key', 'source')")
    assert columns == 3


def test_curl_returns_201_with_the_lead(checked):
    assert checked.status == 201
    conversation = checked.reply["conversation"]
    assert conversation["id"] == checked.id
    assert conversation["status"] == "new"
    assert {name: conversation[name] for name in TEST_USER} == TEST_USER


def test_database_has_the_conversation(checked):
    row, = checked.instance.database.rows("select * from conversations")
    assert row["id"] == checked.id
    assert (row["customer_name"], row["customer_phone"], row["customer_email"], row["intent"]) == (
        "Test User", "+971501234567", "test@example.com", "buy")
    assert (row["status"], row["source"], row["sla_breached"]) == ("new", "chatbot", False)
    assert row["sla_response_deadline"] is not None


def test_database_has_one_lead_created_event(checked):
    row, = checked.instance.database.rows("select * from lead_events where event_type = 'lead.created'")
    assert row["conversation_id"] == checked.id
    assert row["processed"] is True


def test_timeline_has_the_lead_created_entry(checked):
    row, = checked.instance.database.rows("select * from conversation_timeline where event_type = 'created'")
    assert (row["title"], row["conversation_id"], row["actor_type"]) == ("Lead Created", checked.id, "system")


def test_every_channel_has_a_sent_notification(checked):
    rows = checked.instance.database.rows(
        "select channel, recipient, status, sent_at is not null as at, retry_count, error_message from notification_logs order by channel::text")
    assert rows == [
        {"channel": channel, "recipient": recipient, "status": "sent", "at": True, "retry_count": 1, "error_message": None}
        for channel, recipient in (("email", "agents@truenester.com"), ("slack", "default"), ("telegram", "-100123456789"))]


def test_exactly_one_slack_message_arrived(checked):
    message, = checked.providers.of("slack")
    assert message["path"] == "/services/T0/B0/secretwebhook"
    assert message["json"]["text"] == "🔔 New Lead: Test User"
    blocks = message["json"]["blocks"]
    assert blocks[0]["text"]["text"] == "🤖 New Chatbot Conversation"
    text = message["body"]
    assert all(part in text for part in ("Test User", "+971501234567", "test@example.com", "buy"))
    button, = (element for block in blocks if block["type"] == "actions" for element in block["elements"])
    assert button["text"]["text"] == "View in Admin Panel"
    assert button["url"] == f"https://truenester.com/admin/conversations/{checked.id}"


def test_exactly_one_telegram_message_arrived(checked):
    message, = checked.providers.of("telegram")
    assert message["path"] == "/bot123456:secret-token/sendMessage"
    assert str(message["json"]["chat_id"]) == "-100123456789"
    assert "New Chatbot" in message["json"]["text"] and "Test User" in message["json"]["text"]


def test_exactly_one_email_arrived(checked):
    envelope, = checked.mail.envelopes
    assert envelope.rcpt_tos == ["agents@truenester.com"]
    assert envelope.mail_from == "notifications@truenester.com"
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert message["Subject"] == "🤖 New Chatbot Lead: Test User"
    assert message["From"] == "TrueNester <notifications@truenester.com>"
    assert message["Reply-To"] == "test@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
    assert parts.keys() == {"text/plain", "text/html"}
    assert all("Test User" in part and "+971501234567" in part for part in parts.values())
    assert f"https://truenester.com/admin/conversations/{checked.id}" in parts["text/html"]
    assert all(word not in part for part in parts.values() for word in ("undefined", "nil", "Optional"))


def test_health_reports_the_configuration(checked):
    status, headers, health = checked.instance.http("/health")
    assert status == 200
    assert (health["status"], health["database"]) == ("ok", "ok")
    assert all(health[channel + "Configured"] is True for channel in ("slack", "telegram", "email"))
    assert health["port"] == checked.instance.port
    assert health["queue"] == {"unprocessed": 0, "oldestSeconds": None, "failed": 0}
    assert health["worker"]["lastSeen"] is not None
    assert headers["x-request-id"]


@pytest.mark.parametrize("line", [
    r"\[INFO\] Notification worker started( |$)",
    r"\[INFO\] Successfully created conversation {id}( |$)",
    r"\[INFO\] Event emitted: lead\.created( |$)",
    r"\[INFO\] Notifications sent via: slack, email, telegram( |$)",
])
def test_log_has_the_lines_that_operators_watch(checked, line):
    pattern = f"^{TIME}" + line.replace("{id}", checked.id)
    until(lambda: re.search(pattern, checked.instance.log, re.MULTILINE), 10, line)
    assert len(re.findall(pattern, checked.instance.log, re.MULTILINE)) == 1


def test_log_contains_no_personal_data_and_no_secret(checked):
    for canary in ("Test User", "Test", "971501234567", "501234567", "test@example.com", "secretwebhook", "secret-token",
                   ADMIN_KEY, "-100123456789", "agents@truenester.com"):
        assert canary not in checked.instance.log, canary


def test_operators_queries_return_the_expected_rows(checked):
    database = checked.instance.database
    assert database.text("SELECT COUNT(*) FROM lead_events WHERE processed = FALSE") == "0"
    assert database.text("SELECT * FROM notification_logs WHERE status = 'failed' ORDER BY created_at DESC LIMIT 10") == ""
    assert database.text("SELECT * FROM conversations WHERE sla_breached = TRUE ORDER BY created_at DESC") == ""


def test_every_table_has_row_level_security(checked):
    without = checked.instance.database.text(
        "select string_agg(relname, ',') from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and not relrowsecurity")
    assert without == ""
