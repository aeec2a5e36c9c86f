"""Client addresses, rate limits and CORS in the real gateway, with and without nginx."""

import http.client
import json
import socket
import subprocess
import time

import pytest

import handlers
from common import TEST_USER, clean_environment, until
from gateway import Gateway
from instance import Instance
from nginx import nginx

LIMIT = "2/60"
KEY = "the-admin-key-of-the-tests"


def http_from(port, source, path="/api/chatbot/leads", body=TEST_USER, method="POST", **headers):
    """(status, headers in lower case, document), sent from a loopback address."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=(source, 0))
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None,
                           {**({"Content-Type": "application/json"} if body is not None else {}),
                            **{name.replace("_", "-"): value for name, value in headers.items()}})
        answer = connection.getresponse()
        text = answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, json.loads(text) if "json" in headers.get("content-type", "") else None
    finally:
        connection.close()


# ── Leads, with the default limits ──

@pytest.fixture(scope="module")
def instance(cluster):
    database = cluster.migrated()
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", FRONTEND_URL="https://good.com/app", RATE_LIMIT_LEAD="",
                  RATE_LIMIT_CONTACT="", RATE_LIMIT_ADMIN="", RATE_LIMIT_EXPORT="", RATE_LIMIT_DEFAULT="", ADMIN_API_KEY=KEY) as instance:
        # The first request with a key is counted for the address, the others for the key.
        assert http_from(instance.port, "127.0.0.1", "/api/admin/session", None, "GET", X_Admin_API_Key=KEY)[0] == 200
        yield instance
    cluster.drop(database)


def test_rejects_the_eleventh_lead_of_a_minute_of_one_client_only(instance):
    before = instance.database.count("conversations")
    for n in range(10):
        status, headers, _ = http_from(instance.port, "127.0.0.10", body={**TEST_USER, "customerName": f"Lead {n}"})
        assert status == 201
        assert headers["ratelimit-policy"] == '"lead";q=10;w=60' and headers["ratelimit"].startswith(f'"lead";r={9 - n};t=')
        assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("10", str(9 - n))
        assert 0 <= int(headers["x-ratelimit-reset"]) - time.time() <= 61
    status, headers, problem = http_from(instance.port, "127.0.0.10")
    assert status == 429 and problem["status"] == 429 and problem["error"] == "Too many requests"
    assert 1 <= int(headers["retry-after"]) <= 60 and headers["ratelimit"] == f'"lead";r=0;t={headers["retry-after"]}'
    # Forged headers do not change a client's address, and the limit of leads does not apply to /health.
    for name in ("X_Forwarded_For", "Forwarded", "X_Real_IP", "CF_Connecting_IP", "True_Client_IP", "X_Client_IP"):
        value = "for=203.0.113.99" if name == "Forwarded" else "203.0.113.99"
        assert http_from(instance.port, "127.0.0.10", **{name: value})[0] == 429
    assert http_from(instance.port, "127.0.0.10", "/health", None, "GET")[0] == 200
    assert http_from(instance.port, "127.0.0.11")[0] == 201
    assert instance.database.count("conversations") == before + 11


@pytest.mark.parametrize(("method", "path", "body", "policy", "number"), [
    ("POST", "/api/contact", {"customerName": "Test User", "customerEmail": "test@example.com", "message": "A test"}, "contact", 5),
    ("GET", "/api/admin/conversations?limit=1", None, "admin", 120),
    ("GET", "/api/admin/conversations/export?format=csv", None, "export", 5),
])
def test_each_class_has_the_limit_of_the_checklist(instance, method, path, body, policy, number):
    replies = [http_from(instance.port, "127.0.0.15", path, body, method, X_Admin_API_Key=KEY)[:2] for _ in range(number + 1)]
    assert {headers["ratelimit-policy"] for _, headers in replies} == {f'"{policy}";q={number};w=60'}
    assert [status == 429 for status, _ in replies] == [False] * number + [True]


def test_health_has_the_default_limit(instance):
    _, headers, _ = http_from(instance.port, "127.0.0.14", "/health", None, "GET", Origin="https://good.com")
    assert headers["ratelimit-policy"] == '"default";q=60;w=60' and headers["access-control-allow-origin"] == "https://good.com"
    statuses = [http_from(instance.port, "127.0.0.12", "/health", None, "GET")[0] for _ in range(61)]
    assert statuses == [200] * 60 + [429]


def test_accepts_ten_of_twenty_concurrent_leads(instance):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda n: http_from(instance.port, "127.0.0.13", body={**TEST_USER, "customerName": f"At once {n}"})[0], range(20)))
    assert sorted(statuses) == [201] * 10 + [429] * 10


# ── One handler in shell ──

def test_retry_after_suffices_and_no_window_exceeds_the_limit(tmp_path):
    with Gateway(tmp_path, RATE_LIMIT_DEFAULT="3/2") as gateway:
        admitted = []
        end = time.monotonic() + 7
        while time.monotonic() < end:
            status, headers = gateway.request()
            if status == 200:
                admitted.append(time.monotonic())
                continue
            assert status == 429 and headers["retry-after"] in ("1", "2")
            time.sleep(int(headers["retry-after"]))
            assert gateway.request()[0] == 200
            admitted.append(time.monotonic())
        assert len(admitted) >= 6
        # The test sees each reply a little after the request was accepted.
        assert all(later - earlier > 1.9 for earlier, later in zip(admitted, admitted[3:], strict=False))


def test_no_limit_when_it_is_off(tmp_path):
    with Gateway(tmp_path, RATE_LIMIT_DEFAULT="off") as gateway:
        answers = [gateway.request() for _ in range(70)]
        assert {status for status, _ in answers} == {200}
        assert not any("ratelimit" in name for _, headers in answers for name in headers)


TRUSTED = "127.0.0.1, 10.0.0.0/8, 2001:db8:ffff::/48"


@pytest.fixture(scope="module")
def behind_a_proxy(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("proxied"), TRUSTED_PROXIES=TRUSTED, RATE_LIMIT_DEFAULT=LIMIT) as gateway:
        yield gateway


def forwarded(*fields):
    return [f"X-Forwarded-For: {field}" for field in fields]


@pytest.mark.parametrize("fields, client", [
    (forwarded("198.51.100.1"), "198.51.100.1"), (forwarded("1.1.1.1, 198.51.100.2"), "198.51.100.2"), (forwarded("1.1.1.1", "198.51.100.3"), "198.51.100.3"),
    (forwarded("198.51.100.4, 10.1.2.3"), "198.51.100.4"), (forwarded("1.1.1.1, 198.51.100.5 ,\t10.1.2.3,10.3.2.1"), "198.51.100.5"),
    (forwarded("198.51.100.6:4711"), "198.51.100.6"),
    (forwarded("::ffff:198.51.100.7"), "198.51.100.7"), (forwarded("::FFFF:c633:6408"), "198.51.100.8"), (forwarded("[2001:DB8:1::0001]:443"), "2001:db8:1::1"),
    (forwarded("2001:db8:2:0:0:0:0:1, 2001:db8:ffff::9"), "2001:db8:2::1"), (forwarded("10.0.0.9, 10.0.0.8"), "10.0.0.9"),
    # An invalid or empty entry ends the search at the last valid one.
    (forwarded("198.51.100.9, garbage, 10.0.0.21"), "10.0.0.21"), (forwarded("198.51.100.9, , 10.0.0.22"), "10.0.0.22"),
    (forwarded("198.51.100.9", "", "10.0.0.23"), "10.0.0.23"),
    (forwarded("198.51.100.9, 0177.0.0.1, 10.0.0.24"), "10.0.0.24"), (forwarded("198.51.100.9, fe80::1%eth0, 10.0.0.25"), "10.0.0.25"),
    (forwarded("198.51.100.9, unknown, 10.0.0.26"), "10.0.0.26"),
    (forwarded("198.51.100.9, 198.51.100.256, 10.0.0.27"), "10.0.0.27"),
    # Other headers do not name the client.
    (["Forwarded: for=1.1.1.1", "X-Real-IP: 1.1.1.1", "CF-Connecting-IP: 1.1.1.1", *forwarded("198.51.100.10")], "198.51.100.10"),
    (["Connection: close, X-Forwarded-For", *forwarded("198.51.100.11")], "198.51.100.11"),
    (["X_Forwarded_For: 1.1.1.1", *forwarded("198.51.100.12")], "198.51.100.12"),
], ids=lambda value: value if isinstance(value, str) else None)
def test_trusted_proxy_names_the_client(behind_a_proxy, fields, client):
    answers = [behind_a_proxy.request(headers=fields) for _ in range(3)]
    assert [status for status, _ in answers] == [200, 200, 429]
    assert answers[0][1]["x-client"] == client


def test_untrusted_peer_is_counted_by_its_own_address(behind_a_proxy):
    answers = [behind_a_proxy.request(headers=forwarded(f"198.51.100.{100 + n}"), source="127.0.0.30") for n in range(3)]
    assert [status for status, _ in answers] == [200, 200, 429]
    assert {headers["x-client"] for status, headers in answers if status == 200} == {"127.0.0.30"}
    assert behind_a_proxy.request(headers=forwarded("198.51.100.100"))[0] == 200


def test_ipv6_network_is_one_client(behind_a_proxy):
    statuses = [behind_a_proxy.request(headers=forwarded(f"2001:db8:aaaa:1:{n:x}::{n:x}"))[0] for n in range(20)]
    assert statuses == [200, 200] + [429] * 18
    # A site has 65,536 networks and eight times the limit.
    statuses = [behind_a_proxy.request(headers=forwarded(f"2001:db8:bbbb:{n:x}::1"))[0] for n in range(20)]
    assert statuses == [200] * 16 + [429] * 4
    assert behind_a_proxy.request(headers=forwarded("2001:db8:cccc:1::1"))[0] == 200


def test_trusted_peer_without_a_forwarded_address_is_the_client(tmp_path):
    with Gateway(tmp_path, TRUSTED_PROXIES="127.0.0.1", RATE_LIMIT_DEFAULT=LIMIT) as gateway:
        answers = [gateway.request() for _ in range(3)]
        assert [status for status, _ in answers] == [200, 200, 429] and answers[0][1]["x-client"] == "127.0.0.1"


def test_trusts_the_configured_number_of_hops(tmp_path):
    with Gateway(tmp_path, TRUSTED_PROXIES="hops:2", RATE_LIMIT_DEFAULT=LIMIT) as gateway:
        for n in range(3):
            status, headers = gateway.request(headers=forwarded(f"6.6.6.{n}, 198.51.100.1, 192.0.2.{n}"), source=f"127.0.0.{40 + n}")
            assert status == (429 if n == 2 else 200) and (status == 429 or headers["x-client"] == "198.51.100.1")
        assert gateway.request(headers=forwarded("198.51.100.1"), source="127.0.0.50")[1]["x-client"] == "127.0.0.50"


@pytest.mark.parametrize("trusted, expected", [("", ["", "", None]), ("unix", ["198.51.100.0", "198.51.100.1", "198.51.100.2"])], ids=["untrusted", "trusted"])
def test_clients_of_a_unix_socket(tmp_path, trusted, expected):
    """Without a known address, all of them are one client."""
    with Gateway(tmp_path, LEADPIPE_LISTEN=f"unix:{tmp_path}/socket", TRUSTED_PROXIES=trusted, RATE_LIMIT_DEFAULT=LIMIT) as gateway:
        answers = [gateway.request(headers=forwarded(f"198.51.100.{n}")) for n in range(3)]
        assert [headers.get("x-client") for _, headers in answers] == expected
        assert answers[2][0] == (200 if trusted else 429)


def test_warns_once_about_an_untrusted_proxy(tmp_path):
    with Gateway(tmp_path) as gateway:
        for _ in range(3):
            gateway.request(headers=forwarded("198.51.100.1"))
        until(lambda: sum(" 200 " in line for line in gateway.lines) == 3, 5)
        assert sum("not in TRUSTED_PROXIES" in line for line in gateway.lines) == 1


def test_preflights_and_unknown_routes_are_not_counted(tmp_path):
    with Gateway(tmp_path, RATE_LIMIT_DEFAULT="1/60", FRONTEND_URL="https://example.com") as gateway:
        for _ in range(5):
            assert gateway.request("OPTIONS", headers=["Origin: https://example.com", "Access-Control-Request-Method: POST"])[0] == 204
            assert gateway.request("GET", "/none")[0] == 404 and gateway.request("DELETE")[0] == 405
        assert gateway.request()[0] == 200 and gateway.request()[0] == 429
        # The order of errors: unknown route, method, rate limit, size, JSON.
        assert gateway.request("POST", headers=["Content-Length: 65537"])[0] == 429


def test_rejects_requests_over_the_limit_before_reading_the_body(tmp_path):
    with Gateway(tmp_path, RATE_LIMIT_DEFAULT="1/60") as gateway:
        assert gateway.request()[0] == 200
        with gateway.connect() as connection:
            connection.sendall(b"POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n")
            answer = connection.recv(1000)
        assert answer.startswith(b"HTTP/1.1 429") and b"connection: close" in answer
        assert gateway.processes == 1


# ── Other origins ──

ORIGINS = {"FRONTEND_URL": "https://good.com/app", "ALLOWED_ORIGINS": "http://localhost:3000,https://xn--gd-5ja.com"}
OTHERS = ["https://good.com.evil.com", "https://evilgood.com", "https://good.com:8443", "http://good.com", "https://GOOD.com", "https://good.com.", "null",
          "https://good.com, https://good.com",
          "https://good.com%60.evil.com", "https://good.com@evil", "https://göd.com", "https://xn--gd-6ja.com", "https://good.com/", "https://good.com/app",
          "https://good.com:443", "*", "", "good.com",
          "https://good.com https://evil.com", "http://localhost:3001", "http://localhost", "https://good.co", "https://ggood.com", "https://good.comm",
          "https://www.good.com", "https://good.com\x00"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("site"), RATE_LIMIT_DEFAULT="off", **ORIGINS) as gateway:
        yield gateway


@pytest.mark.parametrize("origin", ["https://good.com", "http://localhost:3000", "https://xn--gd-5ja.com"])
def test_allowed_origin_may_read_replies_and_errors(site, origin):
    for path, status in (("/form", 200), ("/none", 404)):
        answered, headers = site.request(path=path, headers=[f"Origin: {origin}"])
        assert answered == status and headers["access-control-allow-origin"] == origin and headers["vary"] == "Origin"
        assert "retry-after" in headers["access-control-expose-headers"] and "access-control-allow-credentials" not in headers
    status, headers = site.request("OPTIONS", headers=[f"Origin: {origin}", "Access-Control-Request-Method: POST",
                                                       "Access-Control-Request-Headers: content-type,idempotency-key"])
    assert status == 204 and headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS, POST"
    assert "idempotency-key" in headers["access-control-allow-headers"] and headers["access-control-max-age"]


@pytest.mark.parametrize("origin", OTHERS)
def test_other_origin_gets_no_cors_headers(site, origin):
    for method, more in (("GET", []), ("OPTIONS", ["Access-Control-Request-Method: POST"])):
        _, headers = site.request(method, headers=[f"Origin: {origin}", *more])
        assert not [name for name in headers if name.startswith("access-control")]
        assert headers["vary"] == "Origin"


def test_two_origin_headers_get_no_cors_headers(site):
    _, headers = site.request(headers=["Origin: https://good.com", "Origin: https://good.com"])
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("method, fields", [("DELETE", ""), ("post", ""), ("POST", "x-evil"), ("POST", "authorization"),
                                            ("POST", "content-type, x-admin-api-key"), ("POST", "*"), ("BREW", "")])
def test_preflight_for_an_unsupported_method_or_header_gets_no_cors_headers(site, method, fields):
    status, headers = site.request("OPTIONS", headers=["Origin: https://good.com", f"Access-Control-Request-Method: {method}",
                                                       f"Access-Control-Request-Headers: {fields}"])
    assert status == 204 and not [name for name in headers if name.startswith("access-control")]


def test_requests_of_other_origins_are_served(site):
    """CORS only restricts reading. Other checks decide whether a request is accepted."""
    assert site.request("POST", headers=["Origin: https://evil.com"], body="{}")[0] == 200


def test_credentials_are_allowed_for_admin_routes_only(tmp_path):
    with Gateway(tmp_path, access="admin", rate_class="admin", **ORIGINS) as gateway:
        _, headers = gateway.request(headers=["Origin: https://good.com"])
        assert headers["access-control-allow-credentials"] == "true" and headers["access-control-allow-origin"] == "https://good.com"
        _, headers = gateway.request("OPTIONS", headers=["Origin: https://good.com", "Access-Control-Request-Method: POST",
                                                         "Access-Control-Request-Headers: x-admin-api-key"])
        assert headers["access-control-allow-credentials"] == "true"
        _, headers = gateway.request(headers=["Origin: https://evil.com"])
        assert not [name for name in headers if name.startswith("access-control")]


# ── Behind nginx ──

@pytest.fixture(params=["$remote_addr", "$proxy_add_x_forwarded_for"])
def behind_nginx(request, tmp_path):
    """A gateway with nginx in front of it. Yields it with nginx's port."""
    with Gateway(tmp_path, TRUSTED_PROXIES="127.0.0.1", RATE_LIMIT_DEFAULT="5/60", FRONTEND_URL="https://good.com") as gateway, \
            nginx(tmp_path / "nginx", gateway.port, forwarded=request.param) as port:
        yield gateway, port


