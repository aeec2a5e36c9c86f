"""The Debian package in a fresh Debian root without a toolchain: it installs, `leadpipe migrate` and `leadpipe up` work
there, its services pass `leadpipe check`, it upgrades, and it goes. And the last stage of the image, whose steps are run in
such a root: nothing is built there. Needs root, and Debian's packages by apt."""

import json
import os
import re
import secrets
import shutil
import subprocess
import time
import urllib.request
from contextlib import ExitStack

import pytest

from common import BIN, REPO, clean_environment, free_port, is_root, until
from debian_root import DebianRoot

pytestmark = [pytest.mark.skipif(not is_root(), reason="a Debian root is made and entered by root"), pytest.mark.seconds(1800)]


def reply(port, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body and json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        return answer.status, json.loads(answer.read())


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    settings = clean_environment(SOURCE_DATE_EPOCH="1764374400", SWIFT=shutil.which("swift") or "swift")
    subprocess.run([REPO / "tools/release/build", folder], env=settings, check=True, capture_output=True, timeout=300)
    return next(folder.glob("*.deb"))


@pytest.fixture(scope="module")
def root(tmp_path_factory, package):
    # curl is for the guide's own commands.
    with DebianRoot(tmp_path_factory.mktemp("debian") / "root", ["ca-certificates", "curl"]) as root:
        shutil.copy(package, root.folder / "tmp" / package.name)
        began = time.monotonic()
        root.run("apt-get", "update")
        root.run("apt-get", "install", "--yes", f"/tmp/{package.name}", seconds=900)
        print(f"\nroot made in {root.seconds:.0f} s; package installed in {time.monotonic() - began:.1f} s, with what apt brings; "
              f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
        yield root


def test_the_package_is_installed_whole(root):
    assert root.run("leadpipe", "--version").stdout == "0.1.0\n"
    assert root.run("dpkg", "--verify", "leadpipe").stdout == ""
    assert root.run("dpkg-query", "-W", "-f", "${Status}", "leadpipe").stdout == "install ok installed"
    for service in ("gateway", "worker"):
        assert root.run("id", "-gn", f"leadpipe-{service}").stdout == "leadpipe\n"
    assert root.run("stat", "-c", "%a %U", "/etc/leadpipe/gateway.env").stdout == "600 root\n"
    # No compiler, and no library of the build machine's.
    assert root.run("sh", "-c", "command -v swift cc gcc clang", check=False).returncode != 0
    # dpkg keeps the handlers hard links.
    assert int(root.run("du", "-sm", "/opt/leadpipe").stdout.split()[0]) < 200


def test_leadpipe_up_works_in_the_fresh_root(root):
    port = free_port()
    began = time.monotonic()
    with root.running(["leadpipe", "up"], PORT=str(port), LEADPIPE_STATE="/var/lib/leadpipe/state", HOME="/root") as (process, output):
        until(lambda: re.search(r"^ready ", output(), re.MULTILINE) or process.poll() is not None, 120, "ready")
        assert process.poll() is None, output()
        print(f"ready in {time.monotonic() - began:.1f} s")
        status, lead = reply(port, "/api/chatbot/leads", {"customerName": "Test User", "customerPhone": "+971501234567", "intent": "buy"})
        assert status == 201 and lead["id"]
        assert reply(port, "/health")[1]["database"] == "ok"
        sink = root.folder / "var/lib/leadpipe/state/sink.ndjson"
        until(lambda: sink.exists() and "Test User" in sink.read_text(), 30, "the notification")
        migrate = root.run("sh", "-c", ". /var/lib/leadpipe/state/env; exec leadpipe migrate")
        assert migrate.stdout == "nothing to migrate\n"


# ── The services, on a network of the root's own ──

class Service:
    """A unit of the package: its user, its settings and its command. What systemd would add to its sandbox is left out; of
    the rest, EndToEnd/test_systemd.py compares the filters."""

    def __init__(self, root, name):
        text = (root.folder / f"lib/systemd/system/leadpipe-{name}.service").read_text()
        self.root, self.unit = root, dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
        self.settings = dict(re.findall(r"^([A-Z_]+)=(.*)$", (root.folder / self.unit["EnvironmentFile"].lstrip("/")).read_text(), re.MULTILINE))

    def run(self):
        user, group = self.unit["User"], self.unit["Group"]
        if folder := self.unit.get("RuntimeDirectory"):
            self.root.run("install", "-d", "-m", self.unit["RuntimeDirectoryMode"], "-o", user, "-g", group, f"/run/{folder}")
        assert self.unit["NoNewPrivileges"] == "yes" and self.unit["CapabilityBoundingSet"] == ""
        rights = ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", "--no-new-privs", "--bounding-set=-all"]
        command = f"umask {self.unit['UMask']}; exec {self.unit['ExecStart']}"
        return self.root.running([*rights, "sh", "-c", command], alone=True, **self.settings)


def set_settings(file, settings):
    """Writes settings into a file of the package: in place of their comment, or at the end."""
    text = file.read_text()
    for name, value in settings.items():
        line = f"{name}={value}"
        text, changed = re.subn(rf"^#?{name}=.*$", lambda _, line=line: line, text, flags=re.MULTILINE)
        text += "" if changed else f"{line}\n"
    file.write_text(text)


def test_the_services_pass_the_deployment_check(root):
    """The steps of docs/how-to/install-from-a-package.md, with PostgreSQL of the same root and the sink for the channels."""
    began = time.monotonic()
    passwords = {name: secrets.token_hex(16) for name in ("owner", "intake", "admin", "worker")}

    def psql(*statements):
        words = [word for statement in statements for word in ("-c", statement)]
        root.run("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "psql", "-v", "ON_ERROR_STOP=1", "-q", *words, alone=True)

    def url(login):
        user = "leadpipe" if login == "owner" else f"leadpipe_{login}"
        return f"postgresql://{user}:{passwords[login]}@127.0.0.1/leadpipe"

    root.run("pg_ctlcluster", "15", "main", "start", alone=True)
    psql(f"create role leadpipe login createrole password '{passwords['owner']}'", "create database leadpipe owner leadpipe")
    root.run("leadpipe", "migrate", alone=True, DATABASE_URL=url("owner"))
    psql(*(f"alter role leadpipe_{login} password '{passwords[login]}'" for login in ("intake", "admin", "worker")))

    channels = {"SLACK_WEBHOOK_URL": "http://127.0.0.1:4001/services/T0/B0/sink", "TELEGRAM_API_URL": "http://127.0.0.1:4001",
                "TELEGRAM_BOT_TOKEN": "1:sink", "TELEGRAM_CHAT_ID": "-1001", "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": "4002",
                "EMAIL_FROM": "leads@example.com", "EMAIL_TO": "agents@example.com"}
    site = {"FRONTEND_URL": "https://www.example.com"}
    set_settings(root.folder / "etc/leadpipe/gateway.env", {
        "DATABASE_URL_INTAKE": url("intake"), "DATABASE_URL_ADMIN": url("admin"), "ADMIN_API_KEY": secrets.token_hex(32),
        "FORM_TOKEN_SECRET": secrets.token_hex(32), **site})
    set_settings(root.folder / "etc/leadpipe/worker.env", {"DATABASE_URL_WORKER": url("worker"), **channels, **site})

    def in_settings(command, **more):
        return root.run("sh", "-c", f"set -a; . /etc/leadpipe/gateway.env; . /etc/leadpipe/worker.env; {command}", check=False, alone=True, **more)

    def check(**more):
        """The ids of the items that passed and of those that were not examined. None fails."""
        done = in_settings("leadpipe check --json", **more)
        items = [json.loads(line) for line in done.stdout.splitlines()]
        named = {result: {item["id"] for item in items if item["result"] == result} for result in ("passed", "failed", "skipped")}
        story = [(item["id"], item["evidence"]) for item in items if item["result"] != "passed"], done.stderr, [output() for output in outputs]
        assert done.returncode == 0 and not named["failed"], story
        return named["passed"], named["skipped"]

    with ExitStack() as services:
        services.enter_context(root.running(["leadpipe", "sink", "--file", "/tmp/sink.ndjson"], alone=True))
        checked = in_settings("leadpipe gateway --check --database")
        assert checked.returncode == 0, checked.stderr
        outputs = [services.enter_context(Service(root, name).run())[1] for name in ("worker", "gateway")]
        until(lambda: root.run("curl", "-fsS", "http://127.0.0.1:4000/health", check=False, alone=True).returncode == 0, 30, "/health")
        started = time.monotonic()
        passed, skipped = check(DATABASE_URL=url("owner"))
        seconds = time.monotonic() - started
        print(f"\nfrom an empty PostgreSQL to running services {started - began:.1f} s; leadpipe check {seconds:.1f} s: {len(passed)} items "
              f"passed, not examined: {sorted(skipped) or 'none'}")
        assert skipped == set()
        assert "[test] Leadpipe check" in (root.folder / "tmp/sink.ndjson").read_text()
        # With the services' own logins, which may not read tables, the test lead still takes its whole way.
        assert {name for name in check()[1] if not name.startswith("monitoring.")} == {"before.migrations"}
    root.run("pg_ctlcluster", "15", "main", "stop", alone=True)


def test_an_upgrade_keeps_the_settings(root):
    settings = root.folder / "etc/leadpipe/worker.env"
    settings.write_text("SLACK_WEBHOOK_URL=https://hooks.slack.com/services/T/B/x\n")
    done = root.run("sh", "-c", "dpkg --install --force-confold /tmp/leadpipe_*.deb")
    assert "systemctl restart" in done.stdout and settings.read_text().startswith("SLACK")
    assert settings.stat().st_mode & 0o777 == 0o600


def test_the_image_s_last_stage_serves(root, tmp_path):
    """The packages of the Containerfile are there or not needed; its files are copied, and its command runs as its user."""
    text = (REPO / "deploy/container/Containerfile").read_text()
    place = root.folder / "opt" / "image"
    for words in re.findall(r"^COPY (?!--from|\. )(?:--\S+ )?(.*)$", text, re.MULTILINE):
        *sources, to = words.split()
        for source in sources:
            (root.folder / to.lstrip("/")).mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / source, root.folder / to.lstrip("/"))
    user = re.search(r"^USER (\d+):(\d+)$", text, re.MULTILINE)
    settings = dict(word.split("=", 1) for word in re.search(r"^ENV (.*)$", text, re.MULTILINE)[1].split())
    entry, command = (json.loads(re.search(rf"^{word} (.*)$", text, re.MULTILINE)[1]) for word in ("ENTRYPOINT", "CMD"))
    port = free_port()
    drop = ["setpriv", f"--reuid={user[1]}", f"--regid={user[2]}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    settings |= {"PORT": str(port), "LEADPIPE_HOST": "127.0.0.1", "LEADPIPE_OPERATIONS": f"127.0.0.1:{free_port()}",
                 "DATABASE_URL_INTAKE": "postgresql://x@127.0.0.1:1/x", "DATABASE_URL_ADMIN": "postgresql://x@127.0.0.1:1/x"}
    assert not place.exists()
    with root.running([*drop, *entry, *command], **settings) as (process, output):
        until(lambda: "Gateway listening" in output() or process.poll() is not None, 30, "the gateway")
        assert process.poll() is None, output()
        assert reply(port, "/api/openapi.json")[0] == 200
        probe = root.run("/opt/leadpipe/probe", "ready", LEADPIPE_OPERATIONS=settings["LEADPIPE_OPERATIONS"], check=False)
        assert probe.returncode == 0


def test_the_package_goes(root):
    root.run("dpkg", "--remove", "leadpipe")
    assert (root.folder / "etc/leadpipe/worker.env").exists() and not (root.folder / "opt/leadpipe/bin/leadpipe").exists()
    root.run("dpkg", "--purge", "leadpipe")
    assert not (root.folder / "etc/leadpipe").exists()
    assert root.run("id", "leadpipe-gateway", check=False).returncode != 0
    assert (BIN / "leadpipe").exists()
