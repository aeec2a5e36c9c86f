"""SCGI: the gateway replies as by HTTP, alone with a socket and behind nginx with deploy/nginx/scgi.conf. The last tests
run deploy/nginx/http.conf in the same way."""

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import time
from types import SimpleNamespace

import pytest

import scgi
from admin import KEY
from common import TEST_USER, clean_environment, free_port, until
from gateway import DESCRIPTION, GatewayWith, route
from instance import Instance
from listener import Listener
from nginx import deployed

ORIGIN = "https://www.example.com"
# What belongs to a connection or to the moment.
UNCOMPARED = {"connection", "date", "keep-alive", "server", "status", "ratelimit", "x-ratelimit-reset", "x-ratelimit-remaining", "transfer-encoding"}
BODY = b'{"a":1}'


def handler(name, path, lines, rate_class="default"):
    description = (DESCRIPTION.replace("NAME", name).replace("ROUTES", ",".join(route(method, path) for method in ("GET", "POST")))
                   .replace("ACCESS", "public").replace("CLASS", rate_class))
    return f"""#!/bin/sh
if [ "$1" = --describe ]; then echo '{description}'; exit; fi
{lines}
"""


# Replies with the envelope without what differs between two requests.
ECHO = r"""body=$(sed 's/"\(requestId\|time\|traceparent\|x-request-id\)":"[^"]*",\{0,1\}//g; s/"\(timeEpoch\|deadlineMs\)":[0-9]*,\{0,1\}//g' |
   sed 's/"content-length":"0",*//g; s/,}/}/g' | base64 -w0)
printf '{"statusCode":201,"headers":{"location":"/form/1","x-made":"a","status":"500"},"cookies":["a=1","b=2"],"isBase64Encoded":true,"body":"%s"}' "$body" """
STORED = """cat > /dev/null; sleep 1; echo >> FILE; echo '{"statusCode":201,"body":"ok"}'"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scgi")
    stored = folder / "stored"
    stored.touch()
    handlers = {"form": handler("form", "/form/{id}", ECHO), "plain": handler("plain", "/form", ECHO),
                "limited": handler("limited", "/limited", "cat > /dev/null; echo '{\"statusCode\":200}'", "contact"),
                "slow": handler("slow", "/slow", STORED.replace("FILE", str(stored)))}
    with GatewayWith(folder, handlers, {"slow": {"class": "none", "write": [str(stored)]}}, LEADPIPE_SCGI=f"unix:{folder}/scgi.sock",
                     RATE_LIMIT_DEFAULT="off", RATE_LIMIT_CONTACT="2/60", FRONTEND_URL=ORIGIN, TRUSTED_PROXIES="127.0.0.1,192.0.2.0/24",
                     LEADPIPE_HEADER_MS="1500", LEADPIPE_BODY_MS="1500") as gateway:
        gateway.scgi = scgi.address(gateway)
        gateway.stored = stored
        yield gateway


@pytest.fixture(scope="module", params=["scgi.conf", "http.conf"])
def served(gateway, tmp_path_factory, request):
    """The gateway behind nginx with a file of deploy/nginx."""
    folder = tmp_path_factory.mktemp("nginx") / "run"
    upstream = f"unix:{gateway.scgi}" if request.param == "scgi.conf" else f"127.0.0.1:{gateway.port}"
    with deployed(folder, request.param, upstream) as port:
        yield SimpleNamespace(port=port, name=request.param, folder=folder)


def through(served, method, path, body=None, seconds=8, **headers):
    """(status, headers, body) through nginx."""
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection("127.0.0.1", served.port, timeout=seconds, context=context)
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Host": "localhost", **({"Content-Type": "application/json"} if body else {}), **headers})
        answer = connection.getresponse()
        fields = {}
        for name, value in answer.getheaders():
            fields[name.lower()] = f"{fields[name.lower()]}, {value}" if name.lower() in fields else value
        return answer.status, fields, answer.read()


def by_http(gateway, method, path, body=None, **headers):
    """(status, headers, body) from the gateway itself."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=8)
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Host": "localhost", **({"Content-Type": "application/json"} if body else {}), **headers})
        answer = connection.getresponse()
        fields = {}
        for name, value in answer.getheaders():
            fields[name.lower()] = f"{fields[name.lower()]}, {value}" if name.lower() in fields else value
        return answer.status, fields, answer.read()


