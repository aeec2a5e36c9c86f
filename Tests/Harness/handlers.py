"""Runs a handler as the operating system would: stdin, stdout, stderr, exit status."""

import json
import subprocess

from common import HANDLERS, clean_environment


def run(name, stdin=b"", *arguments, seconds=20, **environment):
    if not isinstance(stdin, (bytes, str)):
        stdin = json.dumps(stdin)
    if isinstance(stdin, str):
        stdin = stdin.encode()
    return subprocess.run(
        [str(HANDLERS / name), *arguments], input=stdin, env=clean_environment(**environment), cwd="/",
        capture_output=True, timeout=seconds)


def lines(bytes_):
    """The documents of NDJSON. Only a line feed separates them: strings may contain other characters that Python treats
    as line ends."""
    return [json.loads(line) for line in bytes_.decode().split("\n") if line]


def envelope(body, method="POST", path="/api/chatbot/leads", headers=None, **more):
    """The envelope (API Gateway payload 2.0) as a gateway writes it."""
    return {
        "version": "2.0", "routeKey": f"{method} {path}", "rawPath": path, "rawQueryString": "",
        "headers": {"content-type": "application/json", **(headers or {})},
        "body": body if isinstance(body, str) else json.dumps(body), "isBase64Encoded": False,
        "requestContext": {
            "accountId": "anonymous", "apiId": "test", "domainName": "localhost", "domainPrefix": "", "stage": "$default",
            "requestId": "req-1", "routeKey": f"{method} {path}", "time": "22/Nov/2026:21:00:00 +0000",
            "timeEpoch": 1795381200000,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": ""},
        },
        **more,
    }
