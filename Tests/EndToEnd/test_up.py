"""`leadpipe up`: start, stop, settings, and what happens when a process dies."""

import contextlib
import json
import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster import Cluster, Database, leadpipe
from common import HANDLERS, TEST_USER, free_port, is_root, until
from instance import Instance


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_running(pid):
    """True if the process runs. Zombies do not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_stops_in_order_and_keeps_the_data_for_the_next_start(number, providers):
    with Instance(**providers.settings) as instance:
        assert instance.state.joinpath("lock").exists() and instance.cluster_home.is_dir()
        assert f"ready     http://127.0.0.1:{instance.port}" in instance.out
        block = instance.out[:]
        assert all(re.match(r"[a-z ]{9} \S|         ", line) for line in block), "one aligned block"
        lead = instance.capture(TEST_USER)
        until(lambda: instance.database.count("lead_events", "event_type = 'lead.created' and processed"), 15, "the delivery")
        postmaster = int((instance.cluster_home / "data" / "postmaster.pid").read_text().split()[0])

        assert instance.stop(number) == 0
        stages = [line.split()[0] for line in instance.out]
        assert stages[-2:] == ["stopping", "stopped"]
        assert stages.index("database") < stages.index("migrate") < stages.index("gateway") < stages.index("worker") < stages.index("ready")
        assert "Notification worker stopped" in instance.log
        assert "[WARN]" not in instance.log, "a normal stop"
        assert "Killed" not in instance.log
        assert not is_listening(instance.port) and not instance.processes() and not is_running(postmaster)
        assert instance.stopped_in < 10

        began = time.monotonic()
        instance.start()
        assert time.monotonic() - began < 10
        assert "nothing to do" in instance.wait_out("migrate")
        assert instance.database.count("conversations", f"id = '{lead}'") == 1
        assert instance.http("/health")[0] == 200
        # Nothing from the first run is sent again.
        assert len(providers.of("slack")) == 1


SLOW = """#!/bin/sh
if [ "$1" = --describe ]; then
  echo '{"name":"slow","kind":"endpoint","summary":"s","routes":[{"method":"GET","path":"/slow"}],"access":"public","bodyLimit":0,"timeLimitMs":9000}'
  exit