def comparable(answer):
    status, headers, body = answer
    headers = {name: value for name, value in headers.items() if name not in UNCOMPARED}
    if status == 405:
        # A method that no route has is refused before the request has an id.
        body = body.replace(headers.pop("x-request-id").encode(), b"")
    return status, headers, body


ID = {"X-Request-Id": "the-same"}
REQUESTS = {
    "GET": ("GET", "/form/a%20b?c=d&c=e+f", None, {"Cookie": "a=1; b=2", "X-Thing": "t"}), "HEAD": ("HEAD", "/form", None, {}),
    "POST": ("POST", "/form", BODY, {}), "POST without a body": ("POST", "/form", None, {}), "DELETE": ("DELETE", "/form", None, {}),
    "OPTIONS": ("OPTIONS", "/form", None, {}), "unknown path": ("GET", "/nowhere", None, {}), "unknown method": ("BREW", "/form", None, {}),
    "preflight": ("OPTIONS", "/form", None, {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}),
    "refused preflight": ("OPTIONS", "/form", None, {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}),
    "origin": ("POST", "/form", BODY, {"Origin": ORIGIN}), "wrong type": ("POST", "/form", BODY, {"Content-Type": "text/plain"}),
    "too large": ("POST", "/form", b"x" * 70_000, {}), "malformed path": ("GET", "/form/%2e%2e/x", None, {}), "malformed query": ("GET", "/form?%zz", None, {}),
    "two keys": ("POST", "/form", BODY, {"Idempotency-Key": "a", "idempotency-key": "b"}),
}


@pytest.mark.parametrize("name", [name for name in REQUESTS if name != "two keys"])
def test_replies_as_by_http(gateway, name):
    method, target, body, headers = REQUESTS[name]
    headers = {**headers, **ID}
    direct = by_http(gateway, method, target, body, **headers)
    more = {"HTTP_" + key.upper().replace("-", "_"): value for key, value in headers.items() if key.lower() != "content-type"}
    if "Content-Type" in headers:
        more["CONTENT_TYPE"] = headers["Content-Type"]
    answer = scgi.ask(gateway.scgi, method, target, body or b"", REMOTE_ADDR="127.0.0.1", HTTP_ACCEPT_ENCODING="identity", **more)
    assert comparable(answer) == comparable(direct)
    assert not {"connection", "transfer-encoding", "date", "keep-alive"} & answer[1].keys()


@pytest.mark.parametrize("name", REQUESTS)
def test_replies_as_by_http_behind_nginx(gateway, served, name):
    method, target, body, headers = REQUESTS[name]
    status, fields, text = through(served, method, target, body, **headers)
    direct = by_http(gateway, method, target, body, **{**headers, "X-Request-Id": fields["x-request-id"], "X-Forwarded-For": "127.0.0.1"})
    if direct[1].get("content-type") == "application/problem+json" or method != "HEAD" and not (200 <= status < 300):
        assert comparable((status, fields, text)) == comparable(direct)
    else:
        # The envelope shows how the request came.
        assert status == direct[0]
        assert fields.keys() - UNCOMPARED == direct[1].keys() - UNCOMPARED
        assert {k: fields[k] for k in ("vary", "location", "set-cookie", "allow") if k in fields} == {
            k: direct[1][k] for k in ("vary", "location", "set-cookie", "allow") if k in direct[1]}
        if text:
            own, other = json.loads(text), json.loads(direct[2])
            for member in ("rawPath", "rawQueryString", "queryStringParameters", "pathParameters", "cookies", "body", "routeKey"):
                assert own.get(member) == other.get(member)
            assert own["requestContext"]["http"]["sourceIp"] == "127.0.0.1"


