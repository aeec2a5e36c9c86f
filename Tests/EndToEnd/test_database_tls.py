"""Handlers reach PostgreSQL over TLS with the OpenSSL that is linked into them: the certificate and the name of the
server are verified, and what the linked libpq cannot do is refused with a reason."""

import pytest

import handlers
from cluster import leadpipe
from common import TEST_USER, untimed
from tls_cluster import openssl


def capture(url, **environment):
    done = handlers.run("lead-capture", TEST_USER, DATABASE_URL=url, **environment)
    return done.returncode, untimed(done.stderr.decode())


def test_verified_server_stores_a_lead(tls_server):
    before = tls_server.leads.count("conversations")
    assert capture(tls_server.tls(sslmode="verify-full", sslrootcert=tls_server.authority))[0] == 0
    assert tls_server.leads.count("conversations") == before + 1


@pytest.mark.parametrize("words, reason", [
    ({"host": "other.example"}, 'server certificate for "localhost" does not match host name "other.example"'),
    ({"authority": "other"}, "certificate verify failed"),
    ({"sslmode": "disable"}, "no encryption"),
], ids=["another name", "another authority", "no TLS"])
def test_server_that_cannot_be_verified_gets_no_lead(tls_server, tmp_path, words, reason):
    other = tmp_path / "other.pem"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "other.key", "-out", other, "-days", 2, "-subj", "/CN=ca")
    before = tls_server.leads.count("conversations")
    authority = other if words.get("authority") else tls_server.authority
    url = tls_server.tls(words.get("host", "localhost"), sslmode=words.get("sslmode", "verify-full"), sslrootcert=authority)
    status, log = capture(url)
    assert status == 75 and reason in log, log
    assert tls_server.leads.count("conversations") == before


def test_required_gssapi_is_refused_with_a_reason(tls_server):
    for url, environment in [(tls_server.tls(gssencmode="require"), {}), (tls_server.tls(), {"PGGSSENCMODE": "require"})]:
        status, log = capture(url, **environment)
        assert status == 75 and "gssencmode=require is not possible: this executable has no GSSAPI" in log, log


def test_service_in_ldap_is_refused_with_a_reason(tmp_path):
    """By the command: handlers are confined and read no service file at all."""
    services = tmp_path / "services"
    services.write_text("[leads]\nldap://127.0.0.1/dc=example?description?one?(cn=leads)\n")
    done = leadpipe("migrate", DATABASE_URL="postgresql:///?service=leads", PGSERVICEFILE=str(services))
    assert done.returncode != 0 and "this executable has no LDAP" in done.stderr, done.stderr
