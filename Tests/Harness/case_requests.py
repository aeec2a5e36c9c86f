"""The stdin of a case."""

import base64
import contextlib
import io
import json
import re
from datetime import datetime
from urllib.parse import parse_qsl

ADMIN_KEY = "the-admin-key-of-the-tests"
ORDINARY_TIME = "2026-11-22T21:00:00Z"


def is_admin(case):
    """True if the requests of a case need the admin key."""
    return "/api/admin/" in case.get("route", "") or case.get("request", {}).get("key") is not None


def document(line, case):
    """One input as a string: as written, or the input of the file's defaults on one line with members changed or left
    out."""
    if "input" in line and not line.keys() & {"with", "without"}:
        return line["input"]
    if "input" not in case:
        return ""
    members = {**json.loads(case["input"]), **json.loads(line.get("with", "{}"))}
    return json.dumps({key: value for key, value in members.items() if key not in line.get("without", [])}, ensure_ascii=False)


def envelope(request, body, case):
    """The envelope (API Gateway payload 2.0) as the gateway writes it, for the route of the case's file."""
    method, template = case["route"].split(" ")
    parameters = {**case.get("path", {}), **request.get("path", {})}
    path = re.sub(r"\{(\w+)\}", lambda found: parameters[found[1]], template)
    query, agent, moment = request.get("query", ""), request.get("user_agent", ""), datetime.fromisoformat(request.get("at", ORDINARY_TIME))
    headers = {}
    if is_admin(case):
        headers["x-admin-api-key"] = request.get("key", ADMIN_KEY)
    elif method != "GET":
        headers["content-type"] = "application/json"
    if agent:
        headers["user-agent"] = agent
    context = {
        "accountId": "anonymous", "apiId": "test", "domainName": "localhost", "domainPrefix": "", "stage": "$default",
        "requestId": "req-1", "routeKey": f"{method} {path}", "time": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": round(moment.timestamp() * 1000),
        "http": {
            "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": request.get("client", "127.0.0.1"), "userAgent": agent}}
    if "deadline_ms" in request:
        context["x"] = {"deadlineMs": request["deadline_ms"]}
    made = {
        "version": "2.0", "routeKey": f"{method} {path}", "rawPath": path, "rawQueryString": query,
        "headers": {**headers, **request.get("headers", {})}, "requestContext": context, "isBase64Encoded": bool(request.get("base64"))}
    if query:
        made["queryStringParameters"] = dict(parse_qsl(query, keep_blank_values=True))
    if parameters:
        made["pathParameters"] = parameters
    if body:
        made["body"] = base64.b64encode(body.encode()).decode() if request.get("base64") else body
    return made


def written(line, case):
    """One input as a string: bare, or in the envelope of a request."""
    text = document(line, case)
    if "request" not in line:
        return text
    return json.dumps(envelope(line["request"], text, case), ensure_ascii=False)


def lines(case):
    """The inputs of a case as strings, one for each expected reply."""
    if "stream" not in case:
        return [written(case, case)]
    common = {"request": case["request"]} if "request" in case else {}
    texts = []
    for line in case["stream"]:
        if isinstance(line, dict):
            requests = {"request": {**case.get("request", {}), **line["request"]}} if "request" in line else common
            line = written({**line, **requests}, case)
        texts.append(line)
    return texts


def printed(program):
    """The output of a Python program."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(program, {})
    return output.getvalue()


def stdin(case):
    """All bytes that the handler reads."""
    if "program" in case:
        return printed(case["program"]).encode()
    text = "\n".join(lines(case))
    given = (text + "\n").encode() if text else b""
    # {byte ff} is a byte that TOML strings cannot hold.
    return re.sub(rb"\{byte ([0-9a-f]{2})\}", lambda found: bytes.fromhex(found[1].decode()), given)
