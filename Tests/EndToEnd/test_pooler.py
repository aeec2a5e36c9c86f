"""A pooler between the services and PostgreSQL: one of the operator's, as with Supabase, and the one of `leadpipe up`."""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

import handlers
from cluster import Cluster, Database, Session, leadpipe
from common import TEST_USER, free_port, until
from instance import Instance
from pooler import pooler

# ── A pooler of the operator ──


def test_pooler_without_startup_options_is_detected(pooled, database):
    names = ["O'Hara $1 \\ 'x'; drop table conversations; --", "سارة $$ 😀"]
    lines = [{**TEST_USER, "customerName": name} for name in names]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = handlers.run("lead-capture", text, "--stream", DATABASE_URL=pooled, LEADPIPE_ROLE="leadpipe_intake", LOG_LEVEL="info")
    assert done.returncode == 0, done.stderr
    assert [line["conversation"]["customerName"] for line in handlers.lines(done.stdout)] == names
    assert sorted(row["customer_name"] for row in database.rows("select customer_name from conversations")) == sorted(names)
    assert done.stderr.decode().count("[INFO] The pooler rejects start-up options") == 1


def test_pooler_that_drops_startup_options_is_detected(dropping, database):
    """The first call finds it out, and has its time limits already."""
    with Session(database.url) as other:
        other.text("begin; lock table conversations in access exclusive mode; select 1")
        began = time.monotonic()
        done = handlers.run("lead-capture", TEST_USER, DATABASE_URL=dropping, LOG_LEVEL="info")
        assert 0.9 < time.monotonic() - began < 4, "a lock's time limit is 1 s"
    assert json.loads(done.stdout)["problem"]["code"] == "database_busy", done
    assert done.stderr.decode().count("[INFO] The pooler drops start-up options") == 1
    text = "".join(json.dumps({**TEST_USER, "customerName": name}) + "\n" for name in ("One", "Two"))
    done = handlers.run("lead-capture", text, "--stream", DATABASE_URL=dropping, LOG_LEVEL="info")
    assert (len(handlers.lines(done.stdout)), database.count("conversations")) == (2, 2)
    assert done.stderr.decode().count("start-up options") == 1


def test_direct_connection_is_not_taken_for_a_pooler(database):
    done = handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url, LOG_LEVEL="info")
    assert done.returncode == 0 and "pooler" not in done.stderr.decode()


def test_role_of_the_class_applies_behind_a_pooler(pooled):
    done = handlers.run("event-claim", {}, DATABASE_URL=pooled, LEADPIPE_ROLE="leadpipe_intake", LEADPIPE_CHANNELS="[]")
    assert done.returncode == 75
    assert "sqlstate=42501" in done.stderr.decode()
    done = handlers.run("event-claim", {}, DATABASE_URL=pooled, LEADPIPE_ROLE="leadpipe_worker", LEADPIPE_CHANNELS="[]")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["pooled", "dropping"])
def test_migrate_rejects_a_transaction_pooler(kind, database, request):
    url = request.getfixturevalue(kind)
    done = leadpipe("migrate", DATABASE_URL=url)
    assert done.returncode == 1
    assert "session connection" in done.stderr
    done = leadpipe("migrate", DATABASE_URL=url, DATABASE_URL_DIRECT=database.url)
    assert done.stdout == "nothing to migrate\n", done


@pytest.mark.parametrize("ignored", ["", "options"], ids=["rejects", "drops"])
def test_migrate_accepts_a_session_pooler(ignored, cluster):
    """As Supavisor's port 5432, which drops the options too. The session that is passed on keeps no limits."""
    database = cluster.empty()
    with pooler(cluster, database, "session", size=4, ignored=ignored) as url:
        done = leadpipe("migrate", DATABASE_URL=url)
        assert done.returncode == 0 and "applied" in done.stdout, done
        assert Database(url).text("show statement_timeout") == "0"
    cluster.drop(database)


