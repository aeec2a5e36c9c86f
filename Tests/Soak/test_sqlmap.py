"""sqlmap over the search, the filters of every list, the routes that find a person, and the forms that a browser posts
without a script: it finds nothing. Another test shows that it would find an injection."""

import http.server
import json
import subprocess
import threading
import urllib.parse

import pytest

from common import BIN, TEST_USER, clean_environment
from instance import Instance
from openapi import KEY, tool

# Values for parameters whose `format` and enum do not give one.
WORDS = {"scoreRange": "10:90", "timeZone": "Asia/Dubai", "filters": '{"status":["new"]}', "dateFrom": "2026-01-01", "dateTo": "2026-12-31",
         "from": "2026-01-01T00:00:00Z", "to": "2026-12-31T00:00:00Z", "since": "2026-01-01T00:00:00Z", "until": "2026-12-31T00:00:00Z"}


def lists():
    """The GET routes with parameters, from the OpenAPI document: the path and valid parameters of each."""
    told = subprocess.run([BIN / "leadpipe", "openapi"], env=clean_environment(), capture_output=True, text=True, timeout=30, check=True)
    for path, methods in json.loads(told.stdout)["paths"].items():
        asked = [parameter for parameter in methods.get("get", {}).get("parameters", []) if parameter["in"] == "query"]
        # A stream has no page to compare. Its parameter is tested by Cases/live-show and supabase/tests/live.sql. The filters
        # of an export are tested in a body.
        if asked and "{" not in path and not path.endswith(("/live", "/export")):
            # Cursors come from earlier replies.
            yield path, {parameter["name"]: example(parameter) for parameter in asked if parameter["name"] != "cursor"}


def example(parameter):
    schema = parameter.get("schema", {})
    schema = schema.get("items", schema)
    schema = schema.get("anyOf", [schema])[0]
    if parameter["name"] in WORDS:
        return WORDS[parameter["name"]]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("format") == "uuid":
        return "7b3c2f0e-5d0a-4c55-9a57-0c9f3f1f9d11"
    if schema.get("format") in ("date-time", "date"):
        return "2026-01-01T00:00:00Z"[:20 if schema["format"] == "date-time" else 10]
    return str(schema.get("minimum", 1)) if schema.get("type") == "integer" else "true" if schema.get("type") == "boolean" else "villa"


LISTS = dict(lists())