fi
cat > /dev/null; sleep 3; echo '{"statusCode":200}'
"""


def test_gateway_and_worker_stop_at_the_same_time(database, providers, tmp_path):
    """The worker ends while the gateway still answers a slow request."""
    for path in HANDLERS.glob("[!.]*"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "slow").write_text(SLOW)
    (tmp_path / "slow").chmod(0o755)
    with Instance(DATABASE_URL=database.url, LEADPIPE_HANDLERS=str(tmp_path), **providers.settings) as instance:
        instance.wait_log("[INFO] Notification worker started")
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(instance.http, "/slow")
            until(lambda: instance.processes("sleep 3"), 5, "the slow request")
            assert instance.stop() == 0
            assert slow.result()[0] == 200
        log = instance.log
        assert log.index("Notification worker stopped") < log.index("GET /slow 200") < log.index("Gateway stopped")


def test_admin_key_is_private_and_the_state_folder_is_locked(providers):
    with Instance(**providers.settings) as instance:
        key = instance.state / "admin-key"
        assert key.stat().st_mode & 0o777 == 0o600 and len(key.read_text().strip()) >= 32
        assert key.read_text().strip() not in "\n".join(instance.out) + instance.log
        second = leadpipe("up", PORT=str(free_port()), LEADPIPE_STATE=str(instance.state), seconds=20)
        assert second.returncode != 0 and "in use" in second.stderr + second.stdout
        assert instance.http("/health")[0] == 200


def test_killing_it_ends_all_services_and_the_next_start_works(providers):
    with Instance(**providers.settings) as instance:
        lead = instance.capture(TEST_USER)
        # The threads with which the services have started must have ended: a signal at the parent's end belongs to one.
        time.sleep(12)
        instance.process.kill()
        instance.process.wait(10)
        until(lambda: not instance.processes(), 15, "the services to end")
        until(lambda: not is_listening(instance.port), 5, "the port to be free")
        instance.start()
        assert instance.database.count("conversations", f"id = '{lead}'") == 1
        instance.capture({**TEST_USER, "customerName": "After The Kill"})


def test_uses_port_and_database_url(database, providers):
    port = free_port()
    with Instance(port=port, DATABASE_URL=database.url, **providers.settings) as instance:
        assert is_listening(port)
        instance.capture(TEST_USER)
        assert database.count("conversations") == 1
        assert not instance.cluster_home.exists()
        assert instance.http("/health")[2]["port"] == port


def test_reports_a_port_in_use(database, providers):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        instance = Instance(port=port, DATABASE_URL=database.url, **providers.settings)
        try:
            instance.start(ready=False)
            until(lambda: instance.process.poll() is not None or any(line.startswith("ready") for line in instance.out), 25, "its end")
            assert not any(line.startswith("ready") for line in instance.out)
            assert instance.process.wait(10) != 0
            assert str(port) in instance.log
            assert not instance.processes()
        finally:
            instance.__exit__()


def test_queued_events_are_delivered_by_a_later_worker(database, providers):
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", **providers.settings) as instance:
        instance.wait_out("worker    not started")
        instance.capture(TEST_USER)
        instance.capture({**TEST_USER, "customerName": "Second User"})
        assert database.text("SELECT count(*) FROM lead_events WHERE processed = FALSE") == "2"
        assert not instance.processes("leadpipe worker")
        assert database.count("notification_logs") == 0 and not providers.received

        worker = Instance(command=("worker",), DATABASE_URL=database.url, **providers.settings)
        try:
            worker.start(ready=False)
            until(lambda: database.text("SELECT count(*) FROM lead_events WHERE processed = FALSE") == "0", 20, "the deliveries")
            assert worker.log.count("[INFO] Notification worker started") == 1
            assert worker.stop() == 0
        finally:
            worker.__exit__()
    assert len(providers.of("slack")) == len(providers.of("telegram")) == 2


def test_restarts_a_killed_worker(database, providers):
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **providers.settings) as instance:
        instance.wait_log("[INFO] Notification worker started")
        worker, = instance.processes("leadpipe worker")
        os.kill(worker, signal.SIGKILL)
        instance.wait_log("[ERROR] A service ended service=worker how=signal 9", 10)
        instance.capture(TEST_USER)
        until(lambda: providers.of("slack") and providers.of("telegram"), 20, "the delivery by the new worker")
        again, = instance.processes("leadpipe worker")
        assert again != worker
        assert instance.log.count("[INFO] Notification worker started") == 2


def test_worker_killed_while_sending_leaves_an_unknown_outcome_and_a_repeat(database, providers):
    providers.answers["slack"] = "hang"
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1",
                  SLACK_WEBHOOK_URL=providers.settings["SLACK_WEBHOOK_URL"]) as instance:
        instance.capture(TEST_USER)
        until(lambda: providers.of("slack"), 15, "the request")
        worker, = instance.processes("leadpipe worker")
        for pid in (worker, *instance.processes("notify-slack")):
            os.kill(pid, signal.SIGKILL)
        del providers.answers["slack"]
        database.text("update notification_logs set lease_until = now()")  # the lease of 30 s has expired
        until(lambda: database.count("notification_logs", "status = 'sent'"), 30, "the repeat")
        classes = database.text("select string_agg(class, ',' order by attempt) from notification_attempts")
        assert classes == "unknown,delivered"
        assert database.text("select retry_count from notification_logs") == "2"


def test_restarts_a_killed_gateway(database, providers):
    with Instance(DATABASE_URL=database.url, **providers.settings) as instance:
        gateway, = instance.processes("bin/gateway") or instance.processes("/gateway")
        os.kill(gateway, signal.SIGKILL)
        instance.wait_log("[ERROR] A service ended service=gateway how=signal 9", 10)

        def answers():
            try:
                return instance.http("/health")[0] == 200
            except OSError:
                return False
        until(answers, 15, "the new gateway")


@pytest.mark.parametrize("settings, said", [
    ({"FEATURE_WHATSAPP_ENABLED": "true"}, ["FEATURE_WHATSAPP_ENABLED"]),
    ({"FEATURE_CRM_ENABLED": "true", "FEATURE_SMS_ENABLED": "yes"}, ["FEATURE_CRM_ENABLED", "FEATURE_SMS_ENABLED"]),
    ({"PORT": "+80", "WORKER_POLL_SECONDS": "0", "LOG_LEVEL": "loud"}, ["PORT", "WORKER_POLL_SECONDS", "LOG_LEVEL"]),
    ({"SUPABASE_URL": "https://x.supabase.co"}, ["DATABASE_URL", "SUPABASE_URL"]),
    ({"SLACK_WEBHOOK_URL": "http://hooks.example.com/x"}, ["SLACK_WEBHOOK_URL"]),
    ({"ENABLE_NOTIFICATION_WORKER": "maybe"}, ["ENABLE_NOTIFICATION_WORKER"]),
    ({"RATE_LIMIT_LEAD": "ten", "RATE_LIMIT_STORE": "database", "TRUSTED_PROXIES": "10.0.0.1/8", "ALLOWED_ORIGINS": "https://Example.com"},
     ["RATE_LIMIT_LEAD", "RATE_LIMIT_STORE", "TRUSTED_PROXIES", "ALLOWED_ORIGINS"]),
    ({"FRONTEND_URL": "example.com"}, ["FRONTEND_URL"]), ({"WAKE": "shout"}, ["WAKE"]),
    ({"EMAIL_HOST": "smtp.example.com"}, ["EMAIL_HOST", "EMAIL_FROM"]),
    ({"RESEND_API_KEY": "re_secret", "EMAIL_HOST": "smtp.example.com", "EMAIL_FROM": "a@example.com"}, ["RESEND_API_KEY", "EMAIL_HOST"]),
    ({"RESEND_API_URL": "https://resend.example.com"}, ["RESEND_API_URL", "RESEND_API_KEY"]),
    ({"TELEGRAM_BOT_TOKEN": "1:secret-token", "EMAIL_TO": "agents@example.com"}, ["TELEGRAM_CHAT_ID", "EMAIL_HOST"]),
    ({"PORT": "65535", "LEADPIPE_CONCURRENCY": "0", "LEADPIPE_HANDLERS": "/nowhere", "FRONTEND_URL": "javascript:1",
      "LEADPIPE_LISTEN": "unix:/x", "LEADPIPE_HOST": "localhost", "DELIVERY_LEASE_SECONDS": "5"},
     ["PORT", "LEADPIPE_CONCURRENCY", "LEADPIPE_HANDLERS", "FRONTEND_URL", "LEADPIPE_LISTEN", "LEADPIPE_HOST", "DELIVERY_LEASE_SECONDS"]),
    ({"LEADPIPE_CHANNELS": '[{"channel":"pigeon","recipient":"x"}]'}, ["LEADPIPE_CHANNELS"]),
], ids=lambda value: "-".join(value) if isinstance(value, (dict, list)) else None)
def test_reports_all_invalid_settings(settings, said, tmp_path):
    done = leadpipe("up", seconds=20, **{"LEADPIPE_STATE": str(tmp_path / "s"), "PORT": str(free_port()), **settings})
    assert done.returncode == 78
    assert all(name in done.stderr for name in said), done.stderr
    assert not (tmp_path / "s" / "postgres").exists()
    for value in settings.values():
        if len(value) > 6:
            assert value not in done.stderr, "the value may be a secret"


def refused_start(tmp_path, **settings):
    """The error lines of an `up` that must not become ready, and its exit status."""
    done = leadpipe("up", seconds=40, **{"LEADPIPE_STATE": str(tmp_path / "s"), "PORT": str(free_port()), **settings})
    assert done.returncode != 0 and "ready" not in done.stdout, done.stdout
    return done.stderr, done.returncode


def test_tests_each_login_before_it_is_ready(cluster, database, tmp_path):
    """A login without the rights of its class would make every request a 503. The line has the statement that helps."""
    database.run("drop role if exists weak; create role weak login")
    weak = cluster.url(database.name, "weak")
    try:
        errors, status = refused_start(tmp_path, DATABASE_URL=database.url, DATABASE_URL_INTAKE=weak, DATABASE_URL_ADMIN=weak)
        assert status == 78
        for trust in ("intake", "admin"):
            assert f'weak, the login in DATABASE_URL_{trust.upper()}, lacks the rights of class {trust}; run as a superuser or the role\'s owner: ' \
                f'GRANT leadpipe_{trust} TO "weak";' in errors.splitlines()
        assert "DATABASE_URL_WORKER" not in errors and "leadpipe_worker" not in errors
        database.run("grant leadpipe_intake, leadpipe_admin to weak")
        with Instance(DATABASE_URL=database.url, DATABASE_URL_INTAKE=weak, DATABASE_URL_ADMIN=weak) as instance:
            instance.capture(TEST_USER)
    finally:
        database.run("drop role weak")


def test_names_a_login_that_cannot_connect(cluster, database, tmp_path):
    errors, status = refused_start(tmp_path, DATABASE_URL=database.url, DATABASE_URL_WORKER=cluster.url(database.name, "nobody_here"))
    assert status == 78 and 'DATABASE_URL_WORKER: role "nobody_here" does not exist' in errors


def test_names_a_missing_database_and_a_missing_right(tmp_path):
    class Bare(Cluster):
        def prepare(self):
            self.database("postgres").run("create role poor login; create database poor owner poor")
    bare = Bare()
    try:
        errors, _ = refused_start(tmp_path / "1", DATABASE_URL=bare.url("nowhere"))
        assert 'database "nowhere" does not exist (connection to server' in errors and "create it, or correct DATABASE_URL" in errors
        errors, _ = refused_start(tmp_path / "2", DATABASE_URL=bare.url("poor", "poor"))
        assert 'permission denied to create role); run as a superuser: ALTER ROLE "poor" CREATEROLE;' in errors
        # Each statement that is printed helps, also for names that must be quoted.
        bare.database("postgres").run('create role "we-ird""N" login createrole; create database "my-db"')
        url = bare.url("my-db", "we-ird%22N")
        for _ in range(4):
            done = leadpipe("migrate", seconds=40, DATABASE_URL=url)
            statements = re.findall(r"(?:GRANT|ALTER) .*;$", done.stderr, re.M)
            if not statements:
                break
            bare.database("my-db").run("".join(statements))
        assert done.returncode == 0, done.stderr
    finally:
        bare.close()


def test_says_why_a_state_folder_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    errors, _ = refused_start(tmp_path, LEADPIPE_STATE=str(tmp_path / "file" / "state"))
    assert f"cannot create the state folder {tmp_path}/file/state: {tmp_path}/file is not a folder; set LEADPIPE_STATE" in errors
    (tmp_path / "taken" / "lock").mkdir(parents=True)
    errors, _ = refused_start(tmp_path, LEADPIPE_STATE=str(tmp_path / "taken"))
    assert f"cannot write to the state folder {tmp_path}/taken: Is a directory; set LEADPIPE_STATE" in errors


def test_a_folder_of_another_program_does_not_become_a_state_folder(tmp_path):
    home = tmp_path / "home"
    (home / "lock").mkdir(parents=True)
    (home / "notes.txt").write_text("mine")
    home.chmod(0o755)
    errors, _ = refused_start(tmp_path, LEADPIPE_STATE=str(home))
    assert errors == f"Error: the state folder {home} is used by something else: it contains notes.txt; set LEADPIPE_STATE to an empty or a new folder\n"
    assert home.stat().st_mode & 0o777 == 0o755 and sorted(each.name for each in home.iterdir()) == ["lock", "notes.txt"]


def test_a_port_in_use_is_the_only_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = leadpipe("up", seconds=20, LEADPIPE_STATE=str(tmp_path / "s"), PORT=str(port))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"Error: port {port} is in use; set PORT to another\n")


@pytest.mark.skipif(not is_root(), reason="only root runs the database as another user")
def test_names_the_user_whose_database_is_in_the_state_folder(tmp_path):
    for parent in (tmp_path, *tmp_path.parents[:-2]):
        parent.chmod(0o755)
    (tmp_path / "s" / "postgres" / "data").mkdir(parents=True)
    errors, _ = refused_start(tmp_path)
    assert errors.startswith("Error: the database in ") and " belongs to the user root, but would run as postgres; run " in errors


@pytest.mark.skipif(not is_root(), reason="only root can become nobody")
def test_a_state_folder_of_another_user_is_refused_by_name(tmp_path):
    import subprocess

    from common import BIN, clean_environment
    for parent in (tmp_path, *tmp_path.parents[:-2]):
        parent.chmod(0o755)
    (tmp_path / "own").mkdir()
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    if subprocess.run([*as_nobody, "test", "-x", BIN / "leadpipe"], cwd="/").returncode:
        pytest.skip("nobody cannot run the program in this folder")
    said = {}
    for name in ("own", "own/new"):
        done = subprocess.run(
            [*as_nobody, BIN / "leadpipe", "up"], cwd="/", capture_output=True, text=True,
            env=clean_environment(LEADPIPE_STATE=str(tmp_path / name), PORT=str(free_port())), timeout=30)
        said[name] = done.stderr
    assert f"the state folder {tmp_path}/own belongs to the user root; set LEADPIPE_STATE" in said["own"]
    assert f"cannot create the state folder {tmp_path}/own/new: {tmp_path}/own: Permission denied; set LEADPIPE_STATE" in said["own/new"]


def test_warns_about_variables_that_resemble_settings(database, providers):
    wrong = {"SLACK_WEBHOK_URL": "https://hooks.example.com/secret", "EMAIL_PASSWORD": "secret", "LEADPIPE_STAET": "/x", "TIMEZONE": "UTC",
             "TELEGRAM_TOKEN": "secret", "ADMIN_KEY": "secret", "SLACK_URL": "secret",
             "LEADPIPE_PORT": "tcp://10.0.0.1:80", "LEADPIPE_COLOUR": "blue", "LEADPIPE_SERVICE_HOST": "10.0.0.1", "EDITOR": "vi"}
    with Instance(DATABASE_URL=database.url, **providers.settings, **wrong) as instance:
        instance.wait_log("[INFO] Notification worker started")
        for name, meant in (("SLACK_WEBHOK_URL", "SLACK_WEBHOOK_URL"), ("EMAIL_PASSWORD", "EMAIL_PASS"), ("LEADPIPE_STAET", "LEADPIPE_STATE"),
                            ("TIMEZONE", "TIME_ZONE"), ("TELEGRAM_TOKEN", "TELEGRAM_BOT_TOKEN"), ("ADMIN_KEY", "ADMIN_API_KEY"),
                            ("SLACK_URL", "SLACK_WEBHOOK_URL")):
            assert instance.log.count(f"[WARN] {name} is not a setting and has no effect; did you mean {meant}?") == 1
        assert "[WARN] LEADPIPE_COLOUR is not a setting and has no effect; docs/reference/settings.md lists all settings" in instance.log
        assert not any(text in instance.log for text in ("LEADPIPE_SERVICE_HOST", "LEADPIPE_PORT", "EDITOR", "hooks.example.com/secret"))


@pytest.mark.parametrize("settings, handlers, said", [
    ({"LEADPIPE_PROCESS": "stream,nobody=oneshot"}, None, "nobody"),
    ({}, ["health-check", "lead-capture"], "event-claim"),
    ({}, ["health-check", "broken"], "broken --describe failed: no such thing"),
], ids=["mode-of-an-unknown-handler", "no-steps", "broken-handler"])
def test_reports_errors_of_gateway_and_worker_before_the_database_starts(settings, handlers, said, tmp_path):
    if handlers:
        settings["LEADPIPE_HANDLERS"] = str(tmp_path / "handlers")
        (tmp_path / "handlers").mkdir()
        (tmp_path / "handlers" / "broken").write_text("#!/bin/sh\necho no such thing >&2; exit 1")
        for name in handlers:
            if (HANDLERS / name).exists():
                (tmp_path / "handlers" / name).symlink_to(HANDLERS / name)
            else:
                (tmp_path / "handlers" / name).chmod(0o755)
    done = leadpipe("up", seconds=30, LEADPIPE_STATE=str(tmp_path / "s"), PORT=str(free_port()), **settings)
    assert done.returncode == 78 and said in done.stderr, done.stderr
    assert "database" not in done.stdout and not (tmp_path / "s" / "postgres").exists()


@pytest.mark.parametrize("port", ["abc", "0", "65535", "-1"])
def test_invalid_port_is_reported_in_one_sentence(port, tmp_path):
    done = leadpipe("up", seconds=20, LEADPIPE_STATE=str(tmp_path / "s"), PORT=port)
    assert done.returncode == 78 and done.stderr == "PORT must be a whole number from 1 to 65000\n"


def test_check_reports_errors_and_starts_nothing(database):
    for part in ("gateway", "worker"):
        settings = {"DATABASE_URL": database.url, "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/x"}
        done = leadpipe(part, "--check", **settings)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert leadpipe(part, "--check", **settings, LOG_FORMAT="xml").returncode == 78


def test_sink_receives_notifications_without_channels():
    with Instance() as instance:
        where = instance.wait_out("received")
        file = instance.state / "sink.ndjson"
        assert str(file) in where
        instance.capture(TEST_USER)

        def arrived():
            text = file.read_text() if file.exists() else ""
            found = [json.loads(line) for line in text.splitlines()]
            return len(found) >= 3 and found
        messages = until(arrived, 60, "three messages in the sink")
        assert len(messages) == 3
        assert all("Test User" in json.dumps(message, ensure_ascii=False) for message in messages)
        until(lambda: instance.database.count("lead_events", "event_type = 'lead.created' and processed"), 10, "the event to close")
        statuses = instance.database.text("select string_agg(channel || ':' || status, ',' order by channel::text) from notification_logs")
        assert statuses == "email:sent,slack:sent,telegram:sent"


def test_sink_takes_no_port_that_another_program_holds(database):
    """Also if nobody listens on it: the local port of a connection to another program can be the next one."""
    with contextlib.ExitStack() as stack:
        while True:
            port, held = free_port(), stack.enter_context(socket.socket())
            # Another program may hold the next port too, and listen on it.
            with contextlib.suppress(OSError):
                held.bind(("127.0.0.1", port + 1))
                break
        with Instance(port=port, DATABASE_URL=database.url) as instance:
            assert f":{port + 1} " not in instance.wait_out("received")
            instance.capture(TEST_USER)
            until(lambda: database.count("notification_logs", "status = 'sent'") == 3, 20, "the notifications")


@pytest.mark.skipif(not is_root(), reason="only root can become nobody")
def test_other_user_cannot_reach_the_private_database(providers):
    import subprocess

    from common import clean_environment
    with Instance(**providers.settings) as instance:
        done = subprocess.run(
            ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "psql", "-X", instance.database.url, "-c", "select 1"],
            env=clean_environment(), cwd="/", capture_output=True, text=True, timeout=20)
        assert done.returncode != 0
        # The handlers' logins keep their rights: intake cannot read a lead.
        intake = Database(instance.database.url.replace("leadpipe@", "leadpipe_intake@"))
        assert "permission denied" in intake.psql("select * from conversations", check=False).stderr
