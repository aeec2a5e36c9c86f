"""Finds the handler of a request, and writes the envelope that a gateway would send to it. The doors without routes
use it: with them, a caller of ours or API Gateway does this."""

import base64
import json
import subprocess
import time
from functools import cache
from urllib.parse import parse_qsl, unquote

from common import HANDLERS, clean_environment
from doors.door import HOST


@cache
def routes():
    """(method, segments, handler) of every route."""
    found = []
    for path in sorted(path for path in HANDLERS.glob("[!.]*")):
        described = json.loads(subprocess.run([path, "--describe"], env=clean_environment(), capture_output=True, check=True, timeout=20).stdout)
        found += [(route["method"], route["path"].split("/"), path.name) for route in described["routes"]]
    # An exact segment counts before a parameter in its place.
    return sorted(found, key=lambda route: [part.startswith("{") for part in route[1]])


def find(method, path):
    """(handler, route, path parameters)."""
    segments = path.split("/")
    wanted = "GET" if method == "HEAD" else method
    for other, pattern, handler in routes():
        pairs = list(zip(pattern, segments, strict=False))
        if other == wanted and len(pattern) == len(segments) and all(part == given or part.startswith("{") for part, given in pairs):
            return handler, "/".join(pattern), {part[1:-1]: unquote(given) for part, given in pairs if part.startswith("{")}
    raise LookupError(f"no route for {method} {path}: the entry needs a door with routes")


def joined(pairs):
    """A dictionary in which repeated names have their values joined with a comma."""
    made = {}
    for name, value in pairs:
        made[name] = f"{made[name]},{value}" if name in made else value
    return made


def envelope(request):
    """(handler, API Gateway payload 2.0)."""
    path, _, query = request.target.partition("?")
    handler, route, parameters = find(request.method, path)
    # As the gateway does it: Proxy becomes HTTP_PROXY and `_` is confused with `-` in a CGI program.
    headers = joined((name.lower(), value) for name, value in request.headers if "_" not in name and name.lower() not in ("proxy", "connection"))
    try:
        text = None if b"\0" in request.body else request.body.decode()
    except UnicodeDecodeError:
        text = None
    key, now = f"{request.method} {route}", time.time()
    made = {
        "version": "2.0", "routeKey": key, "rawPath": path, "rawQueryString": query, "headers": headers, "isBase64Encoded": text is None,
        "requestContext": {
            "accountId": "anonymous", "apiId": "test", "domainName": headers.get("host", HOST), "domainPrefix": "", "stage": "$default",
            "requestId": headers.get("x-request-id", ""), "routeKey": key,
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)), "timeEpoch": int(now * 1000),
            "http": {"method": request.method, "path": path, "protocol": "HTTP/1.1", "sourceIp": request.client,
                     "userAgent": headers.get("user-agent", "")}}}
    if "cookie" in headers:
        made["cookies"] = headers["cookie"].split("; ")
    if query:
        made["queryStringParameters"] = joined(parse_qsl(query, keep_blank_values=True))
    if parameters:
        made["pathParameters"] = parameters
    if request.body:
        made["body"] = base64.b64encode(request.body).decode() if text is None else text
    return handler, made
