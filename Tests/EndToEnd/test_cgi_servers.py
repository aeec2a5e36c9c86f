"""The configurations of deploy/ for CGI servers: what reaches the program, and what never does.

The program is a stand-in that replies with its arguments, environment and body. test_doors.py sends requests through
the product."""

import json
import re
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from cgi_servers import SERVERS, settings_file
from cluster import leadpipe
from common import HANDLERS, clean_environment, until
from doors.http_client import exchange
from doors.messages import Request

PROGRAM = """#!/usr/bin/python3
import json, os, sys, time
if os.environ["REQUEST_URI"].startswith("/slow"):
    time.sleep(1)
    open(os.path.join(os.path.dirname(sys.argv[0]), "written", "by-" + os.environ["REQUEST_URI"][6:]), "w").close()
body = sys.stdin.buffer.read(int(os.environ.get("CONTENT_LENGTH") or 0))
text = json.dumps({"arguments": sys.argv[1:], "variables": dict(os.environ), "body": len(body)})
print("Status: 201 Created\\r\\nContent-Type: application/json\\r\\nX-Accel-Redirect: /etc/passwd\\r\\nX-Sendfile: /etc/passwd\\r\\n\\r\\n" + text)
"""
# Settings of handlers that CGI has no use for.
NOT_BY_CGI = {
    "DATABASE_URL",  # the login of the class takes its place,
    "LEADPIPE_ROLE",  # without a role;
    "POOLER",  # that of `leadpipe up`;
    "PORT",  # that of the gateway;
    "EXPORT_FOLDER",  # exports are refused;
    "RATE_LIMIT_STORE",  # requests are always counted in the database.
}
# What leadpipe-cgi itself reads, for handlers of both classes.
OF_THE_PROGRAM = {"ALLOWED_ORIGINS", "FRONTEND_URL", "TRUSTED_PROXIES"} | {f"RATE_LIMIT_{name}" for name in ("LEAD", "CONTACT", "ADMIN", "EXPORT", "DEFAULT")}


def needed():
    """By class, the settings that its handlers with routes read, and its login."""
    classes = re.findall(r"^(\S+) +(intake|admin) ", leadpipe("routes").stdout, re.MULTILINE)
    names = {"intake": {"DATABASE_URL_INTAKE"} | OF_THE_PROGRAM, "admin": {"DATABASE_URL_ADMIN"} | OF_THE_PROGRAM}
    for handler, trust in classes:
        shown = subprocess.run([HANDLERS / handler, "--describe"], capture_output=True, env=clean_environment(), timeout=10, check=True)
        description = json.loads(shown.stdout)
        if description["routes"]:
            names[trust] |= {entry["name"] for entry in description["environment"]} - NOT_BY_CGI
    return names


NEEDED = needed()
SETTINGS = {name: f"the value of {name}" for name in NEEDED["intake"] | NEEDED["admin"]}