def sqlmap(target, folder, *options, seconds=600):
    """The output of sqlmap for a URL, or a file with a request. It stops if the first reply is not a success, so the
    values must be valid."""
    done = subprocess.run(
        [tool("sqlmap"), "-r" if target.startswith("/") else "-u", target, "--batch", "--disable-coloring", "--output-dir", str(folder),
         "--flush-session", "--dbms", "PostgreSQL",
         "--ignore-proxy", "--timeout", "20", "--time-sec", "2", "--threads", "2", *options],
        env=clean_environment(HOME=str(folder), PYTHONDONTWRITEBYTECODE="1"), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def instance():
    with Instance(ADMIN_API_KEY=KEY) as instance:
        instance.capture({**TEST_USER, "notes": "a villa by the sea", "tags": ["villa"]})
        yield instance


@pytest.mark.parametrize("path", LISTS)
def test_no_parameter_is_injectable(instance, tmp_path, path):
    query = urllib.parse.urlencode(LISTS[path])
    status, _, document = instance.http(f"{path}?{query}", headers={"x-admin-api-key": KEY})
    assert status == 200, document
    said = sqlmap(f"http://127.0.0.1:{instance.port}{path}?{query}", tmp_path, "--headers", f"x-admin-api-key: {KEY}", "--level", "3", "--risk", "2",
                  "--ignore-code", "400", "-p", ",".join(LISTS[path]))
    assert "all tested parameters do not appear to be injectable" in said, said[-5_000:]
    assert "identified the following injection point" not in said
    refused = [line for line in instance.log.splitlines() if "[ERROR]" in line]
    assert refused == [], refused[:5]
    print(f"{path}: {len(LISTS[path])} parameters")


@pytest.mark.parametrize("path, body", [
    ("persons/show", {"contact": TEST_USER["customerPhone"]}),
    ("persons/export", {"contact": TEST_USER["customerPhone"]}),
    ("conversations/export", {"format": "csv", "query": "villa", "filters": {"areas": ["Marina"], "tags": ["villa"]}, "sort": "recent"})])
def test_no_member_of_a_body_is_injectable(instance, tmp_path, path, body):
    headers = {"x-admin-api-key": KEY, "Content-Type": "application/json"}
    said = sqlmap(f"http://127.0.0.1:{instance.port}/api/admin/{path}", tmp_path, "--data", json.dumps(body), "--method", "POST",
                  "--headers", "\n".join(f"{name}: {value}" for name, value in headers.items()), "--level", "3", "--risk", "2",
                  "--skip", "x-admin-api-key,user-agent,referer,host,cookie", "--ignore-code", "400,404")
    assert "all tested parameters do not appear to be injectable" in said, said[-5_000:]
    assert "JSON" in said, said[-5_000:]
    assert [line for line in instance.log.splitlines() if "[ERROR]" in line] == []


FORMS = [
    ("/api/contact", {"customerName": "Sara", "customerEmail": "sara@example.com", "customerPhone": "0501234567", "subject": "Sale", "message": "Hello",
                      "language": "en", "website2": "", "formToken": ""}),
    # Alone, because other content with the same key is refused before it is stored.
    ("/api/contact", {"idempotencyKey": "sqlmap-key", "customerName": "Sara", "customerEmail": "sara@example.com", "message": "Hello"}),
    ("/api/property-inquiry", {"customerName": "Sara", "customerEmail": "sara@example.com", "propertyTitle": "Marina", "propertyUrl": "https://x.example/p",
                              "propertyType": "Villa", "budget": "AED 5M", "message": "Hello"}),
    ("/api/sell-submission", {"customerName": "Sara", "customerPhone": "0501234567", "propertyType": "Villa", "propertyAddress": "Marina",
                             "expectedPrice": "AED 5M", "urgency": "soon", "propertyDescription": "Five rooms"}),
    ("/api/newsletter/subscribe", {"email": "sara@example.com", "source": "footer"}),
    ("/api/newsletter/unsubscribe", {"email": "sara@example.com"})]


@pytest.mark.seconds(900)
@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
@pytest.mark.parametrize(("path", "fields"), FORMS)
def test_no_field_of_a_form_is_injectable(instance, tmp_path, path, fields, kind):
    if kind == "urlencoded":
        content_type, body = "application/x-www-form-urlencoded", urllib.parse.urlencode(fields)
    else:
        parts = [f'--b0undary\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
        content_type, body = "multipart/form-data; boundary=b0undary", "".join(parts) + "--b0undary--\r\n"
    host = f"127.0.0.1:{instance.port}"
    request = tmp_path / "request"
    request.write_bytes(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Type: {content_type}\r\n\r\n{body}".encode())
    said = sqlmap(str(request), tmp_path, "--level", "3", "--risk", "2", "--skip", "user-agent,referer,host,cookie,origin",
                  "--ignore-code", "400,422", seconds=900)
    assert "all tested parameters do not appear to be injectable" in said, said[-5_000:]
    assert ("Multipart-like" in said) == (kind == "multipart"), said[-5_000:]
    for field in fields:
        assert f"parameter '{field}'" in said or f"parameter 'MULTIPART {field}'" in said or f"'{field}' is not" in said, (field, said[-5_000:])
    assert [line for line in instance.log.splitlines() if "[ERROR]" in line] == []


def test_search_and_conversation_list_are_tested():
    assert {"/api/admin/search", "/api/admin/conversations"} <= LISTS.keys()
    assert {"query", "filters"} <= LISTS["/api/admin/search"].keys() and len(LISTS["/api/admin/conversations"]) >= 14


def test_sqlmap_finds_an_injectable_parameter(database, tmp_path):
    class Careless(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            word = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("query", [""])[0]
            told = database.psql(f"select * from (values ('villa'), ('flat')) v(kind) where kind = '{word}'", "-At", check=False)
            body = (told.stdout or told.stderr).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Careless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said = sqlmap(f"http://127.0.0.1:{server.server_port}/?query=villa", tmp_path, "--technique", "BE")
        server.shutdown()
    assert "identified the following injection point" in said, said[-3_000:]