def test_full_pool_answers_in_time(cluster, database):
    """pgbouncer's own limit is 120 s; the operator's is 2 s here."""
    with pooler(cluster, database, size=1, more="query_wait_timeout = 2") as url, Session(url) as other:
        other.text("begin; select 1")
        began = time.monotonic()
        done = handlers.run("lead-capture", TEST_USER, DATABASE_URL=url)
        assert time.monotonic() - began < 5
    assert (done.returncode, json.loads(done.stdout)["problem"]["code"]) == (75, "too_many_requests_waiting"), done
    assert "query_wait_timeout" in done.stderr.decode()


def test_live_stream_misses_nothing_behind_a_pooler(pooled, database):
    def answer(name, question, role="leadpipe_admin"):
        done = handlers.run(name, question, DATABASE_URL=pooled, LEADPIPE_ROLE=role)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()
    lead = json.loads(answer("lead-capture", TEST_USER, role="leadpipe_intake"))["id"]
    after = re.search(r"^id: (.*)$", answer("live-show", {}), re.M)[1]
    for _ in range(3):
        database.run(f"select public.emit_lead_event('lead.updated', '{lead}')")
        told = json.loads(answer("live-feed", {"after": after}))
        assert [json.loads(event["text"].partition("data: ")[2])["conversationId"] for event in told["events"]] == [lead]
        after = told["cursor"]


# ── The pooler of `leadpipe up` ──


def settings_of(instance):
    """The settings file that a shell can load."""
    lines = (instance.state / "env").read_text().splitlines()
    return dict(line.removeprefix("export ").replace("'", "").split("=", 1) for line in lines)


def bouncers(instance):
    return list(instance.processes("/usr/sbin/pgbouncer"))


def admin(instance, path):
    key = (instance.state / "admin-key").read_text().strip()
    return instance.http(path, headers={"Authorization": f"Bearer {key}"})


def pools(instance):
    """What pgbouncer says about its pools, by name."""
    names = ["database", "user", "cl_active", "cl_waiting", "cl_active_cancel", "cl_waiting_cancel", "sv_active", "sv_active_cancel",
             "sv_being_canceled", "sv_idle"]
    secret = re.search(r'"stats" "(\w+)"', (instance.state / "pooler" / "users").read_text())[1]
    url = f"postgresql://stats:{secret}@/pgbouncer?host={instance.state}/pooler&port=6432"
    rows = [line.split("|") for line in Database(url).text("show pools").splitlines()]
    return {row[0]: dict(zip(names, row, strict=False)) for row in rows}


def test_up_runs_a_pooler(providers):
    with Instance(WAKE="notify", **providers.settings) as instance:
        assert re.search(r"at most \d+ connections to the database, and 28 past it", instance.wait_out("pooler    pgbouncer"))
        instance.capture(TEST_USER)
        until(lambda: providers.of("slack"), 15, "the notification")
        instance.wait_log("[INFO] LISTEN works", 15)
        found = pools(instance)
        assert {name: row["user"] for name, row in found.items() if name != "pgbouncer"} == {
            "intake": "leadpipe_intake", "worker": "leadpipe_worker", "admin": "leadpipe_admin"}
        assert int(found["worker"]["cl_active"]) >= 1
        direct = instance.database.text("select count(*) from pg_stat_activity where usename <> 'leadpipe' and query like '%listen%'")
        assert direct == "1", "the session that listens is past the pooler"
        status, _, health = instance.http("/health")
        assert (status, health["pooler"]) == (200, "up"), health
        for path in ("/api/admin/conversations", "/api/admin/follow-ups"):
            assert admin(instance, path)[0] == 200
        found = pools(instance)
        assert [int(found[name]["cl_active"]) for name in ("intake", "admin")] == [0, 2], "only the processes of class admin"
        folder = instance.state / "pooler"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if path.name in ("pgbouncer.ini", "hba", "users")} == {
            "pgbouncer.ini": 0o600, "hba": 0o600, "users": 0o600}
        assert "[WARN]" not in instance.log
        pid, = bouncers(instance)
        users = (folder / "users").read_text()
        assert instance.stop() == 0
        assert not os.path.exists(f"/proc/{pid}")
        instance.start()
        assert (folder / "users").read_text() == users, "a shell with the settings of the last run can go on"
        pid, = bouncers(instance)
        instance.process.kill()
        until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "it to end with its parent")


