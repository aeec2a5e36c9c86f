"""HTTP requests of clients through the gateway to real handlers. The gateway's own suite tests the details."""

import http.client
import json
import socket
import subprocess
import time

import pytest

from common import BIN, HANDLERS, TEST_USER, clean_environment, free_port, until
from instance import Instance


@pytest.fixture(scope="module")
def instance(cluster):
    database = cluster.migrated()
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false") as instance:
        yield instance
    cluster.drop(database)


def talk(instance, *parts, seconds=8):
    """Writes the parts as they are and reads the response to the end."""
    with socket.create_connection(("127.0.0.1", instance.port), timeout=seconds) as connection:
        try:
            for part in parts:
                connection.sendall(part if isinstance(part, bytes) else part.encode())
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        while True:
            try:
                chunk = connection.recv(65_536)
            except ConnectionResetError:
                break
            if not chunk:
                break
            answer += chunk
    return answer.decode(errors="replace")


def status_of(answer):
    assert answer.startswith("HTTP/1."), answer[:200]
    return int(answer.split()[1])


@pytest.mark.parametrize("path, method, status", [
    ("/", "GET", 404), ("/api/chatbot/lead", "POST", 404), ("/api/chatbot/leads/", "POST", 404), ("/API/chatbot/leads", "POST", 404),
    ("/api/../health", "GET", 400), ("/%68ealth", "GET", 404), ("/bin/sh", "GET", 404), ("/lead-capture", "POST", 404),
    ("/api/chatbot/leads", "GET", 405), ("/api/chatbot/leads", "DELETE", 405), ("/health", "POST", 405),
])
def test_unknown_routes_and_methods(instance, path, method, status):
    body = {} if method == "POST" else None
    answered, headers, problem = instance.http(path, body, method=method)
    assert answered == status
    assert problem["status"] == status and problem["error"] == problem["title"]
    assert problem["requestId"] == headers["x-request-id"]
    if status == 405:
        assert "OPTIONS" in headers["allow"]


def test_health_accepts_head_and_get(instance):
    assert instance.http("/health", method="HEAD")[::2] == (200, None)
    assert instance.http("/health?x=1")[0] == 200


@pytest.mark.parametrize("body, headers, status", [
    (b"{", {}, 400), (b"", {}, 400), (json.dumps(TEST_USER).encode(), {"Content-Type": "text/plain"}, 415),
    (json.dumps(TEST_USER).encode(), {"Content-Encoding": "gzip"}, 415), (b"x" * 262_145, {}, 413), (b"[" * 60_000, {}, 400),
    (b'{"\xff\xfe": "a"}', {}, 400), (b'{"a\\u0000b": "a"}', {}, 400),
], ids=["broken", "empty", "text", "gzip", "too-large", "deep", "no-utf-8", "nul"])
def test_rejects_a_bad_body_and_stores_nothing(instance, body, headers, status):
    before = instance.database.count("conversations")
    answered, replied, problem = instance.http("/api/chatbot/leads", body, headers=headers)
    assert (answered, problem["status"]) == (status, status)
    assert replied["content-type"].startswith("application/problem+json")
    assert instance.database.count("conversations") == before


def test_reports_all_validation_errors(instance):
    status, _, problem = instance.http("/api/chatbot/leads", {"customerPhone": "x", "leadScore": 200})
    assert status == 400
    assert [error["path"] for error in problem["details"]] == ["customerName", "customerPhone", "leadScore"]


def test_uses_and_logs_the_clients_request_id(instance):
    _, headers, _ = instance.http("/api/chatbot/leads", TEST_USER, headers={"X-Request-Id": "from-the-client-1"})
    assert headers["x-request-id"] == "from-the-client-1"
    instance.wait_log("requestId=from-the-client-1")


