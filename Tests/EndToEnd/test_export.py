"""/api/admin/conversations/export: the same rows as the list, read back by a CSV reader; through the gateway and by
hand; clients that leave, handlers that are killed, and leads that arrive meanwhile."""

import csv
import http.client
import io
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from admin import KEY, AdminClient, with_key
from common import BIN, HANDLERS, clean_environment, until
from instance import Instance
from pooler import pooler

PATH = "/api/admin/conversations/export"
FILTERS = [
    {}, {"sort": "oldest"}, {"sort": "hot"}, {"sort": "warm"}, {"sort": "cold"}, {"sort": "highest-budget"}, {"sort": "lowest-budget"},
    {"sort": "follow-up"}, {"sort": "sla"}, {"status": ["new", "lost"]}, {"leadQuality": ["hot"], "sort": "hot"}, {"scoreRange": "40:80"},
    {"slaState": ["breached"]}, {"slaState": ["warning"]}, {"slaState": ["ok", "met"], "sort": "sla"}, {"followUpStatus": ["scheduled"]}, {"tags": ["family"]},
    {"query": "said"}, {"query": "person", "sort": "highest-budget"}, {"query": "person", "status": ["new"], "sort": "hot"},
    {"query": "!!! & |"}, {"dateFrom": "2026-01-03", "dateTo": "2026-01-05"}, {"areas": ["JVC"], "intent": ["rent"]},
]
NAMES = ["سارة أحمد", "=HYPERLINK(\"http://evil.example\")", "Anna \"the\nbuyer\"", "+971501234567", "＝1+1", "'Tis", "semi;colon", "-5", "comma, name"]


def filled(rows):
    """SQL that adds conversations with messages. Many share a time, a score or an amount."""
    return f"""
      insert into agents (id, name) values ('00000000-0000-4000-8000-0000000000a1', 'Layla, agent') on conflict do nothing;
      insert into conversations (customer_name, customer_phone, customer_email, created_at, start_time, status, lead_score, lead_quality, intent,
        preferred_area, tags, budget, budget_amount, follow_up_date, first_response_at, sla_response_deadline, sla_breached, assigned_agent_id,
        lead_score_breakdown, source)
      select 'Person ' || n, '+9715' || lpad(n::text, 8, '0'), 'p' || n || '@example.com', timestamptz '2026-01-01 00:00Z' + n % 200 * interval '1 hour',
        '2026-01-01 00:00Z', (array['new', 'in-progress', 'completed', 'lost', 'converted'])[1 + n % 5], n * 7 % 101,
        (array['hot', 'warm', 'cold'])[1 + n % 3], (array['buy', 'rent', null])[1 + n % 3], (array['JVC', 'Dubai Marina', null])[1 + n % 4 % 3],
        case when n % 3 = 0 then array['family', 'golden visa'] else '{{}}' end, case when n % 4 > 0 then n || 'M' end, case when n % 4 > 0 then n % 40 end,
        case when n % 6 = 0 then now() + n % 9 * interval '1 day' end, case when n % 5 = 2 then timestamptz '2026-01-02 00:00Z' end,
        case when n % 7 > 0 then timestamptz '2026-01-01 12:00Z' + n % 50 * interval '1 hour' end, n % 11 = 0,
        case when n % 2 = 0 then '00000000-0000-4000-8000-0000000000a1'::uuid end, '{{"source": "client"}}', 'chatbot'
      from generate_series(1, {rows}) n;
      insert into chat_messages (conversation_id, sender, message_text, timestamp)
      select id, sender, 'said by ' || sender, created_at + place * interval '1 minute' from conversations,
        unnest(array['bot', 'customer']) with ordinality s (sender, place)
      where not exists (select from chat_messages m where m.conversation_id = conversations.id);"""