def test_rights_hold_through_the_pooler(providers):
    with Instance(**providers.settings) as instance:
        urls = {name: settings_of(instance)[f"DATABASE_URL_{name.upper()}"] for name in ("intake", "worker", "admin")}
        for name, url in urls.items():
            assert Database(url).text("select session_user || ' ' || current_user") == f"leadpipe_{name} leadpipe_{name}"
        intake = Database(urls["intake"])
        for statement in ("select claim_deliveries('{}')", "set role leadpipe_worker", "set session authorization leadpipe",
                          "select count(*) from conversations"):
            done = intake.psql(statement, check=False)
            assert done.returncode != 0 and "permission denied" in done.stderr, done
        secret = re.search(r"://intake:(\w+)@", urls["intake"])[1]
        for url in (urls["intake"].replace("@/intake", "@/worker"), urls["worker"].replace("@/worker", "@/intake"),
                    re.sub(r"worker:\w+@", f"worker:{secret}@", urls["worker"]), urls["intake"].replace(secret, "x"),
                    urls["intake"].replace(f"intake:{secret}", "leadpipe"), urls["intake"].replace("@/intake", "@/pgbouncer"),
                    urls["intake"].replace(f"intake:{secret}@/intake", "postgres@/leadpipe")):
            done = Database(url).psql("select 1", check=False)
            assert done.returncode != 0 and "FATAL" in done.stderr, (url, done)
        done = handlers.run("event-claim", {}, DATABASE_URL=urls["intake"], LEADPIPE_CHANNELS="[]")
        assert (done.returncode, "sqlstate=42501" in done.stderr.decode()) == (75, True)


@pytest.mark.parametrize(("mode", "outcome"), [("stream", [201, 201]), ("oneshot", [503, 503])])
def test_only_stream_processes_of_class_intake_go_past_the_pooler(mode, outcome, providers):
    """They keep a session each; a process for one request has none of its own."""
    with Instance(LEADPIPE_PROCESS=mode, **providers.settings) as instance:
        def answers():
            forms = {"/api/chatbot/leads": {**TEST_USER, "intent": str(uuid.uuid4())}, "/api/newsletter/subscribe": {"email": f"{uuid.uuid4()}@example.com"}}
            return [instance.http(path, form)[0] for path, form in forms.items()]
        assert answers() == [201, 201]
        pid, = bouncers(instance)
        instance.process.send_signal(signal.SIGSTOP)
        try:
            os.kill(pid, signal.SIGKILL)
            assert answers() == outcome
        finally:
            instance.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("limit", ["login", "processes"])
def test_pooler_serves_stream_processes_if_the_database_allows_too_few_sessions(limit, database, providers):
    """The limit of the login is 40 sessions; or the processes may be more than the server allows."""
    more = {"LEADPIPE_STREAM_PROCESSES": "64"} if limit == "processes" else {}
    url = database.url
    if limit == "login":
        database.run("create role few login connection limit 40; grant leadpipe_intake, leadpipe_worker, leadpipe_admin to few")
        url = re.sub("//[^@]*@", "//few@", url)
    try:
        with Instance(DATABASE_URL=url, DATABASE_URL_DIRECT=database.url, **more, **providers.settings) as instance:
            assert instance.wait_out("pooler    pgbouncer").endswith("connections to the database")
            instance.capture(TEST_USER)
            assert int(pools(instance)["owner"]["cl_active"]) >= 1
            assert "DATABASE_URL_INTAKE_STREAM" not in (instance.state / "env").read_text()
    finally:
        if limit == "login":
            database.run("drop role few")