def test_repeated_idempotency_key_gets_the_first_reply(instance):
    first = instance.http("/api/chatbot/leads", TEST_USER, headers={"Idempotency-Key": "http-1"})
    again = instance.http("/api/chatbot/leads", TEST_USER, headers={"Idempotency-Key": "http-1"})
    other = instance.http("/api/chatbot/leads", {**TEST_USER, "intent": "rent"}, headers={"Idempotency-Key": "http-1"})
    assert (first[0], again[0], other[0]) == (201, 201, 422)
    assert first[2]["id"] == again[2]["id"]
    assert "idempotency-replayed" not in first[1] and again[1]["idempotency-replayed"] == "true"


BODY = json.dumps(TEST_USER)
HEAD = "POST /api/chatbot/leads HTTP/1.1\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("raw", [
    f"{HEAD}Host: x\r\nContent-Length: {len(BODY)}\r\nTransfer-Encoding: chunked\r\n\r\n{BODY}",
    f"{HEAD}Host: x\r\nContent-Length: {len(BODY)}\r\nContent-Length: {len(BODY) + 1}\r\n\r\n{BODY}",
    f"{HEAD}Host: x\r\nContent-Length: +{len(BODY)}\r\n\r\n{BODY}",
    f"{HEAD}Host: x\r\nContent-Length: 0x10\r\n\r\n{BODY}",
    f"{HEAD}Host: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    f"{HEAD}Host: x\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    f"{HEAD}Content-Length: {len(BODY)}\r\n\r\n{BODY}",
    f"{HEAD}Host: x\r\nHost: y\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}",
    f"{HEAD}Host : x\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}",
    f"{HEAD}Host: x\r\nX-A: a\x00b\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}",
], ids=["CL-and-TE", "two-CL", "plus-CL", "hex-CL", "unknown-TE", "plus-chunk", "no-host", "two-hosts", "space-before-colon", "NUL"])
def test_rejects_malformed_framing_and_closes_the_connection(instance, raw):
    before = instance.database.count("conversations")
    assert status_of(talk(instance, raw)) == 400
    assert instance.database.count("conversations") == before


def test_returns_431_for_large_headers(instance):
    assert status_of(talk(instance, f"GET /health HTTP/1.1\r\nHost: x\r\nX-Large: {'l' * 40_000}\r\n\r\n")) == 431


def test_incomplete_body_stores_nothing(instance):
    before = instance.database.count("conversations")
    with socket.create_connection(("127.0.0.1", instance.port), timeout=5) as connection:
        connection.sendall(f"{HEAD}Host: x\r\nContent-Length: {len(BODY) + 9}\r\n\r\n{BODY}".encode())
    assert instance.http("/health")[0] == 200
    assert instance.database.count("conversations") == before


def test_two_requests_on_one_connection_get_their_own_replies(instance):
    one = f"{HEAD}Host: x\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}"
    last = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = talk(instance, one + last)
    assert answer.count("HTTP/1.1 201") == 1 and answer.count("HTTP/1.1 200") == 1
    assert answer.index("HTTP/1.1 201") < answer.index("HTTP/1.1 200")


def test_headers_do_not_become_environment_variables(instance):
    status, _, _ = instance.http("/api/chatbot/leads", TEST_USER, headers={"Proxy": "http://127.0.0.1:1", "LOG_LEVEL": "debug", "DATABASE_URL": "x"})
    assert status == 201


SCRIPT = """#!/bin/sh
if [ "$1" = --describe ]; then
  echo '{"name":"NAME","kind":"endpoint","summary":"s","routes":[{"method":"GET","path":"/NAME"}],"access":"public",
    "rateClass":"default","bodyLimit":1024,"timeLimitMs":1500,"environment":[{"name":"DATABASE_URL","required":true},
    {"name":"SLACK_WEBHOOK_URL","required":true},{"name":"LOG_LEVEL","required":false}],"input":{"type":"object"},"output":{"type":"object"}}'
  exit 0
fi
BODY
"""


