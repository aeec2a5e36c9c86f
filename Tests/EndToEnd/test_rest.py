"""Handlers and worker with SUPABASE_URL and a service key in place of DATABASE_URL: they call the same functions through
the project's REST interface."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import handlers
from cluster import Session, leadpipe
from common import HANDLERS, REPO, TEST_USER, clean_environment, free_port, is_root, session_processes, until
from instance import Instance
from name_server import NameServer
from postgrest import ANON_TOKEN, PUBLISHABLE_KEY, SECRET_KEY, SERVICE_TOKEN, PostgREST
from sink import Sink

ADMIN_KEY = "an-admin-key-of-these-tests"

KEYS = {"token": SERVICE_TOKEN, "secret key": SECRET_KEY}


@pytest.fixture
def project(database):
    with PostgREST(database) as project:
        yield project


@pytest.mark.parametrize("kind", KEYS)
def test_lead_is_stored_with_either_kind_of_key(kind, project, database):
    done = handlers.run("lead-capture", TEST_USER, **project.settings | {"SUPABASE_SERVICE_ROLE_KEY": KEYS[kind]})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["id"] == database.text("select id from conversations")
    assert database.count("lead_events") == 1
    (name, headers), = project.calls
    assert name == "capture_lead" and headers["apikey"] == KEYS[kind]
    assert headers.get("Authorization") == (f"Bearer {SERVICE_TOKEN}" if kind == "token" else None)


def test_step_of_the_worker_claims(project, database):
    handlers.run("lead-capture", TEST_USER, **project.settings)
    channels = '[{"channel": "slack", "recipient": "default"}]'
    done = handlers.run("event-claim", {}, LEADPIPE_CHANNELS=channels, **project.settings)
    assert done.returncode == 0, done.stderr
    assert [line["channel"] for line in handlers.lines(done.stdout)] == ["slack"]


# ── Gateway and worker ──


@pytest.fixture
def running(project, tmp_path):
    """A gateway and a worker that have nothing but the project's address and key, and a sink."""
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(Sink(tmp_path))
        limits = {f"RATE_LIMIT_{name}": "1000/60" for name in ("LEAD", "CONTACT", "ADMIN", "EXPORT", "DEFAULT")}
        settings = {**project.settings, **limits, "ADMIN_API_KEY": ADMIN_KEY, "LEADPIPE_WAKE": str(tmp_path / "wake"), "WORKER_POLL_SECONDS": "1"}
        gateway = Instance(command=("gateway",), **settings)
        stack.push(gateway)
        gateway.start(ready=False)
        worker = Instance(command=("worker",), SLACK_WEBHOOK_URL=sink.settings["SLACK_WEBHOOK_URL"], **settings)
        stack.push(worker)
        worker.start(ready=False)
        until(lambda: answers(gateway), 20, "the gateway")
        worker.wait_log("Notification worker started")
        yield gateway, worker, sink


def answers(gateway):
    try:
        return gateway.http("/health")[0] in (200, 503)
    except OSError:
        return False


def test_lead_reaches_slack_and_the_admin_list(running, project, database):
    gateway, worker, sink = running
    lead = gateway.capture(TEST_USER)
    until(lambda: database.text("select status from notification_logs") == "sent", 20, "the delivery")
    until(lambda: database.count("lead_events", "not processed") == 0, 15, "the end of the event")
    status, _, page = gateway.http("/api/admin/conversations", headers={"X-Admin-API-Key": ADMIN_KEY})
    assert (status, [row["id"] for row in page["data"]]) == (200, [lead])
    # A stream process stores waiting leads together.
    assert {"claim_deliveries", "begin_deliveries", "record_outcomes", "list_conversations"} <= set(project.names)
    assert gateway.http("/health")[2]["database"] == "ok"
    # The key is in the environment of processes and nowhere else.
    words = [line for one in (gateway, worker) for line in session_processes(one.process.pid).values()]
    assert words and not any(SECRET_KEY in line for line in [*words, gateway.log, worker.log])