@pytest.mark.seconds(120)
def test_killing_the_pooler_under_load_loses_no_lead(providers):
    with Instance(LEADPIPE_PROCESS="oneshot", **providers.settings) as instance:
        stored, others, ended = [], [], threading.Event()

        def client(number):
            count = 0
            while not ended.is_set():
                count += 1
                name = f"Client {number} Lead {count}"
                try:
                    status, _, document = instance.http(
                        "/api/chatbot/leads", {**TEST_USER, "customerName": name}, headers={"Idempotency-Key": str(uuid.uuid4())})
                except OSError:
                    continue
                (stored if status == 201 else others).append(document["id"] if status == 201 else status)
                if status != 201:
                    time.sleep(0.05)
        with ThreadPoolExecutor(8) as pool:
            for number in range(8):
                pool.submit(client, number)
            try:
                for _ in range(2):
                    time.sleep(1.5)
                    pid, = until(lambda: bouncers(instance), 15, "the pooler")
                    os.kill(pid, signal.SIGKILL)
                    before = len(stored)
                    until(lambda before=before: len(stored) > before + 20, 20, "leads after the kill")
            finally:
                ended.set()
        assert others and set(others) <= {502, 503, 504}, set(others)
        rows = set(instance.database.text("select id from conversations").splitlines())
        assert len(stored) > 100 and set(stored) <= rows
        assert instance.log.count("[ERROR] A service ended service=pooler") == 2
        until(lambda: instance.http("/health")[2]["pooler"] == "up", 10)
        until(lambda: instance.database.count("lead_events", "not processed") == 0, 60, "all deliveries")


def test_health_reports_a_pooler_that_is_away(providers):
    with Instance(**providers.settings) as instance:
        pid, = bouncers(instance)
        instance.process.send_signal(signal.SIGSTOP)
        try:
            os.kill(pid, signal.SIGKILL)
            status, _, health = until(lambda: (found := instance.http("/health"))[0] == 503 and found, 10, "503")
            assert (health["database"], health["pooler"]) == ("away", "away")
            assert health["reasons"] == ["the pooler in front of the database cannot be reached"]
            status, headers, document = admin(instance, "/api/admin/conversations")
            assert (status, document["code"]) == (503, "database_unavailable") and headers["retry-after"]
        finally:
            instance.process.send_signal(signal.SIGCONT)
        until(lambda: instance.http("/health")[0] == 200, 15, "the pooler's return")


def test_up_answers_in_time_when_the_pool_is_full(providers):
    with Instance(LEADPIPE_PROCESS="oneshot", **providers.settings) as instance, contextlib.ExitStack() as stack:
        size = int(re.search(r"^intake .* pool_size=(\d+)$", (instance.state / "pooler" / "pgbouncer.ini").read_text(), re.M)[1])
        url = settings_of(instance)["DATABASE_URL_INTAKE"]
        sessions = [stack.enter_context(Session(url)) for _ in range(size)]
        for session in sessions:
            session.text("begin; select 1")
        began = time.monotonic()
        status, headers, document = instance.http("/api/chatbot/leads", TEST_USER)
        assert (status, document["code"], headers["retry-after"]) == (503, "too_many_requests_waiting", "1")
        assert 1 < time.monotonic() - began < 5
        # Another class is not affected.
        admin = Database(settings_of(instance)["DATABASE_URL_ADMIN"])
        assert admin.text("select current_user") == "leadpipe_admin"
        for session in sessions:
            session.text("commit")
        instance.capture(TEST_USER)


def test_pooler_off(providers):
    with Instance(POOLER="off", **providers.settings) as instance:
        assert instance.wait_out("pooler    off: POOLER=off")
        instance.capture(TEST_USER)
        assert not bouncers(instance) and not (instance.state / "pooler").exists()
        assert instance.http("/health")[2]["pooler"] == "none"
        assert "pooler" not in (instance.state / "env").read_text().lower()
    done = leadpipe("up", POOLER="perhaps", LEADPIPE_STATE=str(instance.state), PORT=str(free_port()))
    assert (done.returncode, done.stderr) == (78, "POOLER must be one of on, off\n")


@pytest.mark.parametrize("kind", ["pooled", "dropping"])
def test_up_recognises_a_pooler(kind, database, providers, request):
    url = request.getfixturevalue(kind)
    instance = Instance(DATABASE_URL=url, **providers.settings)
    try:
        instance.start(ready=False)
        assert instance.process.wait(30) == 1
        assert "not a transaction pooler" in instance.log
    finally:
        instance.__exit__()
    with Instance(DATABASE_URL=url, DATABASE_URL_DIRECT=database.url, **providers.settings) as instance:
        assert instance.wait_out("pooler    off: there is a pooler in front of the database already")
        assert not bouncers(instance)
        instance.capture(TEST_USER)
        until(lambda: providers.of("slack"), 15, "the notification")
        assert instance.http("/health")[2]["pooler"] == "up"


