"""Providers with broken TLS: no message is sent, and the reason is in the database."""

import ssl
import subprocess

import pytest

from common import TEST_USER, until
from instance import Instance
from sink import Sink
from stubs import Providers


@pytest.fixture
def self_signed(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def tries(database, channel):
    return database.text(
        "select string_agg(concat_ws(' ', class, provider_code), ', ' order by a.fence) from notification_attempts a"
        f" join notification_logs d on d.id = a.delivery where d.channel = '{channel}'")


def both_waiting(database):
    rows = database.rows("""select channel, error_message from notification_logs
        where status = 'failed' and next_attempt_at is not null order by channel""")
    return rows if len(rows) == 2 else None


def test_failed_handshake_is_retried(database, tmp_path):
    """The sink's mail server offers STARTTLS but does not support it, and its HTTP port has no TLS."""
    with Sink(tmp_path, {"email": [{"fail": "tls"}]}) as sink:
        base = f"https://127.0.0.1:{sink.http}"
        settings = {**sink.settings, "SLACK_WEBHOOK_URL": f"{base}/services/T0/B0/x", "TELEGRAM_API_URL": base}
        with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **settings) as instance:
            instance.capture(TEST_USER)
            until(lambda: database.count("notification_logs", "status = 'sent'"), 20, "the email's second attempt")
            until(lambda: database.count("notification_attempts", "class = 'retry'") >= 3, 20, "a failed handshake each")
            # Read while the worker runs: a delivery of a stopped worker may be in the middle of an attempt.
            waiting = until(lambda: both_waiting(database), 20, "both to wait for another attempt")
        assert tries(database, "email") == "retry curl 35, delivered 2.0.0"
        for channel in ("slack", "telegram"):
            assert set(tries(database, channel).split(", ")) == {"retry curl 35"}
        assert [row["channel"] for row in waiting] == ["slack", "telegram"]
        assert all("could not be reached" in row["error_message"] for row in waiting)
        message, = sink.messages
        assert message["channel"] == "email"
        assert sink.counts["email"] == {"taken": 1, "failed": {"tls": 1}}


def test_untrusted_certificate_pauses_the_channel(database, self_signed):
    providers = Providers(tls=self_signed)
    try:
        with Instance(DATABASE_URL=database.url, **providers.settings) as instance:
            instance.capture(TEST_USER)
            until(lambda: database.count("notification_attempts", "class is not null") == 2, 20, "an attempt each")
        assert tries(database, "slack") == tries(database, "telegram") == "config curl 60"
        assert database.count("notification_channels", "paused_until > now() + interval '4 minutes' and pause_class = 'config'") == 2
        assert database.count("notification_logs", "status = 'failed' and retry_count = 0 and next_attempt_at is not null") == 2
        assert providers.received == []
    finally:
        providers.close()