def test_project_away_and_back(running, project):
    gateway, _, _ = running
    gateway.capture(TEST_USER)
    project.close()
    status, headers, problem = gateway.http("/api/chatbot/leads", TEST_USER, headers={"Idempotency-Key": "away"})
    assert (status, problem["code"], headers["retry-after"]) == (503, "database_unavailable", "2")
    project.start()
    assert gateway.http("/api/chatbot/leads", TEST_USER, headers={"Idempotency-Key": "away"})[0] == 201


def test_database_behind_the_project_away_and_back(running, project):
    gateway, _, _ = running
    good, project.url = project.url, "postgresql://nobody@127.0.0.1:1/nowhere"
    project.forget()
    status, _, problem = gateway.http("/api/chatbot/leads", TEST_USER, headers={"Idempotency-Key": "away"})
    assert (status, problem["code"]) == (503, "database_unavailable")
    assert "PostgREST has no database connection (PGRST001)" in gateway.log
    project.url = good
    assert gateway.http("/api/chatbot/leads", TEST_USER, headers={"Idempotency-Key": "away"})[0] == 201


# ── What errors mean ──


def problem(name, body, project, **more):
    done = handlers.run(name, body, **project.settings | more)
    return json.loads(done.stdout)["problem"], done.stderr.decode()


def test_errors_of_our_functions_keep_their_codes(project, database):
    """PostgREST replies 400 to all of them: only the code in the body tells them apart."""
    unknown = "01890000-0000-7000-8000-000000000000"
    missing, _ = problem("conversation-show", {"id": unknown}, project)
    assert (missing["status"], missing["code"]) == (404, "conversation_not_found"), missing
    agent = {"name": "Agent", "email": "agent@example.com"}
    assert handlers.run("agent-create", agent, **project.settings).returncode == 0
    taken, _ = problem("agent-create", agent, project)
    assert (taken["status"], taken["code"]) == (409, "agent_email_taken")


def test_used_idempotency_key_is_a_conflict(project):
    first = handlers.envelope(TEST_USER, headers={"idempotency-key": "one-key-of-mine"})
    other = handlers.envelope({**TEST_USER, "customerName": "Another"}, headers={"idempotency-key": "one-key-of-mine"})
    text = "".join(json.dumps(each) + "\n" for each in (first, first, other))
    done = handlers.run("lead-capture", text, "--stream", **project.settings)
    assert [line["statusCode"] for line in handlers.lines(done.stdout)] == [201, 201, 422], done


def test_shared_rate_limit_counts(project):
    limit = {"admit": {"limits": [{"rate": "lead", "key": "203.0.113.9", "count": 1, "seconds": 60}]}}
    replies = [json.loads(handlers.run("rate-count", limit, **project.settings).stdout) for _ in range(2)]
    assert [reply["request"]["allowed"] for reply in replies] == [True, False], replies
    assert project.names == ["admit_request"] * 2


def test_missing_function_means_not_migrated(project, database):
    database.run("drop function capture_lead(jsonb)")
    found, log = problem("lead-capture", TEST_USER, project)
    assert (found["status"], found["code"]) == (503, "database_not_migrated")
    assert "run `leadpipe migrate`" in log and "sqlstate=42883" in log


def test_refused_key_is_named(project):
    found, log = problem("lead-capture", TEST_USER, project, SUPABASE_SERVICE_ROLE_KEY="sb_secret_of_another_project_0000")
    assert (found["status"], found["code"]) == (503, "database_unavailable")
    assert "the project refused SUPABASE_SERVICE_ROLE_KEY (HTTP 401)" in log and "another_project" not in log


def test_schema_that_is_not_exposed_is_named(project):
    project.schemas = ["api"]
    assert "does not expose the schema public" in problem("lead-capture", TEST_USER, project)[1]


def test_time_limit_of_the_project(database):
    """The project ends a statement after 8 seconds; here, after one."""
    with PostgREST(database, statement_seconds=1) as project, Session(database.url) as other:
        other.text("begin; lock table conversations in access exclusive mode; select 1")
        found, _ = problem("lead-capture", TEST_USER, project)
        assert (found["status"], found["code"]) == (504, "database_timeout")


def test_full_pool_of_the_project(database):
    with PostgREST(database, connections=0, acquire_seconds=0.2) as project:
        found, log = problem("lead-capture", TEST_USER, project)
        assert (found["status"], found["code"]) == (503, "too_many_requests_waiting"), log