def test_up_puts_a_pooler_in_front_of_an_external_database(database, providers):
    """One login for all classes: one pool, and the classes keep their roles."""
    with Instance(DATABASE_URL=database.url, WAKE="notify", **providers.settings) as instance:
        assert instance.wait_out("pooler    pgbouncer")
        lead = instance.capture(TEST_USER)
        until(lambda: providers.of("slack"), 15, "the notification")
        instance.wait_log("[INFO] LISTEN works", 15)
        assert set(pools(instance)) - {"pgbouncer"} == {"owner"}
        assert database.count("conversations", f"id = '{lead}'") == 1
        assert "DATABASE_URL=" not in (instance.state / "env").read_text()


def test_url_that_the_pooler_cannot_take_over_is_used_directly(database, providers):
    with Instance(DATABASE_URL=database.url + "&sslcrl=/nonexistent", **providers.settings) as instance:
        assert instance.wait_out("pooler    off")
        line, = [line for line in instance.log.splitlines() if "[WARN]" in line]
        assert "The database cannot be reached through a pooler: connecting directly" in line and "pgbouncer has no sslcrl" in line
        instance.capture(TEST_USER)
        assert not bouncers(instance)


class TLSCluster(Cluster):
    """PostgreSQL over TCP, which wants TLS and a password from the login `visitor`."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        for words in (["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
                       "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],):
            subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=30)
        super().__init__()

    def start(self):
        for name in ("key.pem", "cert.pem"):
            (self.home / "data" / name).write_bytes((self.folder / name).read_bytes())
            (self.home / "data" / name).chmod(0o600)
            stat = (self.home / "data").stat()
            os.chown(self.home / "data" / name, stat.st_uid, stat.st_gid)
        hba = self.home / "data" / "pg_hba.conf"
        hba.write_text("hostssl all visitor all scram-sha-256\nlocal all all trust\n")
        self.options = f"-c listen_addresses=localhost -c port={self.port} -c ssl=on -c ssl_cert_file=cert.pem -c ssl_key_file=key.pem"
        super().start()

    def url(self, name, user=None):
        return super().url(name, user) + f"&port={self.port}"


def test_external_database_over_tls(tmp_path, providers):
    password = "it's \\ \"p\" #; %x"
    cluster = TLSCluster(tmp_path)
    try:
        database = cluster.migrated()
        literal = password.replace("'", "''")
        database.run(f"""set standard_conforming_strings = on; create role visitor login createrole password '{literal}';
            grant leadpipe_intake, leadpipe_worker, leadpipe_admin to visitor; grant all on database {database.name} to visitor;
            grant all on schema supabase_migrations to visitor; grant all on all tables in schema supabase_migrations to visitor""")
        tmp_path.chmod(0o755)
        root = tmp_path / "cert.pem"
        for parent in root.parents:
            if parent.stat().st_mode & 0o005 != 0o005 and str(parent) != "/":
                parent.chmod(0o755)
        encoded = "".join(f"%{byte:02x}" for byte in password.encode())
        url = f"postgresql://visitor:{encoded}@localhost:{cluster.port}/{database.name}?sslmode=verify-full&sslrootcert={root}"
        with Instance(DATABASE_URL=url, DATABASE_URL_DIRECT=database.url, **providers.settings) as instance:
            assert instance.wait_out("pooler    pgbouncer"), instance.log
            instance.capture(TEST_USER)
            uses = database.text("select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'visitor'")
            assert uses == "t"
            assert encoded not in (instance.state / "env").read_text()
        other = tmp_path / "other.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "k", "-out", other, "-days", "2",
                        "-subj", "/CN=localhost"], check=True, capture_output=True, timeout=30)
        other.chmod(0o644)
        instance = Instance(DATABASE_URL=url.replace(str(root), str(other)), DATABASE_URL_DIRECT=database.url, **providers.settings)
        try:
            instance.start(ready=False)
            assert instance.process.wait(30) != 0
            assert "certificate verify failed" in instance.log
        finally:
            instance.__exit__()
    finally:
        cluster.close()