def test_hosts_foreign_handlers_and_contains_their_failures(cluster, tmp_path, providers):
    """Handlers that print their environment, die, write garbage or hang. Each fails only its own request."""
    folder = tmp_path / "handlers"
    folder.mkdir()
    for path in HANDLERS.glob("[!.]*"):
        (folder / path.name).symlink_to(path)
    strangers = {
        "shows": """cat >/dev/null; printf '{"statusCode":200,"body":"%s"}' "$(env | cut -d= -f1 | sort | tr '\\n' ' ')" """,
        "dies": "kill -9 $$", "babbles": "cat >/dev/null; echo hello", "hangs": "trap '' TERM; sleep 30 & sleep 30",
        "rings": """cat >/dev/null; printf '{"statusCode":200,"headers":{"x-a":"1\\\\u00072"},"body":""}'""",
        "splits": """cat >/dev/null; printf '{"statusCode":200,"headers":{"x-a":"1\\\\r\\\\nSet-Cookie: a=b"},"body":""}'""",
    }
    for name, body in strangers.items():
        path = folder / name
        path.write_text(SCRIPT.replace("NAME", name).replace("BODY", body))
        path.chmod(0o755)
    database = cluster.migrated()
    with Instance(DATABASE_URL=database.url, LEADPIPE_HANDLERS=str(folder), ENABLE_NOTIFICATION_WORKER="false", **providers.settings) as instance:
        status, _, _ = instance.http("/dies")
        assert status == 502
        assert instance.http("/babbles")[0] == 502
        assert instance.http("/splits")[0] == 502
        assert instance.http("/rings")[0] == 502
        began = time.monotonic()
        assert instance.http("/hangs")[0] == 504
        assert time.monotonic() - began < 8
        until(lambda: not instance.processes("sleep 30"), 5, "the end of its child processes")
        instance.wait_log("504: ")
        assert instance.log.count("[ERROR] 502: ") == 4
        # A foreign handler gets class none: no database and no secret, whatever it describes.
        raw = talk(instance, "GET /shows HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert status_of(raw) == 200
        names = set(raw.rpartition("\r\n\r\n")[2].split())
        assert not names & {"DATABASE_URL", "SLACK_WEBHOOK_URL", "ADMIN_API_KEY", "PATH_INFO"}, names
        assert instance.http("/api/chatbot/leads", TEST_USER)[0] == 201
    cluster.drop(database)


def test_health_keeps_its_form_when_the_database_does_not_respond():
    with socket.create_server(("127.0.0.1", 0)) as hole:
        database = f"postgresql://x@127.0.0.1:{hole.getsockname()[1]}/x"
        port = free_port()
        gateway = subprocess.Popen([BIN / "gateway"], stderr=subprocess.PIPE, text=True,
                                   env=clean_environment(DATABASE_URL=database, PORT=str(port)))
        try:
            line = gateway.stderr.readline()
            assert "Gateway listening" in line, line
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
            connection.request("GET", "/health")
            reply = connection.getresponse()
            assert reply.status == 503
            assert json.loads(reply.read())["database"] == "away"
        finally:
            gateway.terminate()
            assert gateway.wait(20) == 0
            gateway.stderr.close()


def test_rejects_a_folder_with_one_route_twice(cluster, tmp_path):
    folder = tmp_path / "handlers"
    folder.mkdir()
    for path in HANDLERS.glob("[!.]*"):
        (folder / path.name).symlink_to(path)
    (folder / "twin").write_text(SCRIPT.replace("/NAME", "/health").replace("NAME", "twin").replace("BODY", ""))
    (folder / "twin").chmod(0o755)
    instance = Instance(command=("gateway",), LEADPIPE_HANDLERS=str(folder), DATABASE_URL=cluster.url("postgres"))
    try:
        instance.start(ready=False)
        assert instance.process.wait(15) == 78
        assert "GET /health is claimed by both health-check and twin" in instance.log
    finally:
        instance.__exit__()