def test_deadline_holds_if_the_project_hangs(project):
    project.answer = lambda *_: time.sleep(8) or (200, b"{}")
    document = handlers.envelope(TEST_USER)
    document["requestContext"]["x"] = {"deadlineMs": int(time.time() * 1000) + 1500}
    began = time.monotonic()
    done = handlers.run("lead-capture", document, **project.settings)
    assert time.monotonic() - began < 6
    assert json.loads(json.loads(done.stdout)["body"])["code"] == "database_timeout", done


@pytest.mark.parametrize(("status", "code"), [(502, "database_unavailable"), (504, "database_timeout"), (429, "too_many_requests_waiting")])
def test_replies_of_the_gateway_in_front(status, code, project):
    project.answer = lambda *_: (status, b"<html>away</html>")
    assert problem("lead-capture", TEST_USER, project)[0]["code"] == code
    assert project.names == ["capture_lead"]


def test_call_that_may_have_run_is_not_repeated(project, database):
    """The second call uses the connection of the first. The project carries it out and closes the connection: libcurl
    would send it again."""
    counts = iter([None, PostgREST.DROP])
    project.answer = lambda *_: next(counts)
    text = "".join(json.dumps(handlers.envelope({**TEST_USER, "customerName": name})) + "\n" for name in ("One", "Two"))
    with subprocess.Popen([HANDLERS / "lead-capture", "--stream"], env=clean_environment(**project.settings), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        statuses = []
        for line in text.splitlines(keepends=True):
            process.stdin.write(line)
            process.stdin.flush()
            statuses.append(json.loads(process.stdout.readline())["statusCode"])
        process.stdin.close()
    assert statuses == [201, 503]
    assert project.names == ["capture_lead"] * 2 and database.count("conversations") == 2


def test_deadlock_is_repeated(project):
    replies = iter([(500, json.dumps({"code": "40P01", "message": "deadlock detected"}).encode()), None])
    project.answer = lambda *_: next(replies)
    assert handlers.run("lead-capture", TEST_USER, **project.settings).returncode == 0
    assert len(project.calls) == 2


# ── Settings ──


@pytest.mark.parametrize(("settings", "words"), [
    ({"SUPABASE_SERVICE_ROLE_KEY": ""}, "SUPABASE_SERVICE_ROLE_KEY is missing"),
    ({"SUPABASE_URL": ""}, "SUPABASE_URL is missing"),
    ({"SUPABASE_URL": "", "SUPABASE_SERVICE_ROLE_KEY": ""}, "DATABASE_URL is missing"),
    ({"SUPABASE_URL": "http://project.supabase.co"}, "SUPABASE_URL must be https"),
    ({"SUPABASE_URL": "https://project.supabase.co/rest/v1"}, "SUPABASE_URL must have no path"),
    ({"SUPABASE_SERVICE_ROLE_KEY": ANON_TOKEN}, "SUPABASE_SERVICE_ROLE_KEY is the key of role anon"),
    ({"SUPABASE_SERVICE_ROLE_KEY": PUBLISHABLE_KEY}, "SUPABASE_SERVICE_ROLE_KEY is a publishable key"),
    ({"SUPABASE_SERVICE_ROLE_KEY": "eyJhbGciOiJub25lIn0.bm90aGluZw.x"}, "SUPABASE_SERVICE_ROLE_KEY begins like a token"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_wrong_settings_are_refused_at_start(settings, words, project):
    done = handlers.run("lead-capture", TEST_USER, **project.settings | settings)
    assert done.returncode == 78 and words in done.stderr.decode(), done
    assert not project.calls


def test_login_goes_before_the_service_key(project, database):
    done = handlers.run("lead-capture", TEST_USER, DATABASE_URL=database.url, **project.settings)
    assert done.returncode == 0 and not project.calls
    done = leadpipe("invoke", "lead-capture", input=json.dumps(TEST_USER), DATABASE_URL=database.url, **project.settings)
    assert done.returncode == 0 and not project.calls, done
    shown = leadpipe("routes", "--explain", "lead-capture", DATABASE_URL=database.url, **project.settings).stdout
    assert "SUPABASE_SERVICE_ROLE_KEY" not in "".join(line for line in shown.splitlines() if "(not " not in line)


@pytest.mark.parametrize(("name", "words"), [
    ("conversation-export", "exports need a session with the database"), ("wake-listen", "WAKE=notify needs a session"),
])
def test_handlers_that_need_a_session_refuse(name, words, project):
    done = handlers.run(name, {}, ADMIN_API_KEY=ADMIN_KEY, **project.settings)
    assert done.returncode == 78 and words in done.stderr.decode(), done
    assert not project.calls


def test_live_feed_polls(project):
    handlers.run("lead-capture", TEST_USER, **project.settings)
    first = handlers.run("live-show", {}, ADMIN_API_KEY=ADMIN_KEY, **project.settings)
    assert first.returncode == 0, first
    assert project.names[-1] in ("live_events", "show_session")


def test_commands_of_the_operator_work_by_rest(project):
    handlers.run("lead-capture", TEST_USER, **project.settings)
    listed = leadpipe("lead", "list", **project.settings)
    assert listed.returncode == 0 and TEST_USER["customerName"] in listed.stdout, listed


@pytest.mark.parametrize(("words", "expected"), [
    (["up"], "SUPABASE_URL is not enough for `leadpipe up`"), (["migrate"], "DATABASE_URL is missing"),
])
def test_commands_that_need_a_login_refuse(words, expected, project, tmp_path):
    done = leadpipe(*words, LEADPIPE_STATE=str(tmp_path / "state"), **project.settings)
    assert done.returncode == 78 and expected in done.stderr, done


def test_notify_needs_a_login(project):
    done = leadpipe("gateway", "--check", WAKE="notify", **project.settings)
    assert done.returncode == 78 and "WAKE must not be notify without DATABASE_URL" in done.stderr, done


def test_login_of_a_class_needs_no_service_key(project, database):
    url = {"SUPABASE_URL": project.settings["SUPABASE_URL"], "SLACK_WEBHOOK_URL": "http://127.0.0.1:9/services/x"}
    for words, more in [(["worker"], {"DATABASE_URL_WORKER": database.url}),
                        (["gateway"], {"DATABASE_URL_INTAKE": database.url, "DATABASE_URL_ADMIN": database.url, "WAKE": "notify"})]:
        done = leadpipe(*words, "--check", ADMIN_API_KEY=ADMIN_KEY, **url, **more)
        assert done.returncode == 0, done


# ── leadpipe check ──


def check(project, *words, **settings):
    done = leadpipe("check", "--json", *words, ADMIN_API_KEY=ADMIN_KEY, **project.settings, **settings)
    return done, {line["id"]: line for line in map(json.loads, done.stdout.splitlines())}


def test_check_sends_its_test_lead_by_rest(running, project, database):
    gateway, _, sink = running
    settings = {"PORT": str(gateway.port), "SLACK_WEBHOOK_URL": sink.settings["SLACK_WEBHOOK_URL"], "LEADPIPE_STATE": "/nonexistent"}
    done, items = check(project, **settings)
    assert done.returncode == 0, {name: item for name, item in items.items() if item["result"] == "failed"}
    followed = {name for name in items if name.startswith(("after.", "admin."))} - {"after.telegram", "after.email"}
    assert {name: items[name]["result"] for name in followed} == dict.fromkeys(followed, "passed"), items
    assert {"prepare_test_lead", "remove_test_leads", "list_conversation_deliveries"} <= set(project.names)
    # What a session alone can see, and nothing else, was not examined.
    unseen = {name for name, item in items.items() if "run this command with DATABASE_URL" in item["evidence"]}
    assert unseen == {"before.events", "before.tables", "before.columns", "before.migrations", "security.rls", "security.anon",
                      "monitoring.backlog", "monitoring.unsent", "monitoring.failed", "monitoring.sla"}
    assert "by REST, as service_role" in items["before.logins"]["evidence"]
    assert "documented exception to least privilege" in items["security.service-key"]["evidence"]
    assert not any(database.count(table) for table in ("conversations", "lead_events", "notification_logs", "customer_identities", "idempotency_keys"))
    message, = sink.messages
    assert "[test]" in json.dumps(message)

    # A gateway of another project takes the lead; the check finds that, and the lead stays where it is.
    gateway_calls = len(project.calls)
    project.answer = lambda name, _: (400, json.dumps({"code": "LP404", "message": "conversation_not_found"}).encode()) if name == "prepare_test_lead" and len(
        [each for each in project.names[gateway_calls:] if each == name]) > 1 else None
    done, items = check(project, **settings)
    project.answer = None
    assert done.returncode == 1 and {name for name, item in items.items() if item["result"] == "failed"} == {"after.capture"}, items
    assert "set SUPABASE_URL to the database of the instance" in items["after.capture"]["fix"]
    assert not database.count("conversations")


def test_check_names_the_exception(project, database):
    done, items = check(project, PORT=str(free_port()))
    assert items["before.database"]["result"] == "passed", items["before.database"]
    assert items["security.service-key"]["result"] == "skipped"
    assert "run this command with DATABASE_URL" in items["before.tables"]["evidence"]
    # With a login for this command alone, the services still have the key.
    _, items = check(project, PORT=str(free_port()), DATABASE_URL=database.url)
    assert items["security.service-key"]["evidence"].endswith("because DATABASE_URL is set; those without it do")


# ── The confinement of handlers ──


def test_database_url_leaves_no_way_to_the_project(project, database):
    """A handler that was started by hand with both settings can neither reach the project nor find its key."""
    with subprocess.Popen([HANDLERS / "lead-capture", "--stream"], env=clean_environment(DATABASE_URL=database.url, **project.settings),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        process.stdin.write(json.dumps(handlers.envelope(TEST_USER)) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["statusCode"] == 201
        variables = Path(f"/proc/{process.pid}/environ").read_bytes()
        process.stdin.close()
    assert b"DATABASE_URL=postgresql:" in variables and SECRET_KEY.encode() not in variables
    assert not project.calls


def accepts(port):
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


# In mount namespaces of their own, so that nothing outside sees the other files.
NAMED = ('mount --bind "$1/hosts" /etc/hosts && mount --bind "$1/resolv.conf" /etc/resolv.conf && '
         'mount --bind "$1/authorities" /etc/ssl/certs/ca-certificates.crt && shift && exec "$@"')


@pytest.mark.skipif(not is_root(), reason="only root may change /etc/hosts in a namespace of its own")
@pytest.mark.parametrize("place", ["hosts", "dns"])
def test_project_is_found_by_its_name(place, project, database, tmp_path):
    """A confined process resolves the project's name, by /etc/hosts or by DNS, and verifies its certificate. libcurl takes
    localhost for 127.0.0.1 without asking, so another name is needed."""
    name = "ref.supabase.test"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name}", "-keyout", tmp_path / "key", "-out", tmp_path / "certificate"],
                   check=True, capture_output=True, timeout=30)
    (tmp_path / "authorities").write_bytes((tmp_path / "certificate").read_bytes())
    # An address of this test alone: the port of name servers may be taken on the others.
    address = f"127.{os.getpid() % 200 + 20}.7.{1 if place == 'dns' else 2}"
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n" + (f"127.0.0.1 {name}\n" if place == "hosts" else ""))
    (tmp_path / "resolv.conf").write_text(f"nameserver {address}\noptions timeout:1 attempts:2\n")
    port = free_port()
    relay = [sys.executable, REPO / "Tests/Harness/tls_relay.py", f"127.0.0.1:{port}", str(project.port)]
    settings = {"SUPABASE_URL": f"https://{name}:{port}", "SUPABASE_SERVICE_ROLE_KEY": SECRET_KEY}
    command = ["unshare", "--mount", "sh", "-c", NAMED, "sh", tmp_path, HANDLERS / "lead-capture"]
    with subprocess.Popen([*relay, tmp_path / "certificate", tmp_path / "key"]) as server, NameServer(address) as names:
        try:
            until(lambda: accepts(port), 10, "the relay")
            for mode, text in ([], json.dumps(TEST_USER)), (["--stream"], json.dumps(handlers.envelope({**TEST_USER, "customerName": "Another"})) + "\n"):
                done = subprocess.run([*command, *mode], env=clean_environment(**settings), input=text, capture_output=True, text=True, timeout=20)
                assert done.returncode == 0, done
        finally:
            server.kill()
    assert database.count("conversations") == 2
    assert (name in names.asked) == (place == "dns")
