"""AWS Lambda: the handlers' executables against a stand-in of the runtime API."""

import base64
import contextlib
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from cluster import Session
from common import TEST_USER, free_port, until
from handlers import envelope
from lambda_api import Function, RuntimeAPI, function

ADMIN = {"ADMIN_API_KEY": "the-admin-key-of-the-tests"}


def sessions(database):
    return database.rows(
        "select pid, backend_start from pg_stat_activity where datname = current_database() and application_name = 'leadpipe'")


def test_lead_is_stored_and_answered_with_201(database):
    with function("lead-capture", DATABASE_URL=database.url) as (api, started):
        result = api.invoke(envelope(TEST_USER), **{"Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793"})
        assert result.reply["statusCode"] == 201
        assert json.loads(result.reply["body"])["conversation"]["customerName"] == "Test User"
        assert database.count("conversations") == 1
        log = started.close()
    line = next(line for line in log.splitlines() if "Successfully created conversation" in line)
    assert "requestId=req-1" in line
    assert f"invocationId={api.taken[0]}" in line
    assert "traceId=Root=1-5759e988-bd862e3fe1be46a994272793" in line


def test_body_in_base64(database):
    with function("lead-capture", DATABASE_URL=database.url) as (api, _):
        body = base64.b64encode(json.dumps(TEST_USER).encode()).decode()
        assert api.invoke({**envelope(body), "isBase64Encoded": True}).reply["statusCode"] == 201


def test_problems_are_replies(database):
    with function("lead-capture", DATABASE_URL=database.url) as (api, _):
        result = api.invoke(envelope({}))
        assert (result.reply["statusCode"], result.problem["code"]) == (400, "invalid_fields")
        assert result.reply["headers"]["content-type"] == "application/problem+json"
        result = api.invoke(envelope("{"))
        assert (result.reply["statusCode"], result.problem["code"]) == (400, "malformed_json")
        result = api.invoke(envelope("x", headers={"content-type": "text/plain"}))
        assert (result.reply["statusCode"], result.problem["code"]) == (415, "unsupported_media_type")
        result = api.invoke(envelope(json.dumps({**TEST_USER, "notes": "x" * 262_144})))
        assert (result.reply["statusCode"], result.problem["code"]) == (413, "body_too_large")
        assert database.count("conversations") == 0
        assert api.invoke(envelope(TEST_USER)).reply["statusCode"] == 201


def test_body_with_nul_is_the_clients_error(database):
    """Lambda's event quotes the body: the body is malformed, not the event. A capture handler repairs it."""
    with function("agent-create", DATABASE_URL=database.url, **ADMIN) as (api, _):
        key = {"authorization": "Bearer " + ADMIN["ADMIN_API_KEY"]}
        result = api.invoke(envelope('{"name": "a\0"}', path="/api/admin/agents", headers=key))
        assert (result.reply["statusCode"], result.problem["code"]) == (400, "malformed_json")
        result = api.invoke(envelope('{"name": "a\\u0000"}', path="/api/admin/agents", headers=key))
        assert (result.reply["statusCode"], result.problem["code"]) == (400, "malformed_json")
    with function("lead-capture", DATABASE_URL=database.url) as (api, _):
        body = json.dumps({**TEST_USER, "customerName": "Test\0User"})
        assert api.invoke(envelope(body)).reply["statusCode"] == 201