def test_behind_nginx_each_client_is_counted(behind_nginx):
    gateway, port = behind_nginx
    for client in ("127.0.0.2", "127.0.0.3"):
        # An address that the client sends is to the left of the one that nginx adds.
        answers = [gateway.request("POST", body="{}", source=client, port=port, headers=forwarded(f"203.0.113.{n}")) for n in range(6)]
        assert [status for status, _ in answers] == [200] * 5 + [429]
        assert {headers["x-client"] for status, headers in answers if status == 200} == {client}
        assert answers[5][1]["retry-after"] and answers[0][1]["ratelimit-policy"] == '"default";q=5;w=60'
    assert gateway.processes == 10
    status, headers = gateway.request("OPTIONS", source="127.0.0.2", port=port, headers=["Origin: https://good.com", "Access-Control-Request-Method: POST"])
    assert status == 204 and headers["access-control-allow-origin"] == "https://good.com"
    # Requests with large and chunked bodies pass.
    body = json.dumps({"a": "x" * 60_000})
    assert gateway.request("POST", body=body, source="127.0.0.4", port=port)[0] == 200
    chunked = b"POST /form HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    assert gateway.raw(chunked, source="127.0.0.4", port=port)[1].startswith(b"HTTP/1.1 200")


# ── The same limits as a filter ──

