"""The Debian package in a fresh Debian root without a toolchain: it installs, `leadpipe migrate` and `leadpipe up` work
there, it upgrades, and it goes. And the last stage of the image, whose steps are run in such a root: nothing is built
there. Needs root, and Debian's packages by apt."""

import contextlib
import json
import re
import shutil
import signal
import subprocess
import time
import urllib.request

import pytest

from common import BIN, REPO, clean_environment, free_port, is_root, until

pytestmark = [pytest.mark.skipif(not is_root(), reason="a Debian root is made and entered by root"), pytest.mark.seconds(1800)]
# Mounts that the programs need. They are seen in the root only.
ENTER = """mount --make-rprivate / && mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@" """
PACKAGES = ["postgresql", "pgbouncer", "adduser", "ca-certificates", "tzdata", "curl"]


def debian(folder, packages):
    """A Debian 12 root with these packages."""
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}", "bookworm", str(folder)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]


def words_in(root, words, user=()):
    return ["unshare", "-m", "/bin/sh", "-c", ENTER, str(root), *user, *words]


def run_in(root, *words, seconds=300, check=True, **environment):
    settings = clean_environment(DEBIAN_FRONTEND="noninteractive", **environment)
    done = subprocess.run(words_in(root, words), env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
    assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
    return done


@contextlib.contextmanager
def running(root, words, user=(), **environment):
    """Runs a program in the root until the block ends. Its output so far is `output()`."""
    log = (root / "tmp" / "log").open("w+")
    process = subprocess.Popen(words_in(root, words, user), env=clean_environment(**environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process, lambda: (root / "tmp" / "log").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(40)
        process.kill()
        log.close()


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
    folder = tmp_path_factory.mktemp("debian") / "root"
    debian(folder, PACKAGES)
    for parent in folder.parents:
        if parent.is_relative_to("/tmp") and parent.name != "tmp":
            parent.chmod(0o755)
    shutil.copy(package, folder / "tmp" / "leadpipe.deb")
    began = time.monotonic()
    run_in(folder, "dpkg", "--install", "/tmp/leadpipe.deb")
    print(f"installed in {time.monotonic() - began:.1f} s")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_the_package_is_installed_whole(root):
    assert run_in(root, "leadpipe", "--version").stdout == "0.1.0\n"
    assert run_in(root, "dpkg", "--verify", "leadpipe").stdout == ""
    assert run_in(root, "dpkg-query", "-W", "-f", "${Status}", "leadpipe").stdout == "install ok installed"
    for service in ("gateway", "worker"):
        assert run_in(root, "id", "-gn", f"leadpipe-{service}").stdout == "leadpipe\n"
    assert run_in(root, "stat", "-c", "%a %U", "/etc/leadpipe/gateway.env").stdout == "600 root\n"
    # No compiler, and no library of the build machine's.
    assert run_in(root, "sh", "-c", "command -v swift cc gcc clang", check=False).returncode != 0
    # dpkg keeps the handlers hard links.
    assert int(run_in(root, "du", "-sm", "/opt/leadpipe").stdout.split()[0]) < 200


def test_leadpipe_up_works_in_the_fresh_root(root):
    port = free_port()
    began = time.monotonic()
    with running(root, ["leadpipe", "up"], PORT=str(port), LEADPIPE_STATE="/var/lib/leadpipe/state", HOME="/root") as (process, output):
        until(lambda: re.search(r"^ready ", output(), re.MULTILINE) or process.poll() is not None, 120, "ready")
        assert process.poll() is None, output()
        print(f"ready in {time.monotonic() - began:.1f} s")
        status, lead = reply(port, "/api/chatbot/leads", {"customerName": "Test User", "customerPhone": "+971501234567", "intent": "buy"})
        assert status == 201 and lead["id"]
        assert reply(port, "/health")[1]["database"] == "ok"
        until(lambda: (root / "var/lib/leadpipe/state/sink.ndjson").exists() and "Test User" in (root / "var/lib/leadpipe/state/sink.ndjson").read_text(), 30,
              "the notification")
        migrate = run_in(root, "sh", "-c", ". /var/lib/leadpipe/state/env; exec leadpipe migrate")
        assert migrate.stdout == "nothing to migrate\n"


def test_an_upgrade_keeps_the_settings(root):
    settings = root / "etc/leadpipe/worker.env"
    settings.write_text("SLACK_WEBHOOK_URL=https://hooks.slack.com/services/T/B/x\n")
    done = run_in(root, "dpkg", "--install", "--force-confold", "/tmp/leadpipe.deb")
    assert "systemctl restart" in done.stdout and settings.read_text().startswith("SLACK")
    assert settings.stat().st_mode & 0o777 == 0o600


def test_the_image_s_last_stage_serves(root, tmp_path):
    """The packages of the Containerfile are there or not needed; its files are copied, and its command runs as its user."""
    text = (REPO / "deploy/container/Containerfile").read_text()
    place = root / "opt" / "image"
    for words in re.findall(r"^COPY (?!--from|\. )(?:--\S+ )?(.*)$", text, re.MULTILINE):
        *sources, to = words.split()
        for source in sources:
            (root / to.lstrip("/")).mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / source, root / to.lstrip("/"))
    user = re.search(r"^USER (\d+):(\d+)$", text, re.MULTILINE)
    settings = dict(word.split("=", 1) for word in re.search(r"^ENV (.*)$", text, re.MULTILINE)[1].split())
    entry, command = (json.loads(re.search(rf"^{word} (.*)$", text, re.MULTILINE)[1]) for word in ("ENTRYPOINT", "CMD"))
    port = free_port()
    drop = ["setpriv", f"--reuid={user[1]}", f"--regid={user[2]}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    settings |= {"PORT": str(port), "LEADPIPE_HOST": "127.0.0.1", "LEADPIPE_OPERATIONS": f"127.0.0.1:{free_port()}",
                 "DATABASE_URL_INTAKE": "postgresql://x@127.0.0.1:1/x", "DATABASE_URL_ADMIN": "postgresql://x@127.0.0.1:1/x"}
    assert not place.exists()
    with running(root, [*entry, *command], user=drop, **settings) as (process, output):
        until(lambda: "Gateway listening" in output() or process.poll() is not None, 30, "the gateway")
        assert process.poll() is None, output()
        assert reply(port, "/api/openapi.json")[0] == 200
        probe = run_in(root, "/opt/leadpipe/probe", "ready", LEADPIPE_OPERATIONS=settings["LEADPIPE_OPERATIONS"], check=False)
        assert probe.returncode == 0


def test_the_package_goes(root):
    run_in(root, "dpkg", "--remove", "leadpipe")
    assert (root / "etc/leadpipe/worker.env").exists() and not (root / "opt/leadpipe/bin/leadpipe").exists()
    run_in(root, "dpkg", "--purge", "leadpipe")
    assert not (root / "etc/leadpipe").exists()
    assert run_in(root, "id", "leadpipe-gateway", check=False).returncode != 0
    assert (BIN / "leadpipe").exists()