def test_methods_and_paths_without_a_route(database):
    """An HTTP API also sends what none of its routes fits."""
    key = {"authorization": "Bearer " + ADMIN["ADMIN_API_KEY"]}
    with function("agent-list", DATABASE_URL=database.url, **ADMIN) as (api, _):
        def ask(method, path="/api/admin/agents"):
            return api.invoke(envelope("", method, path, key))
        for method in ("POST", "DELETE", "get", "TRACE"):
            result = ask(method)
            assert (result.reply["statusCode"], result.problem["code"]) == (405, "method_not_allowed")
            assert result.reply["headers"]["allow"] == "GET, HEAD, OPTIONS"
        assert ask("OPTIONS").reply["statusCode"] == 204
        for path in ("/", "/api/admin/agents/", "/api/admin/agents/x", "/API/admin/agents"):
            result = ask("GET", path)
            assert (result.reply["statusCode"], result.problem["code"]) == (404, "route_not_found")
        for path in ("//api/admin/agents", "", "x"):
            assert ask("GET", path).reply["statusCode"] in (400, 404)
        head, get = ask("HEAD").reply, ask("GET").reply
        assert (head["statusCode"], head["body"]) == (200, "")
        assert get["body"]
        assert get["headers"]["x-request-id"] == "req-1"
        result = api.invoke(envelope("", "GET", "/api/admin/agents", {**key, "x-request-id": "mine"}))
        assert result.reply["headers"]["x-request-id"] == "mine"


def test_pages_of_other_origins(database):
    """The gateway's code decides: an allowed origin gets CORS headers and a preflight, another gets none."""
    with function("lead-capture", DATABASE_URL=database.url, ALLOWED_ORIGINS="https://good.example") as (api, _):
        for origin, allowed in (("https://good.example", "https://good.example"), ("https://evil.example", None)):
            reply = api.invoke(envelope(TEST_USER, headers={"origin": origin})).reply
            assert reply["statusCode"] in (200, 201)
            assert reply["headers"].get("access-control-allow-origin") == allowed
            assert "Origin" in reply["headers"]["vary"]
            ask = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
            reply = api.invoke(envelope("", "OPTIONS", headers=ask)).reply
            assert (reply["statusCode"], reply["headers"].get("access-control-allow-origin")) == (204, allowed)


def test_path_parameters_of_a_function_url(database):
    """Its events have none: they are read from the path."""
    with function("lead-capture", DATABASE_URL=database.url) as (api, _):
        lead = json.loads(api.invoke(envelope(TEST_USER)).reply["body"])["id"]
    with function("conversation-show", DATABASE_URL=database.url, **ADMIN) as (api, _):
        path, key = f"/api/admin/conversations/{lead}", {"authorization": "Bearer " + ADMIN["ADMIN_API_KEY"]}
        assert json.loads(api.invoke(envelope("", "GET", path, key)).reply["body"])["id"] == lead
        event = {**envelope("", "GET", path, key), "pathParameters": {"id": lead}}
        assert json.loads(api.invoke(event).reply["body"])["id"] == lead


def test_admin_key_is_required(database):
    with function("agent-list", DATABASE_URL=database.url, **ADMIN) as (api, _):
        def ask(**headers):
            return api.invoke(envelope("", "GET", "/api/admin/agents", headers))
        assert ask().reply["statusCode"] == 401
        assert ask(authorization="Bearer wrong").reply["statusCode"] == 401
        assert ask(authorization="Bearer the-admin-key-of-the-tests").reply["statusCode"] == 200


@pytest.mark.parametrize("event", [
    {}, [], None, {"limit": 1}, {"requestContext": {}}, {"requestContext": {"elb": {}}, "httpMethod": "GET"},
    {"requestContext": {"httpMethod": "GET"}, "version": "1.0"}, {"Records": []}, b"{", b"", b"\xff"])
def test_endpoint_takes_nothing_but_http_events(database, event):
    """An admin endpoint in particular: a bare body has no key."""
    with function("agent-list", DATABASE_URL=database.url, **ADMIN) as (api, _):
        result = api.invoke(event)
        assert result.kind == "error"
        assert result.headers["Lambda-Runtime-Function-Error-Type"] == result.json["errorType"] == "Runtime.InvalidEvent"
        assert result.json["stackTrace"] == []
        event = envelope("", "GET", "/api/admin/agents", {"authorization": "Bearer the-admin-key-of-the-tests"})
        assert api.invoke(event).reply["statusCode"] == 200