def test_rate_limit_filter_agrees_with_the_gateway():
    """11 requests of one client and one of another, as a stream."""
    lines = [{"key": "198.51.100.1", "time": f"2026-11-22T10:00:{n:02}Z", "class": "lead"} for n in range(11)]
    lines += [{"key": "198.51.100.2", "time": "2026-11-22T10:00:11Z", "class": "lead"}]
    done = handlers.run("rate-limit", "".join(json.dumps(line) + "\n" for line in lines), "--stream")
    verdicts = handlers.lines(done.stdout)
    assert [verdict["allowed"] for verdict in verdicts] == [True] * 10 + [False, True]
    assert verdicts[10]["retryAfterSeconds"] == 50 and done.returncode == 0


def test_rate_limit_filter_has_bounded_memory():
    """More clients than its table holds, in one stream. It ends in time, and the last clients share the remaining
    entries."""
    stream = "".join(f'{{"key":"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}","time":{n // 100},"class":"lead"}}\n' for n in range(100_000))
    command = f"ulimit -v 200000; exec {handlers.HANDLERS / 'rate-limit'} --stream | tail -n 1"
    done = subprocess.run(["/bin/sh", "-c", command], input=stream.encode(), env=clean_environment(), capture_output=True, timeout=50)
    assert json.loads(done.stdout)["allowed"] is False, done.stderr


