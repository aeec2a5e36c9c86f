"""A PostgreSQL cluster that is reached over TLS."""

import os
import pwd
import subprocess

from cluster import Cluster, migrate
from common import free_port, is_root


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=30)


def restart_with_tls(cluster, address, certificate, key, clients, more=""):
    """Restarts the server so that it also listens on an address, with TLS only. `clients` are addresses and a method, as in pg_hba.conf."""
    for file in certificate, key:
        file.chmod(0o600)
        if is_root():
            owner = pwd.getpwnam("postgres")
            os.chown(file, owner.pw_uid, owner.pw_gid)
    (cluster.home / "data" / "pg_hba.conf").write_text(f"local all all trust\nhostssl all all {clients}\n")
    cluster.stop()
    cluster.options = f"-c listen_addresses={address} -c ssl=on -c ssl_cert_file={certificate} -c ssl_key_file={key} {more}"
    cluster.start()


class TLSCluster(Cluster):
    """Accepts only TLS, on 127.0.0.1. Its certificate is for the name localhost and is signed by its own authority. The
    database `leads` is migrated."""

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
        restart_with_tls(self, "127.0.0.1", certificate, key, "127.0.0.1/32 trust", f"-c port={self.port}")
        self.leads = self.empty()
        migrate(self.leads)

    def tls(self, host="localhost", **words):
        """The address of the database. The host is found without a name server."""
        query = "".join(f"&{name}={value}" for name, value in {"hostaddr": "127.0.0.1", "port": self.port, **words}.items())
        return f"postgresql://{self.superuser}@/{self.leads.name}?host={host}{query}"

    def url(self, name, user=None):
        return f"{super().url(name, user)}&port={self.port}" if hasattr(self, "port") else super().url(name, user)