def test_steps_take_documents_and_answer_with_one(database):
    channels = json.dumps([{"channel": "slack", "recipient": "default"}])
    settings = {"DATABASE_URL": database.url, "LEADPIPE_CHANNELS": channels}
    with function("lead-capture", DATABASE_URL=database.url) as (api, _):
        for number in range(2):
            lead = {**TEST_USER, "customerEmail": f"{number}@example.com", "customerPhone": f"+97150123456{number}"}
            assert api.invoke(envelope(lead)).reply["statusCode"] == 201
    with function("event-claim", **settings) as (api, _):
        claimed = api.invoke({"limits": {"slack": 5}})
        assert claimed.kind == "response"
        assert [line["channel"] for line in claimed.json] == ["slack", "slack"]
        assert api.invoke({"limits": {"slack": 5}}).json == []
        refused = api.invoke({"limits": 5})
        assert (refused.kind, refused.json["errorType"]) == ("error", "Function.InvalidFields")
        refused = api.invoke(envelope({}))
        assert (refused.kind, refused.json["errorType"]) == ("error", "Runtime.InvalidEvent")
    with function("delivery-begin", DATABASE_URL=database.url) as (api, _):
        assert api.invoke(claimed.json[0]).json["id"] == claimed.json[0]["id"]


def test_deadline_that_is_over_is_a_504(database):
    with function("lead-capture", DATABASE_URL=database.url) as (api, _):
        result = api.invoke(envelope(TEST_USER), milliseconds=400)
        assert (result.reply["statusCode"], result.problem["code"]) == (504, "deadline_exceeded")
        assert database.count("conversations") == 0


def test_deadline_ends_a_call_that_waits(database):
    """The reply comes before Lambda would end the process."""
    with function("lead-capture", DATABASE_URL=database.url) as (api, _):
        api.invoke(envelope(TEST_USER))
        database.run("""create function public.wait_a_while() returns trigger language plpgsql as
            'begin perform pg_sleep(8); return new; end'; create trigger slow before insert on public.conversations
            for each row execute function public.wait_a_while()""")
        start = time.monotonic()
        result = api.invoke(envelope({**TEST_USER, "customerEmail": "other@example.com", "customerPhone": "+971501234568"}),
                            milliseconds=2000)
        assert result.reply["statusCode"] == 504
        assert 1 < time.monotonic() - start < 2


def test_reply_that_lambda_refuses_as_too_large(database):
    api = RuntimeAPI(statuses={"response": [413, 202]})
    with function("lead-capture", api, DATABASE_URL=database.url):
        assert api.invoke(envelope(TEST_USER)).kind == "response"
        report = api.results.get(timeout=10)
        assert (report.kind, report.json["errorType"]) == ("error", "Function.ResponseSizeTooLarge")
        assert api.invoke(envelope(TEST_USER)).reply["statusCode"] in (200, 201)


@pytest.mark.parametrize("status", [500, 503])
def test_5xx_of_the_api_ends_the_process(database, status):
    api = RuntimeAPI(statuses={"response": [status]})
    with function("lead-capture", api, DATABASE_URL=database.url) as (_, started):
        api.put(envelope(TEST_USER))
        code, log = started.wait()
        assert code == 74
        assert log.count("The Lambda runtime API failed") == 1


def test_invocation_that_is_gone_is_logged(database):
    api = RuntimeAPI(statuses={"response": [400, 202]})
    with function("lead-capture", api, DATABASE_URL=database.url) as (_, started):
        api.invoke(envelope(TEST_USER))
        assert api.invoke(envelope(TEST_USER)).kind == "response"
        assert "Lambda did not take the result status=400" in started.close()


@pytest.mark.parametrize("closes", ["openly", "silently"])
@pytest.mark.parametrize("isChunked", [False, True])
def test_api_that_closes_its_connections(database, closes, isChunked):
    api = RuntimeAPI(isChunked=isChunked, closes=closes)
    with function("agent-list", api, DATABASE_URL=database.url, **ADMIN):
        event = envelope("", "GET", "/api/admin/agents", {"authorization": "Bearer the-admin-key-of-the-tests"})
        for _ in range(5):
            assert api.invoke(event).reply["statusCode"] == 200
        assert len(api.taken) == 5
        assert len(api.connections) >= 10