@pytest.fixture(scope="module", params=SERVERS)
def server(request):
    """(name, port, a folder that the program writes to). Apache runs as another user, who must be able to read the folder."""
    with tempfile.TemporaryDirectory(prefix="lpc-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "written").mkdir()
        (folder / "written").chmod(0o777)
        program = folder / "program"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        with SERVERS[request.param](folder, SETTINGS, program) as port:
            yield request.param, port, folder / "written"


def ask(server, method, target, *headers, body=b""):
    length = [("Content-Length", str(len(body)))] if body or method == "POST" else []
    lines = [("Host", "api.example.com"), *(tuple(line.split(": ", 1)) for line in headers), *length]
    return exchange(server[1], Request(method, target, lines, body, "127.0.0.1"))


def seen(server, method, target, *headers, body=b""):
    reply = ask(server, method, target, *headers, body=body)
    assert reply.status == 201, (reply.status, reply.body)
    return json.loads(reply.body)


@pytest.mark.parametrize("target", [
    "/health", "/health?-s", "/health?--describe+x", "//health", "/a/../health", "/api/%2e%2e/health", "/%68ealth", "/api/admin/x%2Fy?a=%zz", "/",
    "/health/", "/health;x=1", "/leadpipe-cgi", "/program", "/api/contact?a=b?c&d"])
def test_the_program_gets_the_target_as_it_was_written(server, target):
    found = seen(server, "GET", target)
    query = target.partition("?")[2]
    assert (found["variables"]["REQUEST_URI"], found["variables"].get("QUERY_STRING", "")) == (target, query)
    # Apache passes a query without `=` as arguments too (RFC 3875 §4.4), which leadpipe-cgi must ignore.
    assert found["arguments"] == (query.split("+") if server[0] == "apache" and query and "=" not in query else [])


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_reaches_the_program_with_its_body(server, method):
    body = b"x" * 262_144 if method in ("POST", "PUT", "PATCH") else b""
    found = seen(server, method, "/api/contact", "Authorization: Bearer a", "Cookie: a=b; c=d", body=body)
    variables = found["variables"]
    assert (variables["REQUEST_METHOD"], found["body"]) == (method, len(body))
    assert (variables["HTTP_AUTHORIZATION"], variables["HTTP_COOKIE"], variables["REMOTE_ADDR"]) == ("Bearer a", "a=b; c=d", "127.0.0.1")


@pytest.mark.parametrize("target, is_admin", [
    ("/api/contact", False), ("/health", False), ("/api/newsletter/subscribe", False), ("/api/administrators", False), ("/", False),
    ("/api/admin/session", True), ("/api/admin/conversations/x", True), ("/api/newsletter/subscribers", True), ("/api/newsletter/subscribers/x", True)])
def test_each_class_gets_every_setting_of_its_handlers_and_no_other_login(server, target, is_admin):
    variables = seen(server, "GET", target)["variables"]
    own, other = (NEEDED["admin"], NEEDED["intake"]) if is_admin else (NEEDED["intake"], NEEDED["admin"])
    assert {name: variables.get(name) for name in own} == {name: SETTINGS[name] for name in own}
    assert not variables.keys() & (other - own)


def test_the_sample_settings_of_lighttpd_have_every_name():
    assert settings_file().keys() == SETTINGS.keys()


def test_headers_cannot_become_settings(server):
    given = ["Proxy: http://evil.example", "Path: /tmp", "Database-Url: evil", "Ld-Preload: /tmp/x.so", "Script-Filename: /bin/sh",
             "X_Admin_Api_Key: a", "X_Forwarded_For: 127.0.0.9", "X_Csrf_Token: a"]
    variables = seen(server, "GET", "/health", *given)["variables"]
    assert not variables.keys() & {"HTTP_PROXY", "DATABASE_URL", "LD_PRELOAD", "HTTP_X_ADMIN_API_KEY", "HTTP_X_FORWARDED_FOR", "HTTP_X_CSRF_TOKEN"}
    assert variables.get("PATH") != "/tmp" and not variables.get("SCRIPT_FILENAME", "").endswith("sh")


def test_replies_cannot_give_orders(server):
    """A file that a reply names is not sent."""
    reply = ask(server, "GET", "/health")
    assert reply.status == 201 and b"root:" not in reply.body and json.loads(reply.body)["arguments"] == []


def test_a_client_that_leaves_stops_no_program(server):
    """A lead is stored even if its client does not wait for the reply. lighttpd may end a program whose client resets the
    connection; that client has had no reply, and repeats the request."""
    for how in ["closes"] if server[0] == "lighttpd" else ["closes", "resets"]:
        with socket.create_connection(("127.0.0.1", server[1]), timeout=5) as connection:
            connection.sendall(f"POST /slow/{how} HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            time.sleep(0.5)
            if how == "resets":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        until((server[2] / f"by-{how}").exists, 5, "the program's file")


def test_a_body_that_no_route_accepts_is_refused_by_the_server(server):
    assert ask(server, "POST", "/api/contact", body=b"x" * 262_145).status == 413


@pytest.mark.parametrize("target, status", [("/../../etc/passwd", 400), ("/health%zz", 400), ("/health%00", 400), ("/" + "x" * 17_000, 414)],
                         ids=["outside the root", "broken escape", "NUL", "long"])
def test_nginx_refuses_with_problems(server, target, status):
    if server[0] != "nginx":
        # The others pass these on, or answer with pages of their own.
        assert ask(server, "GET", target).status in (201, 400, 404, 414, 431)
        return
    reply = ask(server, "GET", target)
    assert (reply.status, reply.header("content-type")) == (status, "application/problem+json")
    problem = json.loads(reply.body)
    assert problem["status"] == status and problem["requestId"] == reply.header("x-request-id")
