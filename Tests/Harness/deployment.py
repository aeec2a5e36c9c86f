"""The parts of a deployment, each started alone, so that a test can put a fault into one of them, and `leadpipe check`."""

import json
import os
import re
import signal
import subprocess
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from cluster import leadpipe
from common import BIN, clean_environment, free_port, until
from stubs import MailServer, Providers

KEY = "0123456789abcdef0123456789abcdef"


class Deployment:
    """A gateway and a worker on a database. `settings` are those of the checklist, for all three."""

    def __init__(self, database, folder, channels):
        self.database, self.folder = database, Path(folder)
        self.state = self.folder / "state"
        self.state.mkdir()
        (self.state / "env").touch(0o600)
        self.wake = tempfile.mktemp(prefix="lpw-", suffix=".sock", dir="/tmp")
        self.port = free_port()
        limits = {f"RATE_LIMIT_{name}": "1000/60" for name in ("LEAD", "CONTACT", "ADMIN", "EXPORT", "DEFAULT")}
        self.settings = {
            **limits, **channels, "DATABASE_URL": database.url, "PORT": str(self.port), "ADMIN_API_KEY": KEY,
            "FRONTEND_URL": "https://truenester.com", "LEADPIPE_STATE": str(self.state), "LEADPIPE_WAKE": self.wake,
            "WORKER_POLL_SECONDS": "1", "SLACK_PER_SECOND": "off", "TELEGRAM_PER_SECOND": "off", "AUTO_ASSIGN": "new"}
        self.gateway = self.worker = None
        self.log = (self.folder / "log").open("a")

    def __enter__(self):
        try:
            self.start_gateway()
            self.start_worker()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop("worker")
        self.stop("gateway")
        self.log.close()
        Path(self.wake).unlink(missing_ok=True)

    def start(self, command, more):
        environment = {name: value for name, value in {**self.settings, **more}.items() if value is not None}
        return subprocess.Popen([str(BIN / "leadpipe"), *command], env=clean_environment(**environment), cwd="/", stdin=subprocess.DEVNULL,
                                stdout=self.log, stderr=self.log)

    def start_gateway(self, *words, **more):
        self.stop("gateway")
        self.gateway = self.start(["gateway", *words], more)
        until(lambda: self.gateway.poll() is not None or self.answers(), 20, "the gateway")
        assert self.gateway.poll() is None, (self.folder / "log").read_text()

    def answers(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}/api/openapi.json", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def start_worker(self, **more):
        self.stop("worker")
        before = self.database.text("select coalesce(max(last_seen), '-infinity') from workers")
        self.worker = self.start(["worker"], more)
        until(lambda: self.database.text(f"select count(*) from workers where last_seen > '{before}'") != "0", 20, "the worker")

    def stop(self, part):
        process = getattr(self, part)
        if process and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        setattr(self, part, None)

    def check_environment(self, **more):
        return {name: value for name, value in {**self.settings, **more}.items() if value is not None}

    def check(self, *words, **more):
        """Runs `leadpipe check --json`. A setting that is None in `more` is not set."""
        return Checked(leadpipe("check", "--json", *words, seconds=55, **self.check_environment(**more)))

    def follow(self, advice):
        """Runs the commands of an advice, in a shell with the deployment's settings: its further lines, or, in an advice of
        one line, what is between backquotes."""
        lines = [line for line in advice.split("\n")[1:] if not line.startswith("and ")]
        script = "\n".join(lines or re.findall("`([^`]*)`", advice))
        assert script, advice
        path = f"{BIN}:{os.environ['PATH']}"
        done = subprocess.run(["bash", "-euc", script], env={**clean_environment(**self.settings), "PATH": path}, cwd="/",
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50)
        assert done.returncode == 0, (script, done.stdout, done.stderr)

    def rows(self):
        """How many rows each table has. A worker's heartbeat, the state of its sweeps and the vocabulary of the search are no data of a lead."""
        tables = self.database.text("""
            select string_agg(format('select %L as t, count(*) as n from %I.%I', n.nspname || '.' || c.relname, n.nspname, c.relname), ' union all ')
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind = 'r' and n.nspname in ('public', 'leadpipe')
              and c.relname not in ('workers', 'known_words', 'notification_channels', 'index_lock', 'assigning', 'follow_up_sweep', 'sla_sweep',
                'conversation_changes', 'rate_counts')""")
        return {row["t"]: row["n"] for row in self.database.rows(tables)}


class Checked:
    """What one check has found."""

    def __init__(self, done):
        self.done = done
        self.lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.items = {line["id"]: line for line in self.lines}

    @property
    def failed(self):
        return {name: (item["evidence"], item["fix"]) for name, item in self.items.items() if item["result"] == "failed"}

    def only(self, name):
        """The advice of the one item that has failed."""
        assert set(self.failed) == {name}, (self.failed, self.done.stderr)
        assert self.done.returncode == 1
        return self.failed[name][1]

    def good(self):
        assert self.failed == {} and self.done.returncode == 0, (self.failed, self.done.stderr)
        return self


class Mail(MailServer):
    """Accepts mail unless `refusal` is set."""

    refusal = None

    async def handle_MAIL(self, _server, _session, envelope, address, options):
        if self.refusal:
            return self.refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"


def right_webhook(message):
    """What Slack replies: there is one webhook."""
    return None if message["path"].endswith("secretwebhook") else (404, "no_service", {})


def right_bot(message):
    """What Telegram replies: there is one bot."""
    return None if message["path"].startswith("/bot123456:secret-token/") else (
        401, '{"ok": false, "error_code": 401, "description": "Unauthorized"}', {"Content-Type": "application/json"})


@contextmanager
def watched(cluster, folder):
    """A deployment with stand-ins for all three channels, `providers` and `mail`."""
    providers, mail, database = Providers(), Mail(), cluster.migrated()
    providers.answers |= {"slack": right_webhook, "telegram": right_bot}
    try:
        with Deployment(database, folder, {**providers.settings, **mail.settings}) as deployment:
            deployment.providers, deployment.mail = providers, mail
            yield deployment
    finally:
        providers.close()
        mail.close()
        cluster.drop(database)


@contextmanager
def changed(database, change, back):
    """A change to the database that is taken back even if the test fails."""
    database.run(change)
    try:
        yield
    finally:
        database.run(back)