def test_connection_to_the_api_is_kept_and_chunks_are_read(database):
    api = RuntimeAPI(isChunked=True)
    with function("lead-capture", api, DATABASE_URL=database.url):
        for _ in range(5):
            assert api.invoke(envelope(TEST_USER)).reply["statusCode"] in (200, 201)
        assert len(api.connections) == 1


@pytest.mark.parametrize("broken", [
    b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: ../x\r\nContent-Length: 2\r\n\r\n{}"])
def test_reply_of_the_api_that_breaks_ends_the_process(database, broken):
    with function("agent-list", DATABASE_URL=database.url, **ADMIN) as (api, started):
        api.broken = broken
        # An empty reply is repeated once.
        api.put({})
        api.put({})
        code, log = started.wait()
        assert code == 74
        assert log.count("[ERROR]") == log.count("The Lambda runtime API failed") == 1


def test_no_api_ends_the_process(database):
    class Nothing:
        address = f"127.0.0.1:{free_port()}"
    code, log = Function(Nothing, "agent-list", DATABASE_URL=database.url, **ADMIN).wait()
    assert code == 74
    assert "The Lambda runtime API failed reason=Connection refused" in log
    Nothing.address = "nonsense"
    code, log = Function(Nothing, "agent-list", DATABASE_URL=database.url, **ADMIN).wait()
    assert code == 78
    assert "AWS_LAMBDA_RUNTIME_API must be" in log


def test_wrong_settings_are_reported_before_the_first_event():
    api = RuntimeAPI()
    try:
        code, log = Function(api, "agent-list", LOG_FORMAT="xml").wait()
        assert code == 78
        assert api.asked == 0
        report, = api.init_errors
        assert report.headers["Lambda-Runtime-Function-Error-Type"] == report.json["errorType"] == "Runtime.InvalidSettings"
        for text in (log, report.json["errorMessage"]):
            assert "DATABASE_URL" in text
            assert "LOG_FORMAT must be one of" in text
    finally:
        api.close()


def test_invocations_share_one_database_session(database):
    with function("lead-capture", DATABASE_URL=database.url) as (api, _):
        seen = set()
        for _ in range(5):
            assert api.invoke(envelope(TEST_USER)).reply["statusCode"] in (200, 201)
            session, = sessions(database)
            seen.add((session["pid"], session["backend_start"]))
        assert len(seen) == 1


def test_session_that_was_ended_is_replaced(database):
    with function("lead-capture", DATABASE_URL=database.url) as (api, _):
        for _ in range(3):
            assert api.invoke(envelope(TEST_USER)).reply["statusCode"] in (200, 201)
            session, = sessions(database)
            database.value(f"select pg_terminate_backend({session['pid']})")
            until(lambda: not sessions(database), what="the end of the session")


class Router:
    """A TCP proxy to the database's socket that forgets its connections without a word, as a NAT gateway does."""

    def __init__(self, path):
        self.path, self.listener = path, socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.generation, self.accepted = 0, 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.accepted += 1
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.path)
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self.copy, args=(*pair, self.generation), daemon=True).start()

    def copy(self, source, target, generation):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if generation == self.generation:
                    target.sendall(data)
            if generation == self.generation:
                target.shutdown(socket.SHUT_WR)

    def forget(self):
        self.generation += 1

    def close(self):
        self.listener.close()


@pytest.mark.seconds(90)
def test_connection_that_was_forgotten_during_a_freeze_costs_a_second(cluster, database):
    """After an idle time the connection is tested before it is used: the lead is stored, once."""
    router = Router(f"{cluster.home}/.s.PGSQL.5432")
    url = f"postgresql://leadpipe@127.0.0.1:{router.port}/{database.name}"
    try:
        with function("lead-capture", DATABASE_URL=url) as (api, started):
            assert api.invoke(envelope(TEST_USER)).reply["statusCode"] == 201
            # A frozen process.
            os.kill(started.process.pid, signal.SIGSTOP)
            time.sleep(31)
            router.forget()
            os.kill(started.process.pid, signal.SIGCONT)
            start = time.monotonic()
            result = api.invoke(envelope({**TEST_USER, "customerEmail": "other@example.com", "customerPhone": "+971501234568"}))
            assert result.reply["statusCode"] == 201
            assert time.monotonic() - start < 3
            assert router.accepted == 2
            assert database.count("conversations") == 2
    finally:
        router.close()


