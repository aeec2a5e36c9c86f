"""Handlers reach PostgreSQL over TLS with the OpenSSL that is linked into them: the certificate and the name of the
server are verified, and what the linked libpq cannot do is refused with a reason."""

import os
import pwd
import subprocess

import pytest

import handlers
from cluster import Cluster, leadpipe, migrate
from common import TEST_USER, free_port, is_root, untimed


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=30)


class TLSCluster(Cluster):
    """Accepts only TLS, on 127.0.0.1. Its certificate is for the name localhost and is signed by its own authority."""

    def prepare(self):
        self.port = free_port()
        key, request = self.home / "server.key", self.home / "server.csr"
        self.authority, certificate = self.home / "ca.pem", self.home / "server.pem"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.home / "ca.key", "-out", self.authority, "-days", 2, "-subj", "/CN=ca")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=localhost")
        extension = self.home / "san"
        extension.write_text("subjectAltName=DNS:localhost")
        openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self.home / "ca.key", "-CAcreateserial", "-out", certificate,
                "-days", 2, "-extfile", extension)
        key.chmod(0o600)
        if is_root():
            owner = pwd.getpwnam("postgres")
            os.chown(key, owner.pw_uid, owner.pw_gid)
        (self.home / "data" / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 trust\n")
        self.stop()
        self.options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c ssl=on -c ssl_cert_file={certificate} -c ssl_key_file={key}"
        self.start()

    def tls(self, database, host="localhost", **words):
        query = "".join(f"&{name}={value}" for name, value in {"hostaddr": "127.0.0.1", "port": self.port, **words}.items())
        return f"postgresql://{self.superuser}@/{database.name}?host={host}{query}"

    def url(self, name, user=None):
        return f"{super().url(name, user)}&port={self.port}" if hasattr(self, "port") else super().url(name, user)


@pytest.fixture(scope="module")
def server():
    cluster = TLSCluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def migrated(server):
    database = server.empty()
    migrate(database)
    return database


def capture(url, **environment):
    done = handlers.run("lead-capture", TEST_USER, DATABASE_URL=url, **environment)
    return done.returncode, untimed(done.stderr.decode())


def test_verified_server_stores_a_lead(server, migrated):
    before = migrated.count("conversations")
    assert capture(server.tls(migrated, sslmode="verify-full", sslrootcert=server.authority))[0] == 0
    assert migrated.count("conversations") == before + 1


@pytest.mark.parametrize("words, reason", [
    ({"host": "other.example"}, 'server certificate for "localhost" does not match host name "other.example"'),
    ({"authority": "other"}, "certificate verify failed"),
    ({"sslmode": "disable"}, "no encryption"),
], ids=["another name", "another authority", "no TLS"])
def test_server_that_cannot_be_verified_gets_no_lead(server, migrated, tmp_path, words, reason):
    other = tmp_path / "other.pem"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "other.key", "-out", other, "-days", 2, "-subj", "/CN=ca")
    before = migrated.count("conversations")
    authority = other if words.get("authority") else server.authority
    url = server.tls(migrated, words.get("host", "localhost"), sslmode=words.get("sslmode", "verify-full"), sslrootcert=authority)
    status, log = capture(url)
    assert status == 75 and reason in log, log
    assert migrated.count("conversations") == before


def test_required_gssapi_is_refused_with_a_reason(server, migrated):
    for url, environment in [(server.tls(migrated, gssencmode="require"), {}), (server.tls(migrated), {"PGGSSENCMODE": "require"})]:
        status, log = capture(url, **environment)
        assert status == 75 and "gssencmode=require is not possible: this executable has no GSSAPI" in log, log


def test_service_in_ldap_is_refused_with_a_reason(tmp_path):
    """By the command: handlers are confined and read no service file at all."""
    services = tmp_path / "services"
    services.write_text("[leads]\nldap://127.0.0.1/dc=example?description?one?(cn=leads)\n")
    done = leadpipe("migrate", DATABASE_URL="postgresql:///?service=leads", PGSERVICEFILE=str(services))
    assert done.returncode != 0 and "this executable has no LDAP" in done.stderr, done.stderr
