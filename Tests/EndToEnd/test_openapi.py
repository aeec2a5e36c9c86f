"""The OpenAPI document is valid and complete, equal from the command and the gateway, and accurate. schemathesis sends
a running instance valid and invalid requests for everything in it. Soak/test_openapi.py does the same for longer."""

import json
import re
import subprocess

import pytest

from common import BIN, TEST_USER, clean_environment, until
from gateway import GatewayWith
from instance import Instance
from listener import Listener
from openapi import KEY, check, frequent_events, tool

# A foreign handler with an almost empty description.
FOREIGN = r"""#!/bin/sh
if [ "$1" = --describe ]; then
  echo '{"name":"foreign","kind":"endpoint","summary":"<script>","routes":[{"method":"POST","path":"/foreign/{id}"}],"access":"public",
    "bodyLimit":1000,"timeLimitMs":2000,"input":SCHEMA,"output":SCHEMA,"query":SCHEMA,"headers":SCHEMA,"replyHeaders":SCHEMA}'
  exit
fi
cat > /dev/null
echo '{"statusCode":200,"body":"{}"}'
"""


@pytest.fixture(scope="module")
def instance():
    # Each request of schemathesis comes from another client (hooks.py), because guessed keys are limited by address.
    with Instance(ADMIN_API_KEY=KEY, TRUSTED_PROXIES="127.0.0.1") as instance:
        yield instance


@pytest.fixture(scope="module")
def document(instance):
    status, headers, document = instance.http("/api/openapi.json")
    assert status == 200 and headers["content-type"] == "application/json"
    return document


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def faults(document):
    """The errors that the specification's validator finds, in its own Python."""
    program = ("import json, sys; from openapi_spec_validator import OpenAPIV31SpecValidator as V; "
               "print(json.dumps([e.message for e in V(json.load(sys.stdin)).iter_errors()]))")
    done = subprocess.run([tool("python"), "-c", program], input=json.dumps(document), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_document_is_valid_openapi(document):
    assert document["openapi"] == "3.1.0" and faults(document) == []
    assert faults({**document, "paths": {"no-slash": {}}}) != []


def test_command_and_gateway_return_the_same_document(instance, document):
    told = subprocess.run([BIN / "leadpipe", "openapi"], env=clean_environment(), capture_output=True, text=True, timeout=30)
    assert told.returncode == 0 and told.stdout.count("\n") == 1
    assert json.loads(told.stdout) == document


def test_document_has_exactly_the_routes(document):
    told = subprocess.run([BIN / "leadpipe", "routes"], env=clean_environment(), capture_output=True, text=True, timeout=30).stdout
    # A long list of routes is wrapped.
    told = re.sub(r"\n {20,}", " ", told)
    routes = set(re.findall(r"\b(?:DELETE|GET|HEAD|PATCH|POST|PUT) /[^\s,]*", told))
    assert {name for name, _ in operations(document)} == routes
    assert "GET /api/openapi.json" in routes and "POST /api/chatbot/leads" in routes


def test_operations_are_complete(document):
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    schemes = document["components"]["securitySchemes"]
    for name, operation in operations(document):
        assert operation["summary"] and operation["tags"], name
        assert operation["tags"][0] in [tag["name"] for tag in document["tags"]], name
        for requirement in operation["security"]:
            assert requirement.keys() <= schemes.keys(), name
        assert bool(operation["security"]) == ("401" in operation["responses"]), name
        path = [parameter for parameter in operation.get("parameters", []) if parameter["in"] == "path"]
        assert [parameter["name"] for parameter in path] == re.findall(r"{(\w+)}", name), name
        for parameter in path:
            assert parameter["name"] != "id" or parameter["schema"] == {"type": "string", "format": "uuid"}, name
        good = [reply for status, reply in operation["responses"].items() if status[0] == "2"]
        assert good, name
        for reply in good:
            assert "X-Request-Id" in reply["headers"], name
        for status in ("400", "408", "413", "414", "415", "417", "429", "431"):
            assert status in operation["responses"], (name, status)
        if name.startswith("GET "):
            assert "requestBody" not in operation, name


def test_references_resolve(document):
    for reference in set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(document))):
        place = document
        for word in reference.removeprefix("#/").split("/"):
            place = place[word]


