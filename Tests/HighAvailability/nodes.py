"""Three nodes with etcd, Patroni and PostgreSQL, each on a host of its own, from the files in deploy/high-availability."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from string import Template

from cluster import Database
from common import REPO, as_postgres, clean_environment, postgres_binaries, until
from network import processes, signal_all

FILES = REPO / "deploy" / "high-availability"
SECRETS = {"SUPERUSER_PASSWORD": "superuser-of-the-drill", "REPLICATION_PASSWORD": "replication-of-the-drill", "REST_PASSWORD": "rest-of-the-drill"}
OWNER_PASSWORD = "owner-of-the-drill"
# Bytes for three copies of the data.
ROOM = 4 << 30


def filled(name, **words):
    """A file of deploy/high-availability with its words filled in. Fails if one is missing."""
    return Template((FILES / name).read_text()).substitute(words)


def folder_for_postgres(prefix):
    """A folder that the user postgres may write: in memory if there is room (DRILL_DATA names another place). Three nodes
    and what else runs here share one disk, and each start of PostgreSQL after a crash writes all of it. None of the faults
    makes the kernel lose what was written."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("DRILL_DATA") or ("/dev/shm" if roomy else "/tmp")))
    owner = pwd.getpwnam("postgres")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    folder.chmod(0o755)
    return folder


class Node:
    """A machine with etcd, Patroni and PostgreSQL."""

    def __init__(self, host, folder):
        self.host, self.name, self.address, self.folder = host, host.name, host.address, folder
        self.started = []

    def prepare(self, nodes):
        """Writes the node's files."""
        owner = pwd.getpwnam("postgres")
        self.folder.mkdir()
        (self.folder / "run").mkdir()
        for path in (self.folder, self.folder / "run"):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        common = {"NODE": self.name, "ADDRESS": self.address}
        etcd = filled("etcd.env", DATA=str(self.folder / "etcd"), CLUSTER=",".join(f"{node.name}=http://{node.address}:2380" for node in nodes), **common)
        self.etcd = dict(line.split("=", 1) for line in etcd.splitlines() if line and not line.startswith("#"))
        self.config = self.folder / "patroni.yml"
        self.config.write_text(filled(
            "patroni.yml", ETCD=",".join(f"{node.address}:2379" for node in nodes), NETWORK=f"{self.address}/24", WATCHDOG="off",
            DATA=str(self.folder / "data"), BINARIES=str(postgres_binaries()), SOCKETS=str(self.folder / "run"), **SECRETS, **common))
        os.chown(self.config, owner.pw_uid, owner.pw_gid)
        self.config.chmod(0o600)

    def boot(self):
        """Starts etcd and Patroni, also after a power cut."""
        self.reap()
        self._start("etcd", ["/usr/bin/etcd"], **self.etcd)
        self._start("patroni", ["/usr/bin/patroni", str(self.config)])

    def _start(self, name, words, **environment):
        with (self.folder / f"{name}.log").open("ab") as log, self.host.inside():
            self.started.append(subprocess.Popen(as_postgres(words), env=clean_environment(**environment), cwd="/", stdin=subprocess.DEVNULL,
                                                 stdout=log, stderr=log, start_new_session=True))

    def reap(self):
        self.started = [process for process in self.started if process.poll() is None]

    def log(self, name="patroni", most=3000):
        return (self.folder / f"{name}.log").read_text(errors="replace")[-most:]

    # ── What happens to it ──

    def pids(self, word=None):
        """Its processes. With "postgres", only PostgreSQL's."""
        pids = processes(self.host.namespace)
        return [pid for pid in pids if word is None or word in program(pid)]

    def kill_postgres(self):
        """Kills PostgreSQL as a whole. The postmaster is first, so that it starts nothing again."""
        pids = self.pids("/postgres")
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        signal_all(sorted(pids, key=lambda pid: pid != postmaster), signal.SIGKILL)

    def stop_postgres(self):
        signal_all(self.pids("/postgres"), signal.SIGSTOP)

    # ── What it is ──

    def ask(self, path, seconds=2):
        """The status of Patroni's REST interface, or None."""
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{self.address}:8008{path}", timeout=seconds) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except (OSError, ValueError):
            return None

    def accepts_writes(self):
        """True if its PostgreSQL says so to a client on the node itself."""
        with self.host.inside():
            try:
                done = subprocess.run(["psql", "-X", "-A", "-t", "-q", "-c", "select pg_is_in_recovery()", self.url("postgres")],
                                      env=clean_environment(PGCONNECT_TIMEOUT="2"), capture_output=True, text=True, timeout=4)
            except subprocess.TimeoutExpired:
                return False
        return done.stdout.strip() == "f"

    def url(self, database):
        return f"postgresql://postgres:{SECRETS['SUPERUSER_PASSWORD']}@{self.address}/{database}"


