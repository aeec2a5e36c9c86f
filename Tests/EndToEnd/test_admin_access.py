"""Access to the admin interface: every route, wrong keys, sessions, rights."""

import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from admin import KEY, AdminClient, with_key
from cluster import leadpipe
from common import HANDLERS, clean_environment
from instance import Instance
from many_clients import ManyClients

NOBODY = "00000000-0000-4000-8000-00000000dead"


def admin_routes():
    """(method, path) of every route that requires a key."""
    routes = []
    for path in sorted(HANDLERS.glob("[!.]*")):
        described = json.loads(subprocess.run([path, "--describe"], capture_output=True, check=True).stdout)
        if described["access"] == "admin":
            routes += [(route["method"], route["path"]) for route in described["routes"]]
    return routes


ROUTES = admin_routes()
WRONG = {
    "none": {}, "empty": {"x-admin-api-key": ""}, "blank": {"x-admin-api-key": " "}, "another": {"x-admin-api-key": "nobody's key"},
    "a prefix": {"x-admin-api-key": KEY[:-1]}, "a longer key": {"x-admin-api-key": KEY + "x"}, "doubled": {"x-admin-api-key": f"{KEY},{KEY}"},
    "upper case": {"x-admin-api-key": KEY.upper()}, "bare": {"authorization": KEY}, "basic": {"authorization": f"Basic {KEY}"},
    "two spaces": {"authorization": f"Bearer  {KEY}"}, "no key": {"authorization": "Bearer"},
    "both": {"x-admin-api-key": KEY, "authorization": f"Bearer {KEY}"}, "long": {"x-admin-api-key": KEY * 300},
    "no session": {"cookie": "__Host-leadpipe_session=0123456789abcdef0123456789abcdef"},
    "two sessions": {"cookie": "__Host-leadpipe_session=a; __Host-leadpipe_session=b"}, "an empty session": {"cookie": "__Host-leadpipe_session="},
}