# ── Connections ──

def test_one_client_cannot_take_all_connections(cluster):
    database = cluster.migrated()
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", LEADPIPE_CLIENT_CONNECTIONS="5") as instance:
        def connect(source):
            return socket.create_connection(("127.0.0.1", instance.port), timeout=10, source_address=(source, 0))
        held = [connect("127.0.0.30") for _ in range(5)]
        with connect("127.0.0.30") as sixth:
            assert sixth.recv(1) == b"", "the sixth was accepted"
        assert http_from(instance.port, "127.0.0.31")[0] == 201, "another client was not served"
        assert "A client has 5 connections open" in instance.log
        held.pop().close()
        until(lambda: accepted(instance.port, "127.0.0.30"), 5, "a free connection after one has closed")
        for connection in held:
            connection.close()
    cluster.drop(database)


def test_idle_connections_of_many_clients_make_room(cluster):
    """More connections than the gateway may have, from many addresses. Each sends one request and then waits."""
    database = cluster.migrated()
    prefix = ("/bin/sh", "-c", 'ulimit -n 700; exec "$@"', "sh")
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", prefix=prefix) as instance:
        held = []
        try:
            for number in range(500):
                connection = socket.create_connection(("127.0.0.1", instance.port), timeout=10, source_address=(f"127.0.1.{number % 50 + 1}", 0))
                held.append(connection)
                connection.sendall(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
                assert connection.recv(65536).startswith(b"HTTP/1.1 404")
            assert http_from(instance.port, "127.0.0.31")[0] == 201, "another client was not served"
            # Those that have waited longest were closed, those that came last were not.
            held[-1].sendall(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
            assert held[-1].recv(65536).startswith(b"HTTP/1.1 404")
            ended = sum(is_closed(connection) for connection in held)
            assert 20 <= ended <= 480, ended
        finally:
            for connection in held:
                connection.close()
    cluster.drop(database)


def is_closed(connection):
    """True if the other side has ended the connection. Drops what has arrived."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def accepted(port, source):
    try:
        return http_from(port, source)[0] == 201
    except (OSError, http.client.HTTPException):
        return False
