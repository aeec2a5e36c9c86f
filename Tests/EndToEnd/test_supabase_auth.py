"""Users of Supabase Auth in the admin interface: access tokens of all kinds, rights, sessions, rotated keys."""

import json
import time

import pytest

from access_tokens import SECRET, USER, AuthServer, PrivateKey, by_secret, compact
from admin import KEY
from cluster import leadpipe
from instance import Instance
from many_clients import ManyClients

NAME = f"ana@example.com {USER}"
SESSION = "/api/admin/session"


@pytest.fixture(scope="module")
def base(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def auth(tmp_path_factory):
    with AuthServer() as server:
        server.keys = [PrivateKey(tmp_path_factory.mktemp("keys"), kid, algorithm) for kid, algorithm in (("first", "ES256"), ("second", "RS256"))]
        yield server


def settings(base, auth, **more):
    return {
        "DATABASE_URL": base.url, "ENABLE_NOTIFICATION_WORKER": "false", "ADMIN_API_KEY": KEY, "TRUSTED_PROXIES": "127.0.0.1",
        "SUPABASE_JWT_ISSUER": auth.issuer, "SUPABASE_JWT_SECRET": SECRET, "SUPABASE_JWKS": auth.jwks, **more}


@pytest.fixture(scope="module")
def instance(base, auth):
    with ManyClients(**settings(base, auth)) as instance:
        yield instance


def bearer(instance, token, path=SESSION, body=None, method=None):
    return instance.http(path, body, method, {"authorization": f"Bearer {token}"})


def test_tokens_of_every_kind_open_the_admin_interface(instance, base, auth):
    for key in (None, *auth.keys):
        status, _, document = bearer(instance, auth.token(key))
        assert (status, document["name"], document["rights"], document["agent"]) == (200, NAME, "owner", None), (key, document)
    agent = {"name": "Noor", "email": "noor@example.com"}
    assert bearer(instance, auth.token(auth.keys[0]), "/api/admin/agents", agent)[0] == 201
    # The actor is the user. The token is nowhere.
    assert base.text("select actor from leadpipe.audit_log where action = 'agent.created'") == NAME
    assert "eyJ" not in base.text("select coalesce(string_agg(l::text, ''), '') from leadpipe.audit_log l")
    assert bearer(instance, KEY)[0] == 200


@pytest.mark.parametrize("role, rights, status", [("viewer", "read", 403), ("agent", "write", 403), ("owner", "owner", 201)])
def test_the_role_in_app_metadata_decides(instance, auth, role, rights, status):
    token = auth.token(app_metadata={"leadpipe_role": role}, user_metadata={"leadpipe_role": "owner"})
    assert bearer(instance, token)[2]["rights"] == rights
    body = {"name": f"Agent of {role}", "email": f"{role}@example.com"}
    assert bearer(instance, token, "/api/admin/agents", body)[0] == status


def test_a_user_without_a_role_has_no_rights_until_the_database_gives_some(instance, base, auth):
    token = auth.token(app_metadata={"provider": "email", "role": "admin"}, user_metadata={"leadpipe_role": "admin"})
    for path, body in (("/api/admin/agents", None), (SESSION, None), (SESSION, {}), ("/api/admin/conversations?page=x", None)):
        status, _, document = bearer(instance, token, path, body)
        assert (status, document["code"]) == (403, "user_without_rights"), path
    base.run(f"insert into user_roles (user_id, role) values ('{USER}', 'moderator')")
    assert bearer(instance, token)[0] == 403
    base.run(f"insert into user_roles (user_id, role) values ('{USER}', 'admin')")
    assert bearer(instance, token)[2]["rights"] == "owner"
    # What the token says is more exact than the database.
    assert bearer(instance, auth.token(app_metadata={"leadpipe_role": "viewer"}))[2]["rights"] == "read"
    base.run("delete from user_roles")
    assert bearer(instance, token)[0] == 403


def test_hostile_tokens_get_the_401_of_a_wrong_key(instance, auth):
    elliptic, rsa = auth.keys
    now, claims = int(time.time()), auth.claims()
    good = auth.token(elliptic)
    head, body, signature = good.split(".")
    stranger = {"alg": "ES256", "kid": "third", "typ": "JWT"}
    tokens = {
        "unsigned": compact({"alg": "none"}, claims, lambda _: b""), "no signature": f"{head}.{body}.",
        "another secret": compact({"alg": "HS256"}, claims, lambda message: by_secret(message, "another" * 6)),
        "public key as secret": compact({"alg": "HS256", "kid": "second"}, claims, lambda message: by_secret(message, json.dumps(rsa.public))),
        "key set as secret": compact({"alg": "HS256"}, claims, lambda message: by_secret(message, auth.jwks)),
        "unknown key": compact(stranger, claims, elliptic.sign), "key of another kind": compact({"alg": "RS256", "kid": "first"}, claims, rsa.sign),
        "no kid": compact({"alg": "ES256"}, claims, elliptic.sign),
        "own key in the header": compact({"alg": "ES256", "kid": "third", "jwk": elliptic.public}, claims, elliptic.sign),
        "expired": auth.token(elliptic, exp=now - 61), "not yet valid": auth.token(elliptic, nbf=now + 300), "from the future": auth.token(iat=now + 300),
        "other issuer": auth.token(iss="https://other.supabase.co/auth/v1"), "other audience": auth.token(aud="other"),
        "anon key": auth.token(role="anon", aud=None, sub=None), "service role": auth.token(role="service_role"), "anonymous": auth.token(is_anonymous=True),
        "no id": auth.token(sub="admin"), "unknown role": auth.token(app_metadata={"leadpipe_role": "root"}),
        "changed": f"{head}.{body}x.{signature}", "padded": good + "=", "too long": auth.token(x="x" * 9000)}
    _, _, wrong = instance.http(SESSION, headers={"x-admin-api-key": "wrong"})
    for name, token in tokens.items():
        status, headers, document = bearer(instance, token)
        assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="leadpipe"'), (name, document)
        assert {**document, "requestId": ""} == {**wrong, "requestId": ""}, name
        assert bearer(instance, token, SESSION, {})[0] == 401, name
    # A token is no key, and counts beside one as a second.
    assert instance.http(SESSION, headers={"x-admin-api-key": good})[0] == 401
    assert instance.http(SESSION, headers={"x-admin-api-key": KEY, "authorization": f"Bearer {good}"})[0] == 401
    assert instance.http(SESSION, {"key": good})[0] == 401
    assert bearer(instance, good)[0] == 200


def test_wrong_tokens_are_counted_like_wrong_keys(base, auth):
    with ManyClients(**settings(base, auth)) as instance:
        client = {"x-forwarded-for": "198.51.100.9"}
        statuses = [
            instance.http(SESSION, headers={**client, "authorization": f"Bearer {auth.token(sub=f'wrong{number}')}"})[0] for number in range(25)]
        assert statuses[:20] == [401] * 20 and statuses[20:] == [429] * 5, statuses


def test_a_session_of_a_token_ends_with_the_token(instance, base, auth):
    status, headers, document = bearer(instance, auth.token(auth.keys[0], exp=int(time.time()) + 600), SESSION, {})
    assert (status, document["name"], document["rights"]) == (201, NAME, "owner"), document
    cookie, csrf = headers["set-cookie"].split(";")[0], document["csrfToken"]
    status, _, shown = instance.http(SESSION, headers={"cookie": cookie})
    assert (status, shown["name"], shown["csrfToken"], shown["expiresAt"]) == (200, NAME, csrf, document["expiresAt"])
    left = float(base.text("select extract(epoch from max(expires_at) - now()) from admin_sessions where supabase_user is not null"))
    assert 500 < left <= 600
    body = {"name": "By Session", "email": "session@example.com"}
    assert instance.http("/api/admin/agents", body, headers={"cookie": cookie})[0] == 403
    assert instance.http("/api/admin/agents", body, headers={"cookie": cookie, "x-csrf-token": csrf})[0] == 201
    base.run("update admin_sessions set expires_at = now() - interval '1 second' where supabase_user is not null")
    assert instance.http(SESSION, headers={"cookie": cookie})[0] == 401


def test_a_session_of_the_databases_admin_ends_with_the_role(instance, base, auth):
    base.run(f"insert into user_roles (user_id, role) values ('{USER}', 'admin')")
    _, headers, _ = bearer(instance, auth.token(app_metadata={}), SESSION, {})
    cookie = {"cookie": headers["set-cookie"].split(";")[0]}
    assert instance.http("/api/admin/agents", headers=cookie)[0] == 200
    base.run("delete from user_roles")
    assert instance.http("/api/admin/agents", headers=cookie)[0] == 403


def test_without_the_settings_a_token_is_a_wrong_key(base, auth):
    given = {name: value for name, value in settings(base, auth).items() if not name.startswith("SUPABASE_")}
    with ManyClients(**given) as instance:
        assert bearer(instance, auth.token())[0] == 401
        assert bearer(instance, KEY)[0] == 200


def test_fetched_keys_are_used_and_rotate(base, tmp_path):
    with AuthServer() as auth:
        first, second = (PrivateKey(tmp_path, kid, "ES256") for kid in ("first", "second"))
        auth.keys = [first]
        file = tmp_path / "jwks.json"
        named = {"SUPABASE_JWT_ISSUER": auth.issuer, "SUPABASE_JWKS": str(file)}
        done = leadpipe("supabase", "keys", **named)
        assert (done.returncode, json.loads(file.read_text())) == (0, json.loads(auth.jwks)), done.stderr
        assert json.loads(leadpipe("supabase", "keys", SUPABASE_JWT_ISSUER=auth.issuer).stdout) == json.loads(auth.jwks)
        given = settings(base, auth, SUPABASE_JWKS=str(file))
        given.pop("SUPABASE_JWT_SECRET")
        with ManyClients(**given) as instance:
            assert bearer(instance, auth.token(first))[0] == 200
            assert bearer(instance, auth.token(second))[0] == 401
            assert bearer(instance, auth.token())[0] == 401
            auth.keys = [first, second]
            assert leadpipe("supabase", "keys", **named).returncode == 0
        with ManyClients(**given) as instance:
            assert bearer(instance, auth.token(second))[0] == 200
            assert bearer(instance, auth.token(first))[0] == 200
        # A reply that is no key set leaves the file alone.
        before = file.read_text()
        for reply, reason in (((200, b"{}"), "must be a JWK Set"), ((200, b'{"keys": []}'), "has no key"), ((503, b""), "status 503")):
            auth.reply = reply
            done = leadpipe("supabase", "keys", **named)
            assert (done.returncode, file.read_text()) == (1, before) and reason in done.stderr, done.stderr


@pytest.mark.parametrize("changed, reason", [
    ({"SUPABASE_JWT_ISSUER": ""}, "SUPABASE_JWT_ISSUER is missing"),
    ({"SUPABASE_JWT_ISSUER": "http://ref.supabase.co/auth/v1"}, "must be an https URL"),
    ({"SUPABASE_JWT_ISSUER": "https://ref.supabase.co/auth/v1/"}, "without a slash at the end"),
    ({"SUPABASE_JWT_SECRET": "short"}, "SUPABASE_JWT_SECRET must have 32 to 1000"),
    ({"SUPABASE_JWKS": "{}"}, "SUPABASE_JWKS must be a JWK Set"), ({"SUPABASE_JWKS": "/no/such/file"}, "SUPABASE_JWKS cannot be read"),
    ({"SUPABASE_JWKS": "", "SUPABASE_JWT_SECRET": ""}, "SUPABASE_JWT_ISSUER needs SUPABASE_JWKS or SUPABASE_JWT_SECRET")])
def test_wrong_settings_stop_the_start(base, auth, changed, reason):
    done = leadpipe("gateway", "--check", **{**settings(base, auth), **changed})
    assert done.returncode == 78 and reason in done.stderr, done.stderr


def test_worker_starts_beside_the_shared_secret(base, auth, tmp_path):
    """It gets no setting of access tokens, so none of them is missing there."""
    more = {"ENABLE_NOTIFICATION_WORKER": "true", "SLACK_WEBHOOK_URL": "http://127.0.0.1:9/services/x"}
    given = {name: value for name, value in settings(base, auth, **more).items() if name != "SUPABASE_JWKS"}
    with Instance(**given) as instance:
        assert instance.processes("leadpipe worker")
