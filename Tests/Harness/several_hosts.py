"""One installation on several hosts: a database, two gateways, a CGI server, two workers and the stand-ins of the
providers, each on a host of its own. They reach each other over TLS with the logins of their classes."""

import http.client
import json
import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from cgi_servers import nginx
from cluster import Cluster, leadpipe
from common import BIN, clean_environment, until
from ledger import CHANNELS
from network import Network
from sink import Sink
from tls_cluster import openssl, restart_with_tls

PASSWORD = "a-password-of-the-tests"
# Runs a command with the host's name, and with the certificate of the tests as the only one that is trusted.
AS_HOST = ["unshare", "--mount", "--uts", "/bin/sh", "-c",
           'hostname "$1" && mount --bind "$2" /etc/ssl/certs/ca-certificates.crt && shift 2 && exec "$@"', "sh"]


def seconds(line):
    """The time that a line of `ss` shows, such as 1min59sec, 57sec or 980ms."""
    minutes, whole = re.search(r"timer:\(\w+,(?:(\d+)min)?(?:([\d.]+)sec)?", line).groups()
    return 60 * int(minutes or 0) + float(whole or 0)


class HostedCluster(Cluster):
    """PostgreSQL on a host. Other hosts need TLS and a password; the tests use its Unix socket."""

    def __init__(self, host, certificate, key):
        self.host, self.files = host, (certificate, key)
        super().__init__()

    def start(self):
        with self.host.inside():
            super().start()

    def prepare(self):
        certificate, key = (Path(shutil.copy(file, self.home)) for file in self.files)
        # As many sessions as PostgreSQL's default.
        restart_with_tls(self, self.host.address, certificate, key, f"{self.host.address}/24 scram-sha-256", "-c max_connections=100")
        super().prepare()

    def login(self, database, name):
        """The URL of one class of handlers, for other hosts."""
        self.database("postgres").run(f"alter role leadpipe_{name} password '{PASSWORD}'")
        return (f"postgresql://leadpipe_{name}:{PASSWORD}@{self.host.address}/{database.name}"
                f"?sslmode=verify-full&sslrootcert={self.files[0]}")

    def sessions_of(self, host):
        """The sessions of a host, by process id and start."""
        return set(self.database("postgres").text(
            f"select pid || ' ' || backend_start from pg_stat_activity where client_addr = '{host.address}'").splitlines())

    def keepalives(self):
        """How long the kernel waits, at most, before it asks the peer of a session for a sign of life. In seconds."""
        with self.host.inside():
            lines = subprocess.run(["ss", "-tnoH", "state", "established", "sport = :5432"], capture_output=True, text=True, timeout=10,
                                   check=True).stdout.splitlines()
        assert lines and all("timer:(keepalive," in line or "timer:(on," in line for line in lines), lines
        return max(seconds(line) for line in lines)

    def power_off(self):
        self.host.power_off()

    def boot(self):
        """Starts it after a power cut."""
        until(self._starts, 40, "the database to start")

    def _starts(self):
        with suppress(AssertionError):
            self.start()
            return True


class Machine:
    """A host with services. After `power_off`, `boot` starts them again."""

    def __init__(self, host, folder):
        self.host, self.folder = host, folder
        folder.mkdir()

    def power_off(self):
        self.host.power_off()

    def log(self):
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.rglob("*.log")))

    def close(self):
        pass


class Service(Machine):
    """`leadpipe WORDS` on a host."""

    def __init__(self, host, folder, words, certificate, **environment):
        super().__init__(host, folder)
        self.command = [*AS_HOST, host.name, str(certificate), str(BIN / "leadpipe"), *words]
        self.environment = environment

    def boot(self):
        with (self.folder / "service.log").open("ab") as log, self.host.inside():
            self.process = subprocess.Popen(self.command, env=clean_environment(**self.environment), cwd="/", stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)

    def close(self):
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)


class Gateway(Service):
    port = 4000


class CGIServer(Machine):
    """nginx and fcgiwrap with deploy/nginx/cgi.conf."""

    def __init__(self, host, folder, **environment):
        super().__init__(host, folder)
        self.environment, self.stack, self.boots = environment, ExitStack(), 0

    def boot(self):
        # What remains of the servers before a power cut, and a folder without their sockets.
        self.close()
        self.boots += 1
        place = self.folder / str(self.boots)
        place.mkdir()
        with self.host.inside():
            self.port = self.stack.enter_context(nginx(place, self.environment, address=self.host.address))

    def close(self):
        self.stack.close()


