"""Replies of the admin interface in gzip's format: which ones, for whom, with which headers, and what follows from them."""

import gzip
import http.client
import json
import subprocess

import pytest

from admin import KEY, AdminClient
from common import TEST_USER
from instance import Instance

LISTS = "/api/admin/conversations?limit=100"


@pytest.fixture(scope="module")
def instance(cluster):
    base = cluster.migrated()
    settings = {"DATABASE_URL": base.url, "ENABLE_NOTIFICATION_WORKER": "false", "ADMIN_API_KEY": KEY, "ALLOWED_ORIGINS": "https://agency.example"}
    with Instance(**settings) as instance:
        for number in range(30):
            instance.capture({**TEST_USER, "customerPhone": f"+97150123{number:04}", "messages": [{"id": "1", "messageText": f"Hello, I am {number}. " * 40}]})
        yield instance
    cluster.drop(base)


@pytest.fixture(scope="module")
def lead(instance):
    return f"/api/admin/conversations/{AdminClient(instance).get(LISTS)['data'][0]['id']}"


def ask(instance, path, accepted="gzip", method="GET", body=None, **headers):
    """(status, headers in lower case, bytes), as they are on the wire."""
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in {"x-admin-api-key": KEY, "Accept-Encoding": accepted, **named}.items():
        if value is not None:
            connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Content-Type", "application/json")
    connection.endheaders(body)
    with connection.getresponse() as reply:
        answer = reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
    connection.close()
    return answer


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip;q=0.5", "GZIP", "*", "gzip, deflate, br, zstd"])
def test_lists_are_compressed_for_clients_that_take_it(instance, accepted):
    _, plain_headers, plain = ask(instance, LISTS, "identity")
    status, headers, body = ask(instance, LISTS, accepted)
    assert (status, headers["content-encoding"], headers["content-length"]) == (200, "gzip", str(len(body)))
    assert gzip.decompress(body) == plain and len(body) < len(plain) / 4
    assert (headers["content-type"], headers["cache-control"]) == ("application/json", "no-store")
    assert headers["vary"] == plain_headers["vary"] == "Accept-Encoding, Origin"


@pytest.mark.parametrize("accepted", [None, "", "br", "identity", "gzip;q=0", "gzip; q=0.000, *", "*;q=0"])
def test_others_get_them_as_they_are(instance, accepted):
    status, headers, body = ask(instance, LISTS, accepted)
    assert status == 200 and "content-encoding" not in headers and headers["content-length"] == str(len(body))
    assert len(json.loads(body)["data"]) == 30


def test_curl_decompresses_to_the_same_bytes(instance):
    def curl(*words):
        command = ["curl", "-sS", "--fail", "-H", f"x-admin-api-key: {KEY}", *words, f"http://127.0.0.1:{instance.port}{LISTS}"]
        return subprocess.run(command, capture_output=True, check=True, timeout=20).stdout
    assert curl("--compressed") == curl() and len(curl("--compressed", "-w", "%{size_download}").rsplit(b"}", 1)[1]) < 6


def test_head_has_the_headers_of_get(instance):
    _, get, body = ask(instance, LISTS)
    status, head, nothing = ask(instance, LISTS, method="HEAD")
    names = ("content-encoding", "content-length", "content-type", "vary")
    assert (status, nothing) == (200, b"") and [head[name] for name in names] == [get[name] for name in names]
    assert head["content-length"] == str(len(body))


def test_compressed_version_has_a_weak_tag_that_if_match_takes(instance, lead):
    plain = ask(instance, lead, "identity")[1]["etag"]
    status, headers, body = ask(instance, lead)
    assert (status, headers["content-encoding"], headers["etag"]) == (200, "gzip", f"W/{plain}")
    assert gzip.decompress(body) == ask(instance, lead, "identity")[2]
    assert ask(instance, lead, method="PATCH", body=b'{"notes": "first"}', If_Match=headers["etag"])[0] == 200
    for old in (headers["etag"], plain):
        assert ask(instance, lead, method="PATCH", body=b'{"notes": "second"}', If_Match=old)[0] == 412
    now = ask(instance, lead)[1]["etag"]
    assert ask(instance, lead, method="PATCH", body=b'{"notes": "third"}', If_Match=now)[0] == 200


def test_no_admin_reply_is_ever_not_modified(instance, lead):
    """Caches may not store them, so a client has nothing that a 304 could confirm."""
    for accepted in ("gzip", "identity"):
        tag = ask(instance, lead, accepted)[1]["etag"]
        assert ask(instance, lead, accepted, If_None_Match=tag)[0] == 200


def test_small_replies_changes_and_errors_are_not_compressed(instance, lead):
    for path, status in [("/api/admin/agents", 200), (f"{LISTS}&limitt=1", 400), ("/api/admin/conversations/00000000-0000-4000-8000-0000000000aa", 404)]:
        got, headers, body = ask(instance, path)
        assert got == status and "content-encoding" not in headers and json.loads(body) is not None, path
    status, headers, body = ask(instance, lead, method="PATCH", body=json.dumps({"notes": "long " * 400}).encode())
    assert status == 200 and len(body) > 2000 and "content-encoding" not in headers and headers["etag"].startswith('"')
    assert json.loads(body)["notes"].startswith("long")


def test_session_with_its_csrf_token_is_never_compressed(instance):
    status, headers, body = ask(instance, "/api/admin/session", method="POST", body=json.dumps({"key": KEY}).encode(), x_admin_api_key=None)
    assert status == 201 and "content-encoding" not in headers and "csrfToken" in json.loads(body)
    cookie = headers["set-cookie"].split(";")[0]
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=20)
    connection.request("GET", "/api/admin/session", headers={"Cookie": cookie, "Accept-Encoding": "gzip"})
    with connection.getresponse() as reply:
        assert (reply.status, reply.headers["cache-control"]) == (200, "no-store, no-transform")
        assert reply.headers["content-encoding"] is None and "Accept-Encoding" not in reply.headers["vary"]
        assert "csrfToken" in json.loads(reply.read())
    connection.close()


def test_streams_exports_and_public_routes_are_not_compressed(instance):
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=20)
    connection.request("GET", "/api/admin/live", headers={"x-admin-api-key": KEY, "Accept-Encoding": "gzip"})
    reply = connection.getresponse()
    assert (reply.status, reply.headers["content-type"].split(";")[0]) == (200, "text/event-stream")
    assert reply.headers["content-encoding"] is None and reply.read(1).decode() in ":eidr"
    connection.close()
    for path in ("/api/admin/conversations/export?format=csv", "/api/openapi.json", "/health"):
        status, headers, body = ask(instance, path)
        assert status == 200 and "content-encoding" not in headers and body, path


def test_other_origin_may_read_a_compressed_reply_as_before(instance):
    status, headers, body = ask(instance, LISTS, Origin="https://agency.example")
    assert status == 200 and headers["content-encoding"] == "gzip" and "Origin" in headers["vary"] and gzip.decompress(body)