@pytest.fixture(scope="module")
def base(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def instance(base):
    with ManyClients(DATABASE_URL=base.url, ENABLE_NOTIFICATION_WORKER="false", ADMIN_API_KEY=KEY, TRUSTED_PROXIES="127.0.0.1") as instance:
        yield instance


@pytest.fixture
def admin(instance):
    return AdminClient(instance)


def concrete(path, value=NOBODY):
    return re.sub(r"\{[a-z]+\}", value, path)


def refused(answer):
    """A rejection without the parts that differ between requests."""
    status, headers, document = answer
    own = {name for name in headers if not name.startswith(("x-ratelimit", "ratelimit"))}
    return status, frozenset(own), {name: value for name, value in document.items() if name != "requestId"}


@pytest.mark.parametrize("method, path", ROUTES, ids=lambda value: value.strip("/").replace("/", "-"))
def test_every_route_rejects_a_missing_key(instance, method, path):
    """The key is checked first. Without one, no other error of the request is reported."""
    for body in (None, {}, b"{"):
        if body is not None and method in ("GET", "DELETE"):
            continue
        status, headers, document = AdminClient(instance, None).request(method, concrete(path), body)
        assert (status, document["error"]) == (401, "Unauthorized"), document
        assert headers["www-authenticate"] == 'Bearer realm="leadpipe"'
    for place in ({"x-admin-api-key": "wrong"}, {"cookie": f"__Host-leadpipe_session={'0' * 32}"}):
        assert instance.http(concrete(path, "no-uuid"), None, method, place)[0] == 401


@pytest.mark.parametrize("method, path", ROUTES, ids=lambda value: value.strip("/").replace("/", "-"))
def test_every_route_returns_405_for_other_methods(admin, method, path):
    status, headers, _ = admin.request("PUT", concrete(path), {})
    assert status == 405
    assert method in headers["allow"]


@pytest.mark.parametrize("method, path", [route for route in ROUTES if "{id}" in route[1]], ids=lambda value: value.strip("/").replace("/", "-"))
def test_invalid_id_returns_400_and_unknown_id_404(admin, method, path):
    status, _, document = admin.request(method, concrete(path, "no-uuid"), {} if method in ("POST", "PATCH") else None)
    assert status == 400
    assert {"path": "id", "code": "invalid_uuid", "message": "id must be a UUID"} in document["details"]
    good = {"status": "busy" if "agents" in path else "completed", "agentId": NOBODY, "followUpDate": "2099-01-01T10:00:00Z", "reminderType": "call"}
    status, _, document = admin.request(method, concrete(path), good if method in ("POST", "PATCH") else None)
    assert status == 404, document


def test_every_wrong_key_gets_the_same_401(instance):
    said = {name: refused(instance.http("/api/admin/agents", headers=headers)) for name, headers in WRONG.items()}
    assert len({str(refusal) for refusal in said.values()}) == 1, said
    assert said["none"][0] == 401
    for good in ({"x-admin-api-key": KEY}, {"authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}):
        assert instance.http("/api/admin/agents", headers=good)[0] == 200
    assert instance.http(f"/api/admin/agents?key={KEY}&x-admin-api-key={KEY}")[0] == 401


def test_admin_handlers_return_503_without_a_configured_key(base):
    """Runs the handlers directly, because `leadpipe up` creates a missing key."""
    envelope = {
        "version": "2.0", "headers": {"x-admin-api-key": KEY}, "rawPath": "/api/admin/agents",
        "requestContext": {"requestId": "r", "http": {"method": "GET", "path": "/api/admin/agents"}}}
    for path in sorted(HANDLERS.glob("[!.]*")):
        described = json.loads(subprocess.run([path, "--describe"], capture_output=True, check=True).stdout)
        if described["access"] != "admin":
            continue
        done = subprocess.run([path], input=json.dumps(envelope).encode(), env=clean_environment(DATABASE_URL=base.url), capture_output=True)
        reply = json.loads(done.stdout)
        assert (reply["statusCode"], done.returncode) == (503, 75), (path.name, reply)
        assert json.loads(reply["body"])["code"] == "admin_not_configured"


@pytest.mark.parametrize("key", ["short", "with a space in it, too", "x" * 201, "ключ-ключ-ключ-ключ"])
def test_rejects_a_weak_key_as_a_setting(base, key):
    done = leadpipe("worker", "--check", DATABASE_URL=base.url, ADMIN_API_KEY=key)
    assert done.returncode == 78
    assert "ADMIN_API_KEY must have 16 to 200 visible ASCII characters" in done.stderr


def test_handler_started_by_hand_has_the_operators_rights(base):
    done = subprocess.run([HANDLERS / "agent-list"], input=b"{}", env=clean_environment(DATABASE_URL=base.url), capture_output=True)
    assert (done.returncode, json.loads(done.stdout)["total"]) == (0, 0)


# ── Keys ──


def test_creates_lists_and_revokes_keys(instance, base):
    reader = with_key(instance, base, "Panel reader", "read")
    assert reader.key.startswith("lp_") and len(reader.key) == 67
    assert base.count("admin_keys", f"encode(sha256, 'escape') like '%{reader.key}%'") == 0
    reader.get("/api/admin/agents")
    row = next(json.loads(line) for line in leadpipe("key", "list", "--json", DATABASE_URL=base.url).stdout.splitlines())
    assert (row["name"], row["rights"], row["revokedAt"]) == ("Panel reader", "read", None)
    assert row["lastUsedAt"] is not None
    again = leadpipe("key", "create", "Panel reader", "--rights", "read", DATABASE_URL=base.url)
    assert (again.returncode, again.stderr.strip()) == (65, "there is already a key with this name")
    assert leadpipe("key", "revoke", "Panel reader", DATABASE_URL=base.url).returncode == 0
    reader.get("/api/admin/agents", 401)
    assert leadpipe("key", "revoke", "Panel reader", DATABASE_URL=base.url).returncode == 65
    with_key(instance, base, "Panel reader", "write").get("/api/admin/agents")


def test_key_is_limited_to_its_rights(instance, base):
    agent = AdminClient(instance).post("/api/admin/agents", {"name": "Rights Agent", "email": "rights@example.com"}, 201)["id"]
    for rights, changes_status, changes_name, adds in (("read", 403, 403, 403), ("write", 200, 403, 403), ("owner", 200, 200, 201)):
        own = with_key(instance, base, f"Key to {rights}", rights)
        own.get("/api/admin/agents")
        own.patch(f"/api/admin/agents/{agent}", {"status": "busy"}, changes_status)
        own.patch(f"/api/admin/agents/{agent}", {"name": "Renamed Agent"}, changes_name)
        own.post("/api/admin/agents", {"name": "New Agent", "email": f"{rights}@example.com"}, adds)
        assert own.get("/api/admin/session")["rights"] == rights


# ── Sessions ──


def log_in(instance, key=KEY):
    """The cookie and the CSRF token of a new session."""
    status, headers, document = instance.http("/api/admin/session", {"key": key})
    assert status == 201, document
    cookie = headers["set-cookie"]
    # The clients are elsewhere if a trusted proxy says so.
    name, place = ("__Host-leadpipe_session", "Path=/; Secure") if isinstance(instance, ManyClients) else ("leadpipe_session", "Path=/api")
    assert re.fullmatch(rf"{name}=[0-9a-f]{{32}}; {place}; HttpOnly; SameSite=Strict; Max-Age=43200", cookie), cookie
    return cookie.split(";")[0], document["csrfToken"]


def by_cookie(instance, method, path, cookie, csrf=None, body=None):
    return instance.http(path, body, method, {"cookie": cookie, **({"x-csrf-token": csrf} if csrf else {})})


def test_session_starts_with_a_key_and_ends_with_logout(instance, base):
    cookie, csrf = log_in(instance)
    token = cookie.split("=")[1]
    assert token not in base.text("select * from admin_sessions")
    status, _, document = by_cookie(instance, "GET", "/api/admin/session", cookie)
    assert (status, document["name"], document["csrfToken"]) == (200, "ADMIN_API_KEY", csrf)
    assert by_cookie(instance, "GET", "/api/admin/agents", cookie)[0] == 200
    status, headers, _ = by_cookie(instance, "DELETE", "/api/admin/session", cookie, csrf)
    assert (status, "Max-Age=0" in headers["set-cookie"]) == (204, True)
    assert by_cookie(instance, "GET", "/api/admin/agents", cookie)[0] == 401
    assert by_cookie(instance, "DELETE", "/api/admin/session", cookie, csrf)[0] == 401


def test_change_with_a_cookie_requires_its_csrf_token(instance):
    cookie, csrf = log_in(instance)
    _, other = log_in(instance)
    body = {"name": "Forged Agent", "email": "forged@example.com"}
    for wrong in (None, "", "0" * 64, other, csrf[:-1]):
        assert by_cookie(instance, "POST", "/api/admin/agents", cookie, wrong, body)[0] == 403
    for forged in ({"content-type": "text/plain"}, {"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        status, _, _ = instance.http("/api/admin/agents", json.dumps(body).encode(), "POST", {"cookie": cookie, **forged})
        assert status in (403, 415), forged
    assert by_cookie(instance, "POST", "/api/admin/agents", cookie, csrf, body)[0] == 201


def test_session_expires_and_ends_when_its_key_is_revoked(instance, base):
    cookie, _ = log_in(instance)
    base.run("update admin_sessions set expires_at = now() - interval '1 second'")
    assert by_cookie(instance, "GET", "/api/admin/agents", cookie)[0] == 401
    key = with_key(instance, base, "Leaving", "write").key
    cookie, _ = log_in(instance, key)
    assert by_cookie(instance, "GET", "/api/admin/session", cookie)[2]["name"] == "Leaving"
    leadpipe("key", "revoke", "Leaving", DATABASE_URL=base.url)
    assert by_cookie(instance, "GET", "/api/admin/agents", cookie)[0] == 401
    assert instance.http("/api/admin/session", {"key": key})[0] == 401


def test_session_of_the_configured_key_ends_when_the_key_changes(cluster):
    database = cluster.migrated()
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", ADMIN_API_KEY=KEY) as instance:
        cookie, _ = log_in(instance)
        port = instance.port
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", ADMIN_API_KEY=KEY + "-2", port=port) as instance:
        assert by_cookie(instance, "GET", "/api/admin/agents", cookie)[0] == 401
    cluster.drop(database)


def test_session_fixation_is_impossible(instance):
    """The value of a cookie from before the login does not become a session."""
    mine = "__Host-leadpipe_session=" + "a" * 32
    status, headers, _ = instance.http("/api/admin/session", {"key": KEY}, headers={"cookie": mine})
    assert status == 201
    assert headers["set-cookie"].split(";")[0] != mine
    assert by_cookie(instance, "GET", "/api/admin/agents", mine)[0] == 401


def test_of_several_sessions_the_valid_one_counts(instance):
    cookie, csrf = log_in(instance)
    another, _ = log_in(instance)
    old = "__Host-leadpipe_session=" + "0" * 32
    body = {"name": "Agent of Several Sessions", "email": "several@example.com"}
    for cookies in (f"{old}; {cookie}", f"{cookie}; {old}", f"{old}1; {old}2; {old}3; {cookie}", f"{cookie}; {cookie}"):
        status, _, document = by_cookie(instance, "GET", "/api/admin/session", cookies)
        assert (status, document["csrfToken"]) == (200, csrf)
        assert by_cookie(instance, "POST", "/api/admin/agents", cookies, "0" * 64, body)[0] in (401, 403)
    # A change is authorised by the session whose CSRF token it has.
    assert by_cookie(instance, "POST", "/api/admin/agents", f"{old}; {another}; {cookie}", csrf, body)[0] == 201
    # Another host of the domain can set a cookie of the plain name, but not one with the prefix.
    plain = cookie.removeprefix("__Host-")
    assert by_cookie(instance, "GET", "/api/admin/session", plain)[0] == 401
    assert by_cookie(instance, "GET", "/api/admin/session", f"{old}; {old}1; {old}2; {old}3; {cookie}")[0] == 401


def test_a_right_key_opens_whatever_the_neighbours_do(base):
    """They share an address, and have used up its wrong keys and its requests."""
    neighbours = {"x-forwarded-for": "198.51.100.7"}
    settings = {"ENABLE_NOTIFICATION_WORKER": "false", "ADMIN_API_KEY": KEY, "TRUSTED_PROXIES": "127.0.0.1", "RATE_LIMIT_ADMIN": "40/60"}
    with Instance(DATABASE_URL=base.url, **settings) as instance:
        with ThreadPoolExecutor(30) as pool:
            guesses = [{"x-admin-api-key": f"a-wrong-key-{number}"} for number in range(60)]
            statuses = list(pool.map(lambda key: instance.http("/api/admin/agents", headers={**neighbours, **key})[0], guesses))
            # All have been counted before any was tested.
            assert (statuses.count(401), statuses.count(429)) == (20, 40), statuses
            # In the body and in a header, while others guess on.
            more = [pool.submit(instance.http, "/api/admin/session", {"key": f"another-{number}"}, None, neighbours) for number in range(20)]
            status, headers, document = instance.http("/api/admin/session", {"key": KEY}, None, neighbours)
            assert status == 201, document
            assert instance.http("/api/admin/agents", headers={**neighbours, "authorization": f"Bearer {KEY}"})[0] == 200
            assert {answer.result()[0] for answer in more} == {429}
        # The session is known from its reply on, so it does not wait.
        begin = time.monotonic()
        for _ in range(20):
            assert instance.http("/api/admin/agents", headers={**neighbours, "cookie": headers["set-cookie"].split(";")[0]})[0] == 200
        assert instance.http("/api/admin/agents", headers={**neighbours, "x-admin-api-key": KEY})[0] == 200
        assert time.monotonic() - begin < 5, "some requests waited"
        # Without any key there is nothing to test.
        assert instance.http("/api/admin/agents", headers=neighbours)[0] == 429


def test_login_requires_a_valid_key_as_json(instance):
    for body in ({}, {"key": "wrong-key-of-somebody"}, {"key": None}, {"key": [KEY]}):
        assert instance.http("/api/admin/session", body)[0] == 401, body
    status, _, _ = instance.http("/api/admin/session", json.dumps({"key": KEY}).encode(), "POST", {"Content-Type": "text/plain"})
    assert status in (401, 415)
    assert instance.http("/api/admin/session", {"key": KEY}, headers={"x-admin-api-key": KEY})[0] == 401
    assert instance.http("/api/admin/session", {}, headers={"x-admin-api-key": KEY})[0] == 201


def test_admin_replies_are_not_cached(admin):
    assert admin.request("GET", "/api/admin/agents")[1]["cache-control"] == "no-store"
    assert admin.request("GET", "/api/admin/session")[1]["cache-control"] == "no-store, no-transform"


def test_log_contains_no_key_and_no_token(instance, base):
    cookie, csrf = log_in(instance)
    by_cookie(instance, "POST", "/api/admin/agents", cookie, csrf, {})
    instance.http("/api/admin/agents", headers={"x-admin-api-key": "canary-key-0123456789"})
    for secret in (KEY, cookie.split("=")[1], csrf, "canary-key"):
        assert secret not in instance.log