def program(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


class Nodes:
    """The three nodes, and HAProxy on the host that uses the database. Used as a context."""

    LISTEN = "127.0.0.1:5000"

    def __init__(self, network, application):
        self.network, self.application = network, application
        self.folder = folder_for_postgres("lpha-")
        self.nodes = [Node(network.host(f"db{number}"), self.folder / f"db{number}") for number in (1, 2, 3)]
        self.haproxy = None

    def __enter__(self):
        try:
            for node in self.nodes:
                node.prepare(self.nodes)
                node.boot()
            config = self.folder / "haproxy.cfg"
            config.write_text(filled("haproxy.cfg", LISTEN=self.LISTEN, **{f"NODE{n}": node.address for n, node in enumerate(self.nodes, 1)}))
            with self.application.inside(), (self.folder / "haproxy.log").open("ab") as log:
                self.haproxy = subprocess.Popen(["haproxy", "-db", "-f", str(config)], env=clean_environment(), cwd="/", stdin=subprocess.DEVNULL,
                                                stdout=log, stderr=log, start_new_session=True)
            self.wait_until_whole(90)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.haproxy:
            self.haproxy.kill()
            self.haproxy.wait(10)
        for node in self.nodes:
            signal_all(node.pids(), signal.SIGKILL)
            for process in node.started:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ── The whole ──

    def database(self, name="postgres"):
        """A database by way of HAProxy, as the superuser. To be used on the host `application`."""
        return Database(f"postgresql://postgres:{SECRETS['SUPERUSER_PASSWORD']}@{self.LISTEN}/{name}?connect_timeout=3", name)

    def make(self, name):
        """A database for Leadpipe. Returns the URL of its owner's login, which is no superuser."""
        self.database().run(f"create role {name} login createrole password '{OWNER_PASSWORD}'")
        self.database().run(f"create database {name} owner {name}")
        return f"postgresql://{name}:{OWNER_PASSWORD}@{self.LISTEN}/{name}"

    def primary(self):
        """The node whose Patroni says that it is the primary, as HAProxy sees it."""
        return next((node for node in self.nodes if node.ask("/primary") == 200), None)

    def is_whole(self):
        """True if the primary has two standbys that follow it, one of them synchronous."""
        try:
            done = self.database().psql("select count(*) filter (where sync_state = 'sync') || ' ' || count(*) from pg_stat_replication"
                                        " where state = 'streaming' and application_name like 'db%'", "-A", "-t", check=False)
        except subprocess.TimeoutExpired:
            return False
        return done.stdout.strip() == "1 2"

    def wait_until_whole(self, seconds):
        """Returns the primary and the time that it took."""
        began = time.monotonic()
        try:
            with self.application.inside():
                until(lambda: self.is_whole() or time.sleep(0.3), seconds, "a primary with two standbys")
                primary = until(self.primary, 20, "a primary")
        except AssertionError as error:
            logs = "\n".join(f"── {node.name}\n{node.log()}" for node in self.nodes)
            raise AssertionError(f"{error}\n{logs}\n── haproxy\n{(self.folder / 'haproxy.log').read_text()[-2000:]}") from None
        return primary, time.monotonic() - began
