"""Handlers as CGI programs without a web server: the variables of RFC 3875, the body, and the reply."""

import json
import os
import subprocess
import time

import pytest

from common import BIN, HANDLERS

HEALTH = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "REQUEST_URI": "/health", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "localhost",
          "REMOTE_ADDR": "192.0.2.1"}
LEAD = {"customerName": "Test User", "customerPhone": "+971501234567"}
POST = HEALTH | {"REQUEST_METHOD": "POST", "REQUEST_URI": "/api/chatbot/leads", "CONTENT_TYPE": "application/json"}


class Reply:
    def __init__(self, result):
        head, _, self.body = result.stdout.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert value or name == "Status", line
            assert name not in self.headers or name == "set-cookie", line
            self.headers[name] = value
        self.status = int(self.headers["Status"].split()[0])
        self.exit = result.returncode
        self.log = result.stderr.decode()

    @property
    def json(self):
        return json.loads(self.body)


def cgi(program, variables, body=b"", arguments=(), **settings):
    """Runs a CGI program. Stdin stays open after the body, because RFC 3875 does not promise its end."""
    if body and "CONTENT_LENGTH" not in variables:
        variables = variables | {"CONTENT_LENGTH": str(len(body))}
    reading, writing = os.pipe()
    try:
        os.write(writing, body)
        path = BIN / program if program == "leadpipe-cgi" else HANDLERS / program
        return Reply(subprocess.run([path, *arguments], stdin=reading, capture_output=True, env=variables | settings, timeout=20))
    finally:
        os.close(reading)
        os.close(writing)


def login(database, role):
    """The URL of a database with the login of a class."""
    return database.url.replace("leadpipe@", f"{role}@")


def capture(database, body, variables=POST, **settings):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return cgi("lead-capture", variables, body, DATABASE_URL=login(database, "leadpipe_intake"), **settings)


def test_a_lead_is_stored(database):
    reply = capture(database, LEAD)
    assert reply.status == 201 and reply.headers["Status"] == "201 Created" and reply.exit == 0
    assert reply.headers["content-type"] == "application/json" and reply.headers["vary"] == "Origin"
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert "date" not in reply.headers and "connection" not in reply.headers
    assert database.value("select id from conversations") == reply.json["id"]


def test_the_client_is_the_peer_or_what_a_trusted_proxy_says(database):
    body = json.dumps({"email": "reader@example.com"}).encode()
    variables = POST | {"REQUEST_URI": "/api/newsletter/subscribe", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}
    for settings, address in [({}, "192.0.2.1"), ({"TRUSTED_PROXIES": "192.0.2.1"}, "203.0.113.9")]:
        database.run("delete from newsletter_subscribers")
        reply = cgi("newsletter-subscribe", variables, body, DATABASE_URL=login(database, "leadpipe_intake"), **settings)
        assert reply.status in (200, 201, 202), reply.body
        assert database.value("select ip_address from newsletter_subscribers") == address