def test_every_split_of_a_request(gateway):
    data = scgi.request("POST", "/form", BODY, HTTP_X_REQUEST_ID="the-same")
    whole = scgi.parse(scgi.raw(gateway.scgi, data))
    assert whole[0] == 201
    for split in range(1, len(data), 7):
        with scgi.connect(gateway.scgi) as connection:
            connection.sendall(data[:split])
            time.sleep(0.002)
            connection.sendall(data[split:])
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert comparable(scgi.parse(answer)) == comparable(whole), split


PAIRS = b"CONTENT_LENGTH\x000\x00SCGI\x001\x00REQUEST_METHOD\x00GET\x00REQUEST_URI\x00/form\x00HTTP_HOST\x00a\x00"
MALFORMED = {
    "HTTP": (b"GET /form HTTP/1.1\r\nHost: a\r\n\r\n", 400), "TLS": (b"\x16\x03\x01\x02\x00\x01", 400), "empty head": (b"0:,", 400),
    "leading zero": (b"0" + scgi.netstring(PAIRS), 400), "sign": (b"+" + scgi.netstring(PAIRS), 400), "no comma": (scgi.netstring(PAIRS)[:-1] + b";", 400),
    "too short": (b"%d:%s," % (len(PAIRS) - 1, PAIRS), 400), "no NUL at the end": (scgi.netstring(PAIRS[:-1]), 400),
    "not CONTENT_LENGTH first": (scgi.netstring(b"SCGI\x001\x00" + PAIRS), 400), "no SCGI": (scgi.netstring(PAIRS.replace(b"SCGI", b"SCGX")), 400),
    "control character": (scgi.request(HTTP_X="a\rb"), 400),
    "line end": (scgi.request(HTTP_X="a\r\nX-Evil: b"), 400), "not UTF-8": (scgi.request(HTTP_X="\xff"), 400),
    "name": (scgi.request(**{"HTTP_A B": "x"}), 400), "no host": (scgi.request(HTTP_HOST=None, SERVER_NAME=None), 400),
    "host": (scgi.request(HTTP_HOST="a@b"), 400),
    "target": (scgi.request(REQUEST_URI="/a b"), 400), "version": (scgi.request(SERVER_PROTOCOL="HTTP/9"), 400),
    "length": (scgi.request(CONTENT_LENGTH="+5"), 400),
    "huge length": (scgi.request(CONTENT_LENGTH="9" * 18), 413), "large body": (scgi.request(body=b"x" * 70_000), 413),
    "announced head": (b"999999999:", 431),
    "large header": (scgi.request(HTTP_X="x" * 17_000), 431), "many headers": (scgi.request(**{f"HTTP_X{n}": "" for n in range(101)}), 431),
    "long target": (scgi.request(target="/form?" + "x" * 8200), 414), "expectation": (scgi.request(HTTP_EXPECT="a miracle"), 417),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_refused_at_once(gateway, name):
    data, status = MALFORMED[name]
    began = time.monotonic()
    got, headers, body = scgi.parse(scgi.raw(gateway.scgi, data))
    assert (got, headers["content-type"]) == (status, "application/problem+json") and json.loads(body)["status"] == status
    assert time.monotonic() - began < 1.4


def test_a_request_that_ends_early_is_refused(gateway):
    data = scgi.request("POST", "/form", BODY)
    for count in range(1, len(data), 11):
        status, _, body = scgi.parse(scgi.raw(gateway.scgi, data[:count], close=True))
        assert status == 400 and "ends early" in json.loads(body)["detail"], count
    assert scgi.raw(gateway.scgi, b"", close=True) == b""


def test_a_request_that_stops_is_refused_in_time(gateway):
    data = scgi.request("POST", "/form", BODY)
    for count in (1, 40, len(data) - 8, len(data) - 1):
        began = time.monotonic()
        assert scgi.parse(scgi.raw(gateway.scgi, data[:count]))[0] == 408
        assert 1.4 < time.monotonic() - began < 6
    began = time.monotonic()
    assert scgi.raw(gateway.scgi) == b"" and time.monotonic() - began < 6


def test_bytes_behind_a_request_are_ignored(gateway):
    answer = scgi.raw(gateway.scgi, scgi.request("POST", "/form", BODY) + scgi.request("POST", "/form", BODY))
    assert answer.count(b"Status: ") == 1 and scgi.parse(answer)[0] == 201


def source(gateway, **more):
    return json.loads(scgi.ask(gateway.scgi, "GET", "/form", **more)[2])["requestContext"]["http"]["sourceIp"]


def test_the_web_server_names_the_client(gateway):
    assert source(gateway, REMOTE_ADDR="198.51.100.9") == "198.51.100.9"
    # X-Forwarded-For counts only if REMOTE_ADDR is a trusted proxy.
    assert source(gateway, REMOTE_ADDR="198.51.100.9", HTTP_X_FORWARDED_FOR="203.0.113.5") == "198.51.100.9"
    assert source(gateway, REMOTE_ADDR="192.0.2.9", HTTP_X_FORWARDED_FOR="203.0.113.5") == "203.0.113.5"
    assert source(gateway, REMOTE_ADDR="::ffff:198.51.100.9") == "198.51.100.9"
    for unknown in (None, "", "nobody", "1.2.3.4, 5.6.7.8", "unix:"):
        assert source(gateway, REMOTE_ADDR=unknown) == ""


def test_rate_limits_count_clients(gateway):
    def status(**more):
        answer = scgi.ask(gateway.scgi, "POST", "/limited", BODY, **more)
        return answer[0], answer[1].get("retry-after")
    assert [status(REMOTE_ADDR="198.51.100.1")[0] for _ in range(3)] == [200, 200, 429]
    assert status(REMOTE_ADDR="198.51.100.2")[0] == 200
    assert 1 <= int(status(REMOTE_ADDR="198.51.100.1")[1]) <= 60
    # Clients without a valid address share one limit.
    assert [status(REMOTE_ADDR=address)[0] for address in (None, "x", "")] == [200, 200, 429]


def test_dangerous_headers_do_not_reach_a_handler(gateway):
    envelope = json.loads(scgi.ask(gateway.scgi, "POST", "/form", BODY, HTTP_PROXY="http://evil", HTTP_CONTENT_LENGTH="1", HTTP_TRANSFER_ENCODING="chunked",
                                   HTTP_CONTENT_TYPE="text/evil", HTTP_X_FINE="yes")[2])
    assert envelope["headers"]["x-fine"] == "yes" and envelope["headers"]["content-length"] == "7" and envelope["headers"]["content-type"] == "application/json"
    assert not {"proxy", "transfer-encoding", "connection"} & envelope["headers"].keys()


# ── Behind nginx ──

def test_requests_are_counted_behind_nginx(gateway, served):
    # Each file has its own client, because the limit is for both.
    source = {"scgi.conf": "127.0.0.3", "http.conf": "127.0.0.4"}[served.name]
    context = ssl._create_unverified_context()
    statuses = []
    for _ in range(3):
        connection = http.client.HTTPSConnection("127.0.0.1", served.port, timeout=8, context=context, source_address=(source, 0))
        with contextlib.closing(connection):
            connection.request("POST", "/limited", BODY, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            statuses.append(answer.status)
            body = answer.read()
    assert statuses == [200, 200, 429] and answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) == json.loads(body)["retryAfterSeconds"] >= 1


def problem(answer, status):
    assert answer[0] == status and answer[1]["content-type"] == "application/problem+json" and answer[1]["cache-control"] == "no-store"
    document = json.loads(answer[2])
    assert (document["status"], document["requestId"]) == (status, answer[1]["x-request-id"])
    assert {"type", "title", "code", "detail", "error"} <= document.keys()
    return document


def test_nginx_refuses_with_problems(served):
    assert problem(through(served, "POST", "/form", b"x" * 300_000), 413)["code"] == "body_too_large"
    assert problem(through(served, "GET", "/form?" + "x" * 20_000), 414)["code"] == "target_too_long"
    assert problem(through(served, "GET", "/form", None, X="x" * 20_000), 431)["code"] == "headers_too_large"
    assert problem(through(served, "GET", "/form", None, Host="a b"), 400)["code"] == "malformed_request"


def test_nginx_replies_503_without_a_gateway(tmp_path):
    for name, upstream in (("scgi.conf", f"unix:{tmp_path}/nothing"), ("http.conf", f"127.0.0.1:{free_port()}")):
        with deployed(tmp_path / name, name, upstream) as port:
            answer = through(SimpleNamespace(port=port), "POST", "/form", BODY)
            assert problem(answer, 503)["retryAfterSeconds"] == int(answer[1]["retry-after"])


def test_http_2_and_chunked_bodies(served):
    address = f"https://localhost:{served.port}/form"
    post = ["curl", "-sk", "-H", "Content-Type: application/json", "-d", BODY.decode(), address]

    def curl(*more):
        return subprocess.run([*post, *more], capture_output=True, text=True, timeout=20, env=clean_environment(), check=True).stdout.rpartition("\n")
    body, _, version = curl("--http2", "-w", "\n%{http_version} %{http_code}")
    assert version == "2 201" and json.loads(body)["body"] == BODY.decode()
    body, _, status = curl("--http1.1", "-w", "\n%{http_code}", "-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue")
    assert status == "201" and json.loads(body)["body"] == BODY.decode()


def test_a_client_that_leaves_does_not_stop_its_request(gateway, served):
    before = gateway.stored.read_text().count("\n")
    context = ssl._create_unverified_context()
    connection = context.wrap_socket(socket.create_connection(("127.0.0.1", served.port), timeout=8), server_hostname="localhost")
    connection.sendall(b"POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n" + BODY)
    time.sleep(0.4)
    connection.close()
    until(lambda: gateway.stored.read_text().count("\n") == before + 1, 10, "the request of the client that left")


@pytest.mark.seconds(120)
def test_live_feed(cluster, tmp_path):
    base = cluster.migrated()
    place = f"/tmp/lps-{free_port()}.sock"
    settings = {"DATABASE_URL": base.url, "ADMIN_API_KEY": KEY, "ENABLE_NOTIFICATION_WORKER": "false", "LEADPIPE_SCGI": f"unix:{place}"}
    with Instance(**settings) as instance:
        conversation = instance.capture(TEST_USER)

        def emit(mark):
            base.run(f"select public.emit_lead_event('lead.updated', '{conversation}', '{{\"mark\": \"{mark}\"}}')")
        # Without a web server: the head at once, then each event.
        with scgi.connect(place, 20) as connection:
            connection.sendall(scgi.request("GET", "/api/admin/live", HTTP_X_ADMIN_API_KEY=KEY))
            received = b""
            for mark in range(3):
                while received.count(b"\nid: ") < mark + 1:
                    received += connection.recv(65_536)
                emit(mark)
            head = received.partition(b"\r\n\r\n")[0].decode()
            assert head.startswith("Status: 200 OK\r\n") and "content-type: text/event-stream" in head
            assert "content-length" not in head and "transfer-encoding" not in head
        for name, upstream in (("scgi.conf", f"unix:{place}"), ("http.conf", f"127.0.0.1:{instance.port}")):
            with deployed(tmp_path / name, name, upstream) as port:
                listener = TLSListener(port).beginning()
                for mark in range(5):
                    before = time.monotonic()
                    emit(mark)
                    assert listener.next().data["conversationId"] == conversation and time.monotonic() - before < 5
                listener.close()
    cluster.drop(base)


class TLSListener(Listener):
    def __init__(self, port):
        self.id = None
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=ssl._create_unverified_context())
        self.connection.request("GET", "/api/admin/live", headers={"x-admin-api-key": KEY})
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