def test_live_stream_matches_the_document(instance, document):
    event = document["paths"]["/api/admin/live"]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"]
    schema = {**event["properties"]["data"]["contentSchema"], "components": document["components"], "unevaluatedProperties": False}
    with Listener(instance, key=KEY).beginning() as listener:
        lead = instance.capture({**TEST_USER, "customerPhone": "+971502345678", "leadScore": 90})
        told = [listener.next(), *listener.until(lambda event: event.name == "delivery" and event.data["conversationId"] == lead)]
    assert {event.name for event in told} >= {"lead.created", "delivery"} and told[-1].data["status"] == "sent"
    assert {event.name for event in told} <= {*event["properties"]["event"]["enum"]}
    program = ("import json, sys; from jsonschema import Draft202012Validator as V; schema, values = json.load(sys.stdin); "
               "print([str(e)[:300] for value in values for e in V(schema).iter_errors(value)])")
    done = subprocess.run([tool("python"), "-c", program], input=json.dumps([schema, [event.data for event in told]]), capture_output=True,
                          text=True, timeout=60)
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_openapi_route_accepts_get_and_head(instance):
    status, headers, _ = instance.http("/api/openapi.json", method="HEAD")
    assert status == 200 and int(headers["content-length"]) > 1000
    status, headers, problem = instance.http("/api/openapi.json", {})
    assert status == 405 and headers["allow"] == "GET, HEAD, OPTIONS" and problem["status"] == 405


@pytest.mark.parametrize("schema", [
    '"text"', "5", "[]", '{"type":"nothing"}', '{"properties":5}', '{"$ref":"https://example.com/schema.json"}', '{"$ref":"#/nowhere"}',
    '{"allOf":[]}', '{"properties":{"a":{"minLength":-1}}}', '{"pattern":"("}', '{"description":"' + "a" * 70_000 + '"}',
])
def test_foreign_description_does_not_break_the_document(tmp_path, schema):
    with GatewayWith(tmp_path, {"foreign": FOREIGN.replace("SCHEMA", schema)}) as gateway:
        text = gateway.answer("GET", "/api/openapi.json").decode().partition("\r\n\r\n")[2]
        document = json.loads(text)
        assert faults(document) == []
        assert dict(operations(document)).keys() == {"POST /foreign/{id}", "GET /api/openapi.json"}
        assert len(text) < 20_000
        assert gateway.request("POST", "/foreign/x", body="{}")[0] == 200


def test_document_follows_the_folder_of_handlers(tmp_path):
    import signal
    with GatewayWith(tmp_path, {}) as gateway:
        def names():
            return dict(operations(json.loads(gateway.answer("GET", "/api/openapi.json").decode().partition("\r\n\r\n")[2]))).keys()
        assert names() == {"GET /api/openapi.json"}
        (gateway.handlers / "foreign").write_text(FOREIGN.replace("SCHEMA", "{}"))
        (gateway.handlers / "foreign").chmod(0o755)
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "POST /foreign/{id}" in names(), 10, "the new handler's route")


def test_no_handler_may_take_the_route_of_the_document(tmp_path):
    thief = FOREIGN.replace("SCHEMA", "{}").replace('"POST","path":"/foreign/{id}"', '"GET","path":"/api/openapi.json"')
    (tmp_path / "foreign").write_text(thief)
    (tmp_path / "foreign").chmod(0o755)
    done = subprocess.run([BIN / "gateway", "--check"], env=clean_environment(PORT="0", LEADPIPE_HANDLERS=str(tmp_path)),
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 78 and "are the same route" in done.stderr, done.stderr


@pytest.mark.seconds(400)
@pytest.mark.parametrize("key, phases", [(KEY, "coverage,fuzzing"), (None, "fuzzing")], ids=["with-key", "without-key"])
def test_document_is_accurate(instance, tmp_path, key, phases):
    with frequent_events(instance):
        assert check(instance, tmp_path, 5, key, phases=phases, seconds=390) > 50
    assert instance.process.poll() is None
    unexpected = [line for line in instance.log.splitlines() if "[ERROR]" in line]
    assert unexpected == []