@pytest.mark.parametrize("variables, status", [
    ({"REQUEST_URI": "/nowhere"}, 404),
    ({"REQUEST_URI": "/api/../health"}, 400),
    ({"REQUEST_URI": "/api/chatbot/leads"}, 404),
    ({"REQUEST_METHOD": "PUT"}, 405),
    ({"REQUEST_METHOD": "BREW"}, 405),
    ({"REQUEST_METHOD": "OPTIONS"}, 204),
    ({"REQUEST_METHOD": ""}, 400),
    ({"REQUEST_METHOD": "get"}, 400),
    ({"CONTENT_LENGTH": "+5"}, 400),
    ({"CONTENT_LENGTH": "-1"}, 400),
    ({"CONTENT_LENGTH": "5x"}, 400),
    ({"CONTENT_LENGTH": "99999999999999999999"}, 400),
    ({"HTTP_HOST": "a b"}, 400),
    ({"HTTP_X": "a\x01b"}, 400),
    ({"HTTP_X": "x" * 17_000}, 431),
    ({f"HTTP_X{number}": "1" for number in range(101)}, 431),
    ({"REQUEST_URI": "/health?" + "x" * 9000}, 414),
    ({"TRUSTED_PROXIES": "everybody"}, 500),
])
def test_what_is_refused(variables, status):
    reply = cgi("health-check", HEALTH | variables)
    assert reply.status == status, reply.body
    assert reply.exit == {4: 65, 2: 0, 5: 78}[status // 100]
    if status == 405:
        assert reply.headers["allow"] == "GET, HEAD, OPTIONS"
    if status >= 400:
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json["status"] == status and reply.json["requestId"] == reply.headers["x-request-id"]


@pytest.mark.parametrize("variables, body, status", [
    ({"CONTENT_TYPE": "text/plain"}, b"{}", 415),
    ({"CONTENT_TYPE": ""}, b"{}", 415),
    ({"HTTP_CONTENT_ENCODING": "gzip"}, b"{}", 415),
    ({}, b"{", 400),
    ({}, b"", 400),
    ({"CONTENT_LENGTH": "262145"}, b"{}", 413),
])
def test_bodies_that_are_refused(variables, body, status):
    reply = cgi("lead-capture", POST | variables, body, DATABASE_URL="postgresql://nowhere.invalid/x", RATE_LIMIT_STORE="memory")
    assert reply.status == status, reply.body


def test_exactly_the_length_is_read(database):
    body = json.dumps(LEAD).encode()
    reply = capture(database, body + b"garbage", POST | {"CONTENT_LENGTH": str(len(body))})
    assert reply.status == 201


def test_a_body_that_ends_early_is_refused_at_once():
    begin = time.monotonic()
    result = subprocess.run([HANDLERS / "lead-capture"], input=b"{", capture_output=True, timeout=20,
                            env=POST | {"CONTENT_LENGTH": "100", "DATABASE_URL": "postgresql://nowhere.invalid/x", "RATE_LIMIT_STORE": "memory"})
    assert Reply(result).status == 400 and time.monotonic() - begin < 5


def test_a_body_that_never_comes_is_408():
    reply = cgi("lead-capture", POST | {"CONTENT_LENGTH": "5"}, DATABASE_URL="postgresql://nowhere.invalid/x", RATE_LIMIT_STORE="memory")
    assert reply.status == 408


def test_arguments_are_ignored():
    assert cgi("health-check", HEALTH | {"REQUEST_URI": "/nowhere"}, arguments=["--describe"]).status == 404


def test_head_has_the_length_of_get_and_no_body():
    settings = {"DATABASE_URL": "postgresql://nowhere.invalid/x", "RATE_LIMIT_STORE": "memory"}
    get, head = (cgi("health-check", HEALTH | {"REQUEST_METHOD": method}, **settings) for method in ("GET", "HEAD"))
    assert (get.status, head.status, head.body) == (503, 503, b"")
    assert int(get.headers["content-length"]) == len(get.body) and int(head.headers["content-length"]) > 0


def test_a_page_of_an_allowed_origin_may_read_the_reply():
    variables = HEALTH | {"HTTP_ORIGIN": "https://example.com", "REQUEST_METHOD": "PUT"}
    assert "access-control-allow-origin" not in cgi("health-check", variables).headers
    reply = cgi("health-check", variables, ALLOWED_ORIGINS="https://example.com")
    assert reply.headers["access-control-allow-origin"] == "https://example.com"
    # As in the gateway: what no admin handler has answered allows no credentials.
    for uri in ("/api/admin/conversations", "/nowhere"):
        reply = cgi("conversation-list", variables | {"REQUEST_URI": uri}, ALLOWED_ORIGINS="https://example.com")
        assert reply.status in (404, 405) and reply.headers["access-control-allow-origin"] == "https://example.com"
        assert "access-control-allow-credentials" not in reply.headers


def test_the_path_may_be_in_path_info(database):
    mounted = POST | {"REQUEST_URI": "/cgi-bin/lead-capture/api/chatbot/leads?x=1", "SCRIPT_NAME": "/cgi-bin/lead-capture", "PATH_INFO": "/api/chatbot/leads"}
    assert capture(database, LEAD, mounted).status == 201
    bare = POST | {"REQUEST_URI": "", "SCRIPT_NAME": "/api/chatbot/leads"}
    assert capture(database, LEAD, bare).status == 201


def test_requests_are_counted_in_the_database(database):
    replies = [capture(database, LEAD | {"customerName": f"Test {number}"}, RATE_LIMIT_LEAD="2/60") for number in range(3)]
    assert [reply.status for reply in replies] == [201, 201, 429]
    assert [reply.headers["ratelimit"].split(";")[1] for reply in replies] == ["r=1", "r=0", "r=0"]
    assert 0 < int(replies[2].headers["retry-after"]) <= 60 and replies[2].exit == 75
    other = capture(database, LEAD, POST | {"REMOTE_ADDR": "192.0.2.2"}, RATE_LIMIT_LEAD="2/60")
    assert other.status == 201
    # A request that its sender must correct costs half.
    wrong = [capture(database, {}, POST | {"REMOTE_ADDR": "192.0.2.3"}, RATE_LIMIT_LEAD="2/60").status for _ in range(5)]
    assert wrong == [400, 400, 400, 400, 429]
    free = capture(database, LEAD, RATE_LIMIT_LEAD="2/60", RATE_LIMIT_STORE="memory")
    assert free.status in (200, 201) and "ratelimit" not in free.headers


# ── leadpipe-cgi, the program for all routes ──


def test_the_dispatcher_knows_all_methods_of_a_path():
    path = "/api/admin/conversations/0f3e1c52-9d1b-4a4e-8a39-31c1f6b7a001"
    reply = cgi("leadpipe-cgi", HEALTH | {"REQUEST_METHOD": "DELETE", "REQUEST_URI": path})
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, OPTIONS, PATCH")
    preflight = {"REQUEST_METHOD": "OPTIONS", "REQUEST_URI": path, "HTTP_ORIGIN": "https://example.com", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PATCH",
                 "ALLOWED_ORIGINS": "https://example.com"}
    reply = cgi("leadpipe-cgi", HEALTH | preflight)
    assert (reply.status, reply.headers["access-control-allow-methods"]) == (204, "GET, HEAD, OPTIONS, PATCH")
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert cgi("leadpipe-cgi", HEALTH | {"REQUEST_URI": "/nowhere"}).status == 404


def test_the_dispatcher_gives_each_handler_the_login_of_its_class(database):
    logins = {f"DATABASE_URL_{name.upper()}": login(database, f"leadpipe_{name}") for name in ("intake", "admin")}
    reply = cgi("leadpipe-cgi", POST, json.dumps(LEAD).encode(), **logins)
    assert reply.status == 201, reply.log
    listed = HEALTH | {"REQUEST_URI": "/api/admin/conversations", "HTTP_X_ADMIN_API_KEY": "a-key-of-thirty-two-characters-or-more"}
    assert cgi("leadpipe-cgi", listed, ADMIN_API_KEY="a-key-of-thirty-two-characters-or-more", **logins).json["total"] == 1
    # Without the admin login, an admin route has none at all.
    reply = cgi("leadpipe-cgi", listed, ADMIN_API_KEY="a-key-of-thirty-two-characters-or-more", DATABASE_URL_INTAKE=logins["DATABASE_URL_INTAKE"])
    assert reply.status == 500 and reply.json["code"] == "service_not_configured"


def test_the_dispatcher_without_routes_says_what_to_do(tmp_path):
    reply = cgi("leadpipe-cgi", HEALTH, LEADPIPE_HANDLERS=str(tmp_path))
    assert reply.status == 500 and "leadpipe routes --write" in reply.log
    (tmp_path / ".routes.json").write_text('[{"name": "lead-capture"}]')
    reply = cgi("leadpipe-cgi", HEALTH, LEADPIPE_HANDLERS=str(tmp_path))
    assert reply.status == 500 and "leadpipe routes --write" in reply.log


def test_the_dispatcher_is_no_program_for_a_shell():
    assert subprocess.run([BIN / "leadpipe-cgi"], env={}, capture_output=True, timeout=20).returncode == 64


@pytest.mark.parametrize("variables, status", [
    ({"REQUEST_METHOD": "GET", "REQUEST_URI": "/api/admin/conversations"}, 401),
    ({"SERVER_PROTOCOL": "HTTP/1.1"}, 400),
])
def test_a_request_without_all_variables_is_not_the_operator_s(database, variables, status):
    """A bare document of the operator needs no key."""
    reply = cgi("conversation-list", variables | {"HTTP_HOST": "localhost"}, DATABASE_URL=login(database, "leadpipe_admin"), ADMIN_API_KEY="k" * 40)
    assert reply.status == status, reply.body


# ── OpenFaaS's classic watchdog ──


def watchdog(handler, variables, body=b"", **settings):
    variables = {"fprocess": f"./{handler}", "Http_Method": "POST", "Http_Path": "/", "Http_Content_Type": "application/json"} | variables
    return subprocess.run([HANDLERS / handler], input=body, capture_output=True, env=variables | settings, timeout=20)


def test_the_watchdog_gets_the_body_alone_and_exit_0(database):
    result = watchdog("lead-capture", {}, json.dumps(LEAD).encode(), DATABASE_URL=login(database, "leadpipe_intake"))
    assert result.returncode == 0 and json.loads(result.stdout)["id"] == database.value("select id from conversations")
    for variables, body, status in [({}, b"{}", 400), ({"Http_Content_Type": "text/plain"}, b"{}", 415), ({"Http_Path": "/x"}, b"{}", 404),
                                    ({"Http_Method": "GET"}, b"", 405), ({}, b" " * 300_000, 413)]:
        result = watchdog("lead-capture", variables, body, DATABASE_URL=login(database, "leadpipe_intake"))
        assert result.returncode == 0 and json.loads(result.stdout)["status"] == status


def test_a_watchdog_that_passes_no_head_gets_a_problem(database):
    result = subprocess.run([HANDLERS / "conversation-list"], input=b"{}", capture_output=True, timeout=20,
                            env={"fprocess": "./conversation-list", "DATABASE_URL": login(database, "leadpipe_admin"), "ADMIN_API_KEY": "k" * 40})
    assert result.returncode == 0 and json.loads(result.stdout)["status"] == 405