class Site(ExitStack):
    """The whole installation, while it is a context. `limits` are RATE_LIMIT_… settings."""

    CLIENTS = 24

    def __init__(self, folder, **limits):
        super().__init__()
        self.folder, self.limits = folder, limits

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self):
        network = self.enter_context(Network())
        place = network.host("database")
        self.outside, self.clients = network.host("providers"), network.host("clients", self.CLIENTS)
        certificate, key = self._certificate(place, self.outside)
        self.cluster = HostedCluster(place, certificate, key)
        self.callback(self.cluster.close)
        self.database = self.cluster.migrated()
        settings = self._providers(certificate, key)
        channels = leadpipe("channels", **settings)
        assert channels.returncode == 0, channels.stderr
        intake = {"DATABASE_URL_INTAKE": self.cluster.login(self.database, "intake"), "DATABASE_URL_ADMIN": self.cluster.login(self.database, "admin"),
                  "RATE_LIMIT_STORE": "postgres", "WAKE": "notify", "LEADPIPE_CHANNELS": channels.stdout.strip(), **self.limits}
        worker = {"DATABASE_URL_WORKER": self.cluster.login(self.database, "worker"), "WAKE": "notify", "SLACK_PER_SECOND": "off",
                  "TELEGRAM_PER_SECOND": "off", **settings}
        self.gateways = [self._service(Gateway, network.host(f"gateway-{n}"), ["gateway"], certificate, **intake) for n in (1, 2)]
        for gateway in self.gateways:
            gateway.environment |= {"LEADPIPE_HOST": gateway.host.address, "PORT": str(gateway.port)}
        self.cgi = CGIServer(network.host("cgi"), self.folder / "cgi", **intake)
        self.callback(self.cgi.close)
        self.workers = [self._service(Service, network.host(f"worker-{n}"), ["worker"], certificate, **worker) for n in (1, 2)]
        self.entries = [*self.gateways, self.cgi]
        for machine in [*self.entries, *self.workers]:
            machine.boot()
        for entry in self.entries:
            self.wait_until_well(entry, 20)

    def _certificate(self, *hosts):
        """A certificate for these hosts, which is its own authority."""
        certificate, key = self.folder / "certificate.pem", self.folder / "key.pem"
        names = ",".join(f"IP:{host.address}" for host in hosts)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2, "-subj", "/CN=the tests",
                "-addext", f"subjectAltName={names}", "-keyout", key, "-out", certificate)
        return certificate, key

    def _providers(self, certificate, key):
        """Starts the sink. Returns the settings with which other hosts reach it."""
        # Slow, so that messages are being sent when something happens.
        slow = {channel: [{"fail": "slow", "milliseconds": 100, "percent": 100}] for channel in CHANNELS}
        with self.outside.inside():
            self.sink = self.enter_context(Sink(self.folder, slow))
            for port, inner in ((443, self.sink.http), (465, self.sink.smtp)):
                self._relay(port, inner, certificate, key)
        base = f"https://{self.outside.address}"
        return {**self.sink.settings, "SLACK_WEBHOOK_URL": f"{base}/services/T0/B0/sink", "TELEGRAM_API_URL": base,
                "EMAIL_HOST": self.outside.address, "EMAIL_PORT": "465"}

    def _relay(self, port, inner, certificate, key):
        words = [sys.executable, Path(__file__).with_name("tls_relay.py"), f"{self.outside.address}:{port}", inner, certificate, key]
        process = subprocess.Popen(list(map(str, words)), env=clean_environment(), cwd="/", stdin=subprocess.DEVNULL)
        self.callback(process.wait, 10)
        self.callback(process.kill)

    def _service(self, kind, host, words, certificate, **settings):
        service = kind(host, self.folder / host.name, words, certificate, **settings)
        self.callback(lambda: service.close() if hasattr(service, "process") else None)
        return service

    # ── Requests ──

    def ask(self, entry, path, document=None, client=0, seconds=10, **headers):
        """(status, headers in lower case, document) of a request to an entry host by a client, by its number."""
        body = None if document is None else json.dumps(document)
        with self.clients.inside():
            connection = http.client.HTTPConnection(entry.host.address, entry.port, seconds, source_address=(self.clients.addresses[client], 0))
            try:
                connection.request("GET" if body is None else "POST", path, body, {"Content-Type": "application/json", **headers})
                reply = connection.getresponse()
                text = reply.read().decode()
            except http.client.HTTPException as error:
                raise ConnectionError(type(error).__name__) from error
            finally:
                connection.close()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, json.loads(text) if text else None

    def health(self, entry):
        try:
            status, _, document = self.ask(entry, "/health", client=self.CLIENTS - 1, seconds=4)
        except OSError as error:
            return type(error).__name__
        return "ok" if (status, document.get("status")) == (200, "ok") else document

    def wait_until_well(self, entry, seconds):
        """Waits until /health is ok."""
        end = time.monotonic() + seconds
        while (last := self.health(entry)) != "ok":
            assert time.monotonic() < end, f"{entry.host.name} is not well after {seconds} s: {last}\n{entry.log()[-3000:]}"
            time.sleep(0.1)