@pytest.fixture(scope="module")
def base(cluster):
    database = cluster.migrated()
    database.run(filled(450))
    for name in NAMES:
        quoted = name.replace("'", "''")
        columns = "customer_name, notes, conversion_value, created_at"
        database.run(f"insert into conversations ({columns}) values ('{quoted}', 'a line\nanother', 12.5, '2026-02-01')")
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def instance(base, tmp_path_factory):
    """The office is closed for a week: what is due after it is in warning, and without the file it would not be."""
    file = tmp_path_factory.mktemp("office") / "holidays.ics"
    now = datetime.now(UTC)
    days = [f"{now + timedelta(days=days):%Y%m%d}" for days in (-2, 7)]
    file.write_text(f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:{days[0]}\nDTEND;VALUE=DATE:{days[1]}\nEND:VEVENT\nEND:VCALENDAR\n")
    base.run(f"""
      insert into conversations (customer_name, status, lead_quality, start_time, created_at, sla_response_deadline)
      select 'Waiting ' || n, 'in-progress', 'hot', now(), now(), timestamptz '{now + timedelta(days=7):%Y-%m-%d} 00:00Z' - n * interval '6 hours'
      from generate_series(1, 4) n""")
    with Instance(DATABASE_URL=base.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false", HOLIDAYS=str(file)) as instance:
        yield instance


def read(body):
    """The header and the rows as dictionaries. Checks what RFC 4180 asks: a reader of Python's takes less."""
    assert body.startswith(b"\xef\xbb\xbf") and body.endswith(b"\r\n")
    reader = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
    header, *rows = reader
    assert len(set(header)) == len(header) and all(len(row) == len(header) for row in rows)
    return header, [dict(zip(header, row, strict=True)) for row in rows]


def ask(port, body=None, key=KEY, method="POST", path=PATH, seconds=60, **headers):
    """(response, body). Raises http.client.IncompleteRead or ConnectionError for a body that is not whole."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        sent = {"content-type": "application/json", "x-admin-api-key": key, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection.request(method, path, None if body is None else json.dumps(body), {name: value for name, value in sent.items() if value})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def export(port, **body):
    response, content = ask(port, {"format": "csv", **body})
    assert response.status == 200, content
    return read(content)


def listed(instance, **filters):
    """All rows of the list, page by page."""
    client, rows, cursor = AdminClient(instance), [], None
    while True:
        query = {name: ",".join(value) if isinstance(value, list) else value for name, value in filters.items()} | {"limit": "100"}
        if cursor:
            query["cursor"] = cursor
        page = client.get("/api/admin/conversations?" + urllib.parse.urlencode(query))
        rows += page["data"]
        cursor = page["nextCursor"]
        if not cursor:
            return rows


def plain(cell):
    """The text of a cell, as the reference says to read it."""
    return cell[1:] if cell.startswith("'") else cell


@pytest.mark.parametrize("filters", FILTERS, ids=[json.dumps(filters) for filters in FILTERS])
def test_has_the_rows_of_the_list_in_its_order(instance, filters):
    rows = listed(instance, **filters)
    header, exported = export(instance.port, **filters)
    assert [row["id"] for row in exported] == [row["id"] for row in rows]
    assert (exported == []) == (filters.get("query") == "!!! & |")
    for row, cells in zip(rows, exported, strict=True):
        for name in header:
            base, _, zone = name.partition(" ")
            value, cell = row[base], plain(cells[name])
            if zone:
                assert zone == "(Asia/Dubai)"
                assert (cell == "") == (value is None), (name, cell, value)
            elif isinstance(value, list):
                assert cell == "; ".join(value)
            elif isinstance(value, bool):
                assert cell == str(value).lower()
            elif isinstance(value, dict):
                assert json.loads(cell) == value
            elif isinstance(value, (int, float)):
                assert float(cell) == value
            else:
                assert cell == (value or ""), (name, cell, value)
        created = row["createdAt"][:19]
        assert time.strptime(cells["createdAt (Asia/Dubai)"], "%Y-%m-%d %H:%M:%S")[3] == (int(created[11:13]) + 4) % 24


def test_covers_every_member_of_the_list(instance):
    header, _ = export(instance.port)
    assert {name.partition(" ")[0] for name in header} == set(AdminClient(instance).get("/api/admin/conversations?limit=1")["data"][0])


def test_keeps_hostile_text_harmless_and_complete(instance):
    _, rows = export(instance.port, dateFrom="2026-02-01", dateTo="2026-02-01")
    assert sorted(plain(row["customerName"]) for row in rows) == sorted(NAMES)
    assert not [row for row in rows if row["customerName"][0] in "=+-@＝"]
    assert {row["notes"] for row in rows} == {"a line\nanother"} and {row["conversionValue"] for row in rows} == {"12.5"}
    _, rows = export(instance.port, query="person 1")
    assert rows and all(re.fullmatch(r"'\+9715\d{8}", row["customerPhone"]) for row in rows)


def test_replies_with_a_file_and_leaves_a_line_in_the_log(instance):
    response, _ = ask(instance.port, {"format": "csv"})
    assert response.headers["content-type"].startswith("text/csv") and response.headers["cache-control"] == "no-store"
    assert re.fullmatch(r'attachment; filename="conversations-\d{13}\.csv"', response.headers["content-disposition"])
    assert response.headers["transfer-encoding"] == "chunked"
    instance.wait_log("Exporting conversations by=ADMIN_API_KEY format=csv")
    until(lambda: re.search(r"POST /api/admin/conversations/export 200 .*bytes=[1-9]\d{4}", instance.log), 10, instance.log)


def test_get_means_the_same(instance):
    response, body = ask(instance.port, method="GET", path=PATH + "?format=csv&status=new,lost&sort=oldest", content_type="")
    assert response.status == 200
    assert read(body) == export(instance.port, status=["new", "lost"], sort="oldest")
    response, body = ask(instance.port, method="GET", path=PATH + "?format=csv&statsu=new", content_type="")
    assert response.status == 400 and json.loads(body)["details"][0]["code"] == "unknown_parameter"


def test_head_exports_nothing(instance, base):
    exported = "action = 'conversations.exported'"
    before = base.count("leadpipe.audit_log", exported)
    for version in ("1.1", "1.0"):
        with socket.create_connection(("127.0.0.1", instance.port), 20) as client:
            client.sendall(f"HEAD {PATH}?format=csv&query=person HTTP/{version}\r\nHost: x\r\nX-Admin-Api-Key: {KEY}\r\n\r\n".encode())
            received = b"".join(iter(lambda: client.recv(4096), b""))
        head, _, rest = received.partition(b"\r\n\r\n")
        assert b" 200 " in head and b"attachment" in head and rest == b""
        assert b"content-length" not in head.lower() and b"transfer-encoding" not in head.lower()
    assert ask(instance.port, method="HEAD", path=PATH + "?format=csv&statsu=new", content_type="")[0].status == 400
    assert ask(instance.port, method="HEAD", path=PATH + "?format=csv", content_type="", key="wrong")[0].status == 401
    assert base.count("leadpipe.audit_log", exported) == before
    export(instance.port, query="nobody")
    assert base.count("leadpipe.audit_log", exported) == before + 1


def test_writes_times_in_the_zone_that_was_asked_for(instance):
    header, rows = export(instance.port, timeZone="America/New_York", query="person 1")
    assert "createdAt (America/New_York)" in header
    assert rows[0]["startTime (America/New_York)"] == "2025-12-31 19:00:00"


def test_adds_messages_if_asked(instance):
    header, rows = export(instance.port, query="person 1", **{"with": ["messages"]})
    assert header[-1] == "messages"
    for row in rows:
        assert re.fullmatch(r"[\d-]{10} [\d:]{8} bot: said by bot\n[\d-]{10} [\d:]{8} customer: said by customer", row["messages"]), row["messages"]


def test_needs_a_key_with_the_right_to_read(instance, base):
    for key in ("", "wrong"):
        response, body = ask(instance.port, {"format": "csv"}, key=key)
        assert response.status == 401 and json.loads(body)["code"] == "key_required"
    reader = with_key(instance, base, "Reader", "read")
    assert ask(instance.port, {"format": "csv"}, key=reader.key)[0].status == 200
    instance.wait_log("Exporting conversations by=Reader")
    # A session needs the CSRF token for the POST, and not for the GET of a link.
    status, headers, _ = AdminClient(instance, None).request("POST", "/api/admin/session", {"key": KEY})
    cookie = headers["set-cookie"].split(";")[0]
    assert status in (200, 201)
    assert ask(instance.port, {"format": "csv"}, key="", cookie=cookie)[0].status == 403
    assert ask(instance.port, None, key="", method="GET", path=PATH + "?format=csv", content_type="", cookie=cookie)[0].status == 200


def test_describes_its_formats():
    described = json.loads(subprocess.run([HANDLERS / "conversation-export", "--describe"], capture_output=True, timeout=10, check=True).stdout)
    assert described["input"]["properties"]["format"]["enum"] == ["csv", "xlsx", "pdf"]


def test_the_list_names_the_export_if_a_client_wants_all_rows(instance):
    problem = AdminClient(instance).get("/api/admin/conversations?limit=10000", 400)
    assert "/api/admin/conversations/export" in problem["details"][0]["message"]


def test_limits_the_requests_of_a_client(base):
    with Instance(DATABASE_URL=base.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false", RATE_LIMIT_EXPORT="") as instance:
        # The gateway counts a key apart from its address once it has been accepted.
        AdminClient(instance).get("/api/admin/conversations?limit=1")
        statuses = [ask(instance.port, {"format": "csv", "query": "nobody"})[0].status for _ in range(6)]
        assert statuses == [200] * 5 + [429]


# ── By hand and other doors ──

def by_hand(url, *arguments, document=b"", **settings):
    return subprocess.run(
        [HANDLERS / "conversation-export", *arguments], input=document, capture_output=True, timeout=60,
        env=clean_environment(DATABASE_URL=url, ADMIN_API_KEY=KEY, **settings))


def test_by_hand(instance, base, cluster):
    url = cluster.url(base.name, "leadpipe_admin")
    expected = export(instance.port, status=["new"], sort="oldest")
    done = by_hand(url, "--format", "csv", document=b'{"status": ["new"], "sort": "oldest"}')
    assert done.returncode == 0 and read(done.stdout) == expected
    done = by_hand(url, "--format", "csv", "--status", "new", "--sort", "oldest")
    assert done.returncode == 0 and read(done.stdout) == expected
    assert by_hand(url, document=b'{"format": "csv"}').returncode == 0
    help = subprocess.run([HANDLERS / "conversation-export", "--help"], capture_output=True, timeout=10, check=True, text=True).stdout
    assert "--stream" not in help and "--format VALUE\n" in help and "--status VALUE,VALUE…\n" in help
    # Other users see the arguments of a process.
    done = by_hand(url, "--format", "csv", "--query", "+971501234567")
    assert done.returncode == 64 and done.stdout == b"" and b"send it on stdin" in done.stderr and b"+971" not in done.stderr
    for words in (("--colour", "red"), ("--format",), ("--stream",), ("--format", "csv", "--format", "csv")):
        done = by_hand(url, *words)
        assert done.returncode == 64 and done.stdout == b"" and b"usage" in done.stderr


def test_by_hand_into_a_reader_that_leaves(base, cluster):
    writer = subprocess.Popen(
        [HANDLERS / "conversation-export", "--format", "csv"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=clean_environment(DATABASE_URL=cluster.url(base.name, "leadpipe_admin"), ADMIN_API_KEY=KEY))
    writer.stdout.close()
    assert writer.wait(20) == 74
    writer.stderr.close()


def cgi(url, method, query, body=b"", **settings):
    variables = {
        "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": method, "REQUEST_URI": PATH + query, "QUERY_STRING": query[1:], "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SCRIPT_NAME": "", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost",
        "HTTP_X_ADMIN_API_KEY": KEY, "DATABASE_URL": url, "ADMIN_API_KEY": KEY, **settings}
    if body:
        variables |= {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json"}
    done = subprocess.run([HANDLERS / "conversation-export"], input=body, capture_output=True, timeout=60, env=variables)
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    return done, head.decode(), rest


def test_is_refused_through_cgi(base, cluster):
    """Its server does not tell the client that a handler was killed."""
    url = cluster.url(base.name, "leadpipe_admin")
    exported = base.count("leadpipe.audit_log")
    for method, query, body in (("POST", "", b'{"format": "csv"}'), ("GET", "?format=csv", b""), ("GET", "?format=pdf", b"")):
        done, head, body = cgi(url, method, query, body)
        problem = json.loads(body)
        assert head.startswith("Status: 400") and int(re.search(r"content-length: (\d+)", head)[1]) == len(body)
        assert problem["code"] == "reply_needs_gateway" and "leadpipe gateway" in problem["detail"]
        assert "leadpipe invoke conversation-export" in problem["detail"]
    done, head, _ = cgi(url, "HEAD", "?format=csv")
    assert head.startswith("Status: 400") and base.count("leadpipe.audit_log") == exported


def test_through_a_transaction_pooler(cluster, base, instance):
    expected = export(instance.port, query="person")
    for ignored in ("", "options"):
        with pooler(cluster, base, size=2, ignored=ignored) as url:
            done = by_hand(url, "--format", "csv", document=b'{"query": "person"}', LEADPIPE_ROLE="leadpipe_admin")
            assert done.returncode == 0, done.stderr
            assert read(done.stdout) == expected


# ── While it runs ──

@pytest.fixture(scope="module")
def large(cluster):
    """A database with so many rows that no buffer between the database and the client holds an export."""
    database = cluster.migrated()
    database.run(filled(60_000) + "analyze;")
    with Instance(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false") as instance:
        yield instance, database
    cluster.drop(database)


def begin(instance, body=None):
    """A socket that has sent a request and read the beginning of its reply."""
    client = socket.create_connection(("127.0.0.1", instance.port), 20)
    text = json.dumps(body or {"format": "csv"})
    head = ["Host: x", f"X-Admin-Api-Key: {KEY}", "Content-Type: application/json", f"Content-Length: {len(text)}"]
    client.sendall("\r\n".join([f"POST {PATH} HTTP/1.1", *head, "", text]).encode())
    return client


QUERIES = (
    "pg_stat_activity",
    "datname = current_database() and (query like '%leadpipe_export%' or query like '%export_conversations%') and pid <> pg_backend_pid()")


def test_each_row_once_although_leads_arrive(large):
    instance, database = large
    before = set(database.text("select id from conversations").split())
    stop = threading.Event()

    def capture():
        dice = random.Random(1)
        while not stop.is_set():
            instance.capture({"customerName": "Late Lead", "customerPhone": f"+97150{dice.randrange(10 ** 7):07}", "leadScore": dice.randrange(100)})

    writer = threading.Thread(target=capture)
    writer.start()
    try:
        for sort in ("recent", "hot", "lowest-budget"):
            ids = [row["id"] for row in export(instance.port, sort=sort)[1]]
            assert len(set(ids)) == len(ids) and before <= set(ids), (sort, len(ids), len(before))
            assert len(ids) <= database.count("conversations")
    finally:
        stop.set()
        writer.join(30)


@pytest.mark.parametrize("how", ["closes", "resets", "closes-before-the-reply"])
def test_a_client_that_leaves_ends_the_query(large, how):
    instance, database = large
    client = begin(instance)
    if how == "closes-before-the-reply":
        until(lambda: database.count(*QUERIES) > 0, 10, "the query")
    else:
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        # Back-pressure: what the client does not read keeps the handler waiting.
        time.sleep(1)
        assert instance.processes("conversation-export") and database.count(*QUERIES) == 1
    if how == "resets":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    until(lambda: not instance.processes("conversation-export") and database.count(*QUERIES) == 0, 2, "the end of handler and query")


def handler_of(instance):
    return until(lambda: next(iter(instance.processes("conversation-export")), None), 10, "the handler")


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_handler_that_is_killed_midway_breaks_the_transfer(large, version):
    instance, _ = large
    client = socket.create_connection(("127.0.0.1", instance.port), 20)
    client.sendall(f"GET {PATH}?format=csv HTTP/{version}\r\nHost: x\r\nX-Admin-Api-Key: {KEY}\r\n\r\n".encode())
    assert client.recv(1000).startswith(f"HTTP/{version} 200".encode())
    os.kill(handler_of(instance), signal.SIGKILL)
    received = b""
    with pytest.raises(ConnectionResetError):
        while part := client.recv(1 << 16):
            received += part
    assert not received.endswith(b"0\r\n\r\n")
    client.close()
    instance.wait_log("The body of the reply was cut off")
    # The gateway goes on.
    assert ask(instance.port, {"format": "csv", "query": "nobody"})[0].status == 200


def test_a_session_that_is_ended_midway_breaks_the_transfer(large):
    instance, database = large
    client = begin(instance)
    assert client.recv(1000).startswith(b"HTTP/1.1 200")
    database.text(f"select pg_terminate_backend(pid) from {QUERIES[0]} where {QUERIES[1]}")
    with pytest.raises(ConnectionResetError):
        while client.recv(1 << 16):
            pass
    client.close()
    instance.wait_log("The body of the reply is not whole")


def test_few_run_at_the_same_time(large):
    instance, _ = large
    clients = [begin(instance) for _ in range(4)]
    try:
        assert all(client.recv(1000).startswith(b"HTTP/1.1 200") for client in clients)
        response, body = ask(instance.port, {"format": "csv"})
        assert response.status == 503 and response.headers["retry-after"], body
        # Others are not delayed.
        assert AdminClient(instance).get("/api/admin/conversations?limit=1")["data"]
    finally:
        for client in clients:
            client.close()
    until(lambda: not instance.processes("conversation-export"), 5)


def memory(pid, name):
    """VmRSS or VmHWM, the peak, in kB; 0 for a process that has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf8") as status:
            return int(re.search(rf"{name}:\s+(\d+)", status.read())[1])
    except (FileNotFoundError, ProcessLookupError, TypeError):
        return 0


def test_memory_does_not_grow_with_the_rows(large):
    """A client that reads slowly makes the database wait: neither gateway nor handler collects what it has not read."""
    instance, _ = large
    gateway = next(pid for pid in instance.processes() if os.readlink(f"/proc/{pid}/exe").endswith("/gateway"))
    with open(f"/proc/{gateway}/clear_refs", "w", encoding="utf8") as references:
        references.write("5")  # The peak begins again.
    before = memory(gateway, "VmRSS")
    received, peak = 0, 0
    with begin(instance) as client:
        handler = handler_of(instance)
        last, began = b"", time.monotonic()
        while part := client.recv(1 << 16):
            received += len(part)
            peak = max(peak, memory(handler, "VmHWM"))
            last = (last + part)[-5:]
            if last == b"0\r\n\r\n":
                break
            if time.monotonic() < began + 3:
                time.sleep(0.02)
    assert last == b"0\r\n\r\n" and received > 16_000_000, received
    assert 0 < peak < 40_000, peak
    growth = memory(gateway, "VmHWM") - before
    assert growth < 8_000, f"the gateway grew by {growth} kB for {received} bytes"


def test_a_key_that_is_revoked_meanwhile_does_not_wait(large):
    """The transaction of an export holds no lock on the key."""
    instance, database = large
    name = f"Short {uuid.uuid4().hex[:6]}"
    key = with_key(instance, database, name, "read").key
    client = socket.create_connection(("127.0.0.1", instance.port), 20)
    client.sendall(f"GET {PATH}?format=csv HTTP/1.1\r\nHost: x\r\nX-Admin-Api-Key: {key}\r\n\r\n".encode())
    assert client.recv(1000).startswith(b"HTTP/1.1 200")
    done = subprocess.run([BIN / "leadpipe", "key", "revoke", name], env=clean_environment(DATABASE_URL=database.url), capture_output=True, timeout=3)
    assert done.returncode == 0, done.stderr
    client.close()