def test_wake_up_is_sent_before_the_process_is_frozen(database):
    """With WAKE=notify, the NOTIFY arrives although the process is stopped as soon as it asks for the next event."""
    with Session(database.url) as listener, function("lead-capture", DATABASE_URL=database.url, WAKE="notify") as (api, started):
        listener.text("listen leadpipe_wake")
        asked = api.asked
        assert api.invoke(envelope(TEST_USER)).reply["statusCode"] == 201
        until(lambda: api.asked > asked, what="the next GET next")
        os.kill(started.process.pid, signal.SIGSTOP)
        assert "Asynchronous notification" in listener.text("select 1")
        os.kill(started.process.pid, signal.SIGCONT)


def test_process_is_confined_as_a_long_lived_one(database):
    """The runtime API is reachable although nothing else is, and no limit of CPU time ends the process."""
    with function("lead-capture", DATABASE_URL=database.url) as (api, started):
        process = Path(f"/proc/{started.process.pid}")
        limits = {line[:26].strip(): line[26:].split()[0] for line in (process / "limits").read_text().splitlines()}
        assert limits["Max core file size"] == "0"
        assert limits["Max open files"] == "256"
        assert limits["Max cpu time"] == "unlimited"
        status = (process / "status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
        assert api.invoke(envelope(TEST_USER)).reply["statusCode"] == 201
        assert "Confinement is incomplete" not in started.close()


# ── The worker ──

def test_worker_works_from_each_event_until_shortly_before_the_deadline(database, providers):
    """A shift ends 22 s before Lambda would end the process. Frozen in between, the worker goes on with the next event."""
    slack = {"SLACK_WEBHOOK_URL": providers.settings["SLACK_WEBHOOK_URL"]}
    with function("lead-capture", DATABASE_URL=database.url) as (leads, _), \
            function("worker", DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **slack) as (api, started):
        for number in range(2):
            lead = {**TEST_USER, "customerEmail": f"{number}@example.com", "customerPhone": f"+97150123456{number}"}
            assert leads.invoke(envelope(lead)).reply["statusCode"] == 201
            begun = time.monotonic()
            api.put({"source": "aws.events"}, milliseconds=25_500)
            until(lambda number=number: len(providers.of("slack")) == number + 1, 3, "the message")
            result = api.results.get(timeout=10)
            assert (result.kind, result.json) == ("response", {"seconds": 3})
            assert 2.5 < time.monotonic() - begun < 5
            # No step is left that the freeze could stop while it holds something.
            assert not Path(f"/proc/{started.process.pid}/task/{started.process.pid}/children").read_text().strip()
            os.kill(started.process.pid, signal.SIGSTOP)
            time.sleep(0.2)
            os.kill(started.process.pid, signal.SIGCONT)
        assert database.value("select count(*) from notification_logs where status = 'sent'") == "2"
        # Too little time for a shift.
        assert api.invoke({}, milliseconds=20_000).json == {"seconds": 0}


def test_worker_reports_wrong_settings(database):
    api = RuntimeAPI()
    try:
        code, log = Function(api, "worker", DATABASE_URL=database.url, WORKER_POLL_SECONDS="0", SLACK_WEBHOOK_URL="https://hooks.slack.com/x").wait()
        assert code == 78
        assert "WORKER_POLL_SECONDS" in log
        assert [report.json["errorType"] for report in api.init_errors] == ["Runtime.InvalidSettings"]
        assert api.asked == 0
    finally:
        api.close()
