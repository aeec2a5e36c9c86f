"""What the panel needs of the server: log-in links, keys, agents of keys, unassigned leads, tags in bulk, hello events."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from admin import KEY, AdminClient, with_key
from cluster import leadpipe
from listener import Listener
from many_clients import ManyClients


@pytest.fixture(scope="module")
def base(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def instance(base):
    with ManyClients(DATABASE_URL=base.url, ENABLE_NOTIFICATION_WORKER="false", ADMIN_API_KEY=KEY, TIME_ZONE="Asia/Dubai", TRUSTED_PROXIES="127.0.0.1",
                     ) as instance:
        yield instance


@pytest.fixture
def admin(instance):
    return AdminClient(instance)


@pytest.fixture(autouse=True)
def fresh(base):
    base.wipe()


def agent(admin, name="Omar", **more):
    return admin.post("/api/admin/agents", {"name": name, "email": f"{name.lower()}@example.com", **more}, 201)["id"]


def lead(instance, name="Test User", number=1):
    return instance.capture({"customerName": name, "customerPhone": f"+97150{number:07}", "intent": "buy"})


def ids(page):
    return {row["id"] for row in page["data"]}


# ── Log-in links ──


def link(base, *words):
    made = leadpipe("login", *words, DATABASE_URL=base.url, PORT="4444")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def token(base, *words):
    return re.fullmatch(r"http://127\.0\.0\.1:4444/admin/login#token=([0-9a-f]{64})", link(base, *words))[1]


def open_session(instance, body, headers=None):
    return instance.http("/api/admin/session", body, headers=headers)


def test_log_in_link_opens_one_session(instance, base):
    own = token(base)
    assert base.count("leadpipe.admin_logins", f"encode(sha256, 'escape') like '%{own}%'") == 0
    status, headers, document = open_session(instance, {"loginToken": own})
    assert (status, document["name"], document["rights"], document["agent"]) == (201, "ADMIN_API_KEY", "owner", None)
    cookie = headers["set-cookie"].split(";")[0]
    assert instance.http("/api/admin/agents", headers={"cookie": cookie})[0] == 200
    status, _, document = open_session(instance, {"loginToken": own})
    assert (status, document["code"]) == (401, "key_required")
    assert own not in instance.log and base.count("leadpipe.admin_logins") == 0
    assert base.text("select action || ' ' || subject from leadpipe.audit_log") == "login.created ADMIN_API_KEY"


def test_of_two_uses_at_once_one_succeeds(instance, base):
    for _ in range(10):
        own = token(base)
        with ThreadPoolExecutor(4) as threads:
            statuses = list(threads.map(lambda _, own=own: open_session(instance, {"loginToken": own})[0], range(4)))
        assert sorted(statuses) == [201, 401, 401, 401]


def test_expired_link_is_refused(instance, base):
    own = token(base)
    assert 290 < float(base.text("select extract(epoch from expires_at - now()) from leadpipe.admin_logins")) <= 300
    base.run("update leadpipe.admin_logins set expires_at = now() - interval '1 ms'")
    assert open_session(instance, {"loginToken": own})[0] == 401
    token(base)
    assert base.count("leadpipe.admin_logins") == 1, "the next link deletes expired ones"


def test_link_for_a_key_has_its_rights_and_ends_with_it(instance, base, admin):
    omar = agent(admin)
    assert leadpipe("key", "create", "Omar's phone", "--rights", "read", "--agent", omar[:8], DATABASE_URL=base.url).returncode == 0
    status, headers, document = open_session(instance, {"loginToken": token(base, "--key", "Omar's phone")})
    assert (status, document["name"], document["rights"], document["agent"]) == (201, "Omar's phone", "read", {"id": omar, "name": "Omar"})
    unused = token(base, "--key", "Omar's phone")
    assert leadpipe("key", "revoke", "Omar's phone", DATABASE_URL=base.url).returncode == 0
    assert instance.http("/api/admin/session", headers={"cookie": headers["set-cookie"].split(";")[0]})[0] == 401
    assert open_session(instance, {"loginToken": unused})[0] == 401
    failed = leadpipe("login", "--key", "Omar's phone", DATABASE_URL=base.url)
    assert (failed.returncode, failed.stderr.strip()) == (65, "there is no such active key")


def test_link_and_key_together_are_refused_and_the_link_stays(instance, base):
    own = token(base)
    for body, headers in (({"loginToken": own, "key": KEY}, {}), ({"loginToken": own}, {"x-admin-api-key": KEY}),
                          ({"loginToken": own}, {"authorization": f"Bearer {KEY}"})):
        assert open_session(instance, body, headers)[0] == 401
    for wrong in ("x" * 64, own[:-1], own.upper(), "'; --", "x" * 900):
        assert open_session(instance, {"loginToken": wrong})[0] == 401
    # It opens nothing but a session.
    assert instance.http("/api/admin/agents", headers={"x-admin-api-key": own})[0] == 401
    assert open_session(instance, {"loginToken": own})[0] == 201


def test_link_names_the_gateways_address(base):
    assert link(base, "--url", "https://api.example.com/").startswith("https://api.example.com/admin/login#token=")
    made = json.loads(link(base, "--json"))
    assert made["url"].startswith("http://127.0.0.1:4444/admin/login#token=") and made["rights"] == "owner"
    assert leadpipe("login", "--url", "ftp://x", DATABASE_URL=base.url).returncode == 64


# ── Sessions ──


def test_session_says_what_the_server_offers(instance, admin):
    document = admin.get("/api/admin/session")
    assert (document["timeZone"], document["agent"]) == ("Asia/Dubai", None)
    assert (document["exports"], document["channels"]) == (["csv", "xlsx", "pdf"], ["slack", "telegram", "email"])
    # The instance has no limits.
    assert document["limits"] == {"page": {"default": 25, "max": 100}, "bulk": 500, "requests": None, "exports": None}
    assert re.fullmatch(r"\d+\.\d+\.\d+", document["version"])


def test_session_of_an_expiring_key_ends_with_it(instance, base):
    made = leadpipe("key", "create", "Short", "--rights", "read", "--days", "1", DATABASE_URL=base.url)
    key = made.stdout.strip()
    base.run("update admin_keys set expires_at = now() + interval '1 h'")
    status, headers, document = open_session(instance, {"key": key})
    assert status == 201 and document["expiresAt"] <= base.text("select leadpipe.iso8601(now() + interval '1 h')")
    base.run("update admin_keys set expires_at = now()")
    assert open_session(instance, {"key": key})[0] == 401
    assert instance.http("/api/admin/agents", headers={"x-admin-api-key": key})[0] == 401
    base.run("update admin_sessions set expires_at = now() + interval '1 h'")
    assert instance.http("/api/admin/agents", headers={"cookie": headers["set-cookie"].split(";")[0]})[0] == 401


# ── Keys ──


def test_owner_creates_lists_and_revokes_keys(instance, base, admin):
    omar = agent(admin)
    made = admin.post("/api/admin/keys", {"name": "Omar", "rights": "write", "agentId": omar}, 201)
    assert re.fullmatch("lp_[0-9a-f]{64}", made["key"]) and made["agent"] == {"id": omar, "name": "Omar"}
    own = AdminClient(instance, made["key"])
    assert own.get("/api/admin/session")["agent"]["id"] == omar
    admin.post("/api/admin/keys", {"name": "Omar", "rights": "read"}, 409)
    listed = admin.get("/api/admin/keys")
    row, = listed["data"]
    assert (row["name"], row["lastUsedAt"] is not None, row["isCurrent"], listed["total"]) == ("Omar", True, False, 1)
    assert made["key"] not in json.dumps(listed) and "sha256" not in json.dumps(listed) and made["key"] not in instance.log
    status, _, _ = admin.request("DELETE", f"/api/admin/keys/{row['id']}")
    assert status == 204 and admin.get("/api/admin/keys")["total"] == 0
    own.get("/api/admin/session", 401)
    assert admin.request("DELETE", f"/api/admin/keys/{row['id']}")[0] == 404
    audited = [(entry["action"], entry["subject"], entry["actor"]) for entry in admin.get("/api/admin/audit")["data"]]
    assert audited[:2] == [("key.revoked", "Omar", "ADMIN_API_KEY"), ("key.created", "Omar", "ADMIN_API_KEY")]


@pytest.mark.parametrize("rights", ["read", "write"])
def test_keys_are_for_owners(instance, base, rights):
    own = with_key(instance, base, "Sara", rights)
    id = base.text("select id from admin_keys")
    for method, path, body in (("GET", "/api/admin/keys", None),
                               ("POST", "/api/admin/keys", {"name": "x", "rights": "owner"}), ("DELETE", f"/api/admin/keys/{id}", None)):
        status, _, document = own.request(method, path, body)
        assert (status, document["code"]) == (403, "insufficient_rights"), (method, path)
    assert base.count("admin_keys", "revoked_at is null") == 1


def test_last_owner_cannot_revoke_its_own_key(instance, base, admin):
    first = with_key(instance, base, "First", "owner")
    row, = first.get("/api/admin/keys")["data"]
    assert row["isCurrent"]
    path = f"/api/admin/keys/{row['id']}"
    # Neither a writer's nor an expired owner's key counts.
    with_key(instance, base, "Writer", "write")
    with_key(instance, base, "Expired", "owner")
    base.run("update admin_keys set expires_at = now() where name = 'Expired'")
    status, _, document = first.request("DELETE", path)
    assert (status, document["code"]) == (409, "last_owner_key")
    with_key(instance, base, "Second", "owner")
    assert first.request("DELETE", path)[0] == 204


def test_two_owners_that_leave_at_once_leave_one_key(instance, base):
    for round in range(8):
        base.wipe()
        owners = [with_key(instance, base, name, "owner") for name in ("A", "B")]
        rows = {row["name"]: row["id"] for row in owners[0].get("/api/admin/keys")["data"]}
        with ThreadPoolExecutor(2) as threads:
            statuses = list(threads.map(lambda pair, rows=rows: pair[0].request("DELETE", f"/api/admin/keys/{rows[pair[1]]}")[0],
                                        zip(owners, "AB", strict=True)))
        assert sorted(statuses) == [204, 409] and base.count("admin_keys", "revoked_at is null") == 1, round


def test_deleting_an_agent_revokes_its_keys(instance, base, admin):
    omar = agent(admin)
    key = admin.post("/api/admin/keys", {"name": "Omar", "rights": "write", "agentId": omar}, 201)["key"]
    assert admin.request("DELETE", f"/api/admin/agents/{omar}")[0] == 204
    status, _, problem = AdminClient(instance, key).request("GET", "/api/admin/session")
    assert (status, problem["code"]) == (401, "key_required")


def test_key_command_names_agent_and_expiry(base, admin):
    omar = agent(admin)
    assert leadpipe("key", "create", "Omar", "--rights", "write", "--agent", omar, "--days", "90", DATABASE_URL=base.url).returncode == 0
    row = json.loads(leadpipe("key", "list", "--json", DATABASE_URL=base.url).stdout)
    assert row["agent"] == {"id": omar, "name": "Omar"}
    assert abs(float(base.text("select extract(epoch from expires_at - now()) / 86400 from admin_keys")) - 90) < 0.1
    table = leadpipe("key", "list", DATABASE_URL=base.url).stdout
    assert "EXPIRES" in table and "AGENT" in table and "Omar" in table
    assert leadpipe("key", "create", "x", "--rights", "read", "--days", "0", DATABASE_URL=base.url).returncode == 64
    failed = leadpipe("key", "create", "x", "--rights", "read", "--agent", "00000000-0000-4000-8000-00000000dead", DATABASE_URL=base.url)
    assert (failed.returncode, failed.stderr.strip()) == (65, "there is no such agent")


# ── Unassigned leads ──


def test_unassigned_filter_in_list_search_and_export(instance, base, admin):
    omar, sara = agent(admin), agent(admin, "Sara")
    free, his, hers = lead(instance, "Villa One", 1), lead(instance, "Villa Two", 2), lead(instance, "Villa Three", 3)
    admin.post(f"/api/admin/conversations/{his}/assign", {"agentId": omar})
    admin.post(f"/api/admin/conversations/{hers}/assign", {"agentId": sara})
    for value, found in (("none", {free}), (f"none,{omar}", {free, his}), (omar, {his}), ("none&assignedAgentIds=" + sara, {free, hers})):
        page = admin.get(f"/api/admin/conversations?assignedAgentIds={value}")
        assert (ids(page), page["total"]) == (found, len(found)), value
        assert ids(admin.get(f"/api/admin/conversations?query=villa&assignedAgentIds={value}")) == found
    search = json.dumps({"assignedAgentIds": ["none"]}).replace(" ", "").replace('"', "%22")
    assert ids(admin.get(f"/api/admin/search?query=villa&filters={search}")) == {free}
    status, _, problem = admin.request("GET", "/api/admin/conversations?assignedAgentIds=nobody")
    assert (status, problem["details"][0]["code"]) == (400, "invalid_uuid")
    done = leadpipe("invoke", "conversation-export", DATABASE_URL=base.url, input=json.dumps({"format": "csv", "assignedAgentIds": ["none"]}))
    assert free in done.stdout and his not in done.stdout and hers not in done.stdout
    # A change is found at once, before it is indexed.
    admin.document("DELETE", f"/api/admin/conversations/{his}/assign", None, 200)
    assert ids(admin.get("/api/admin/conversations?assignedAgentIds=none")) == {free, his}


# ── Unassign ──


def test_unassign_undoes_a_first_assignment(instance, base, admin):
    omar = agent(admin, maxCapacity=1)
    one, two = lead(instance, number=1), lead(instance, number=2)
    assigned = admin.post(f"/api/admin/conversations/{one}/assign", {"agentId": omar})["conversation"]
    admin.post(f"/api/admin/conversations/{two}/assign", {"agentId": omar}, 409)
    status, headers, document = admin.request("DELETE", f"/api/admin/conversations/{one}/assign")
    assert (status, document["status"], document["conversation"]["assignedAgentId"]) == (200, "unassigned", None)
    assert document["conversation"]["updatedAt"] > assigned["updatedAt"]
    entry = admin.get(f"/api/admin/conversations/{one}/timeline")["data"]
    entry = max(entry, key=lambda row: row["at"])
    assert (entry["title"], entry["description"], entry["actorName"]) == ("Unassigned", "Was assigned to Omar", "ADMIN_API_KEY")
    # The agent has room again.
    admin.post(f"/api/admin/conversations/{two}/assign", {"agentId": omar})
    # Again: nothing changes.
    status, again, _ = admin.request("DELETE", f"/api/admin/conversations/{one}/assign")
    assert (status, again["etag"]) == (200, headers["etag"])
    assert base.count("conversation_timeline", "title = 'Unassigned'") == 1


def test_unassign_requires_the_version_that_was_seen(instance, base, admin):
    omar, one = agent(admin), lead(instance)
    path = f"/api/admin/conversations/{one}/assign"
    old = admin.request("GET", f"/api/admin/conversations/{one}")[1]["etag"]
    new = admin.request("POST", path, {"agentId": omar})[1]["etag"]
    assert admin.request("DELETE", path, If_Match=old)[0] == 412
    assert admin.request("DELETE", path, If_Match="nonsense")[0] == 400
    assert admin.request("DELETE", path, If_Match=new)[0] == 200
    with_key(instance, base, "Reader", "read").document("DELETE", path, None, 403)


def test_bulk_unassigns_and_changes_tags(instance, base, admin):
    omar, leads = agent(admin), [lead(instance, number=number) for number in range(3)]
    for one in leads[:2]:
        admin.patch(f"/api/admin/conversations/{one}", {"tags": ["jvc", "old"]})
        admin.post(f"/api/admin/conversations/{one}/assign", {"agentId": omar})
    done = admin.post("/api/admin/conversations/bulk", {"ids": leads, "change": {"agentId": None}})
    assert (done["changed"], done["failed"], [row["changed"] for row in done["results"]]) == (2, 0, [True, True, False])
    done = admin.post("/api/admin/conversations/bulk", {"ids": leads, "change": {"addTags": ["cash"], "removeTags": ["old"]}})
    assert done["changed"] == 3
    assert [admin.get(f"/api/admin/conversations/{one}")["tags"] for one in leads] == [["jvc", "cash"], ["jvc", "cash"], ["cash"]]
    # Nothing to do, so no event and no entry.
    entries = base.count("conversation_timeline")
    assert admin.post("/api/admin/conversations/bulk", {"ids": leads, "change": {"addTags": ["cash"], "removeTags": ["old"]}})["changed"] == 0
    assert base.count("conversation_timeline") == entries


def test_two_that_add_tags_at_once_lose_none(instance, admin):
    one = lead(instance)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: admin.patch(f"/api/admin/conversations/{one}", {"addTags": [f"t{number}"]}), range(12)))
    assert sorted(admin.get(f"/api/admin/conversations/{one}")["tags"]) == sorted(f"t{number}" for number in range(12))


# ── Live events ──


def test_quiet_stream_gives_an_id_that_every_browser_keeps(instance, base):
    """Firefox and WebKit keep an id only from a block with data."""
    one = lead(instance)
    with Listener(instance) as listener:
        block = listener.block()
        assert (block["event"], block["data"]) == ("hello", "{}") and block["id"]
        kept = block["id"]
    base.run(f"select public.emit_lead_event('lead.updated', '{one}')")
    for place in ({"after": kept}, {"path": f"/api/admin/live?lastEventId={kept.replace('/', '%2F').replace(':', '%3A')}"}):
        with Listener(instance, **place) as listener:
            blocks = [listener.block(), listener.block()]
            assert [block["event"] for block in blocks] == ["hello", "lead.updated"] and json.loads(blocks[1]["data"])["conversationId"] == one
            assert listener.block()["event"] == "hello"


def test_every_block_of_a_stream_has_data(instance, base):
    one = lead(instance)
    with Listener(instance) as listener:
        until = time.monotonic() + 3
        blocks = [listener.block(), listener.block()]
        for _ in range(3):
            base.run(f"select public.emit_lead_event('lead.updated', '{one}')")
            while (block := listener.block()) == {} and time.monotonic() < until:
                pass
            blocks.append(block)
        assert all(block["data"] and block["event"] for block in blocks), blocks
