"""A stand-in for Vercel: it serves a folder by deploy/vercel/vercel.json. The order is Vercel's: redirects, then files,
then rewrites; headers of every source that matches are added. Of a source's syntax it knows `:name`, `:name*` and
`:name(expression)`, each optionally followed by `?`."""

import contextlib
import http.client
import http.server
import json
import mimetypes
import re
import threading
from urllib.parse import urlsplit

NAMED = re.compile(r"(/?):(\w+)")


def expression(source):
    """A source as a regular expression."""
    text, at = "", 0
    while at < len(source):
        found = NAMED.match(source, at)
        if not found:
            text += re.escape(source[at])
            at += 1
            continue
        slash, name = found.groups()
        at = found.end()
        inner, optional = "[^/]+", False
        if at < len(source) and source[at] == "(":
            depth, begin = 0, at
            while True:
                depth += {"(": 1, ")": -1}.get(source[at], 0)
                at += 1
                if depth == 0:
                    break
            inner = source[begin + 1:at - 1]
        if at < len(source) and source[at] in "*?":
            inner, optional = (".+" if source[at] == "*" else inner), True
            at += 1
        one = f"{slash}(?P<{name}>{inner})"
        text += f"(?:{one})?" if optional else one
    return re.compile(text)


def target(destination, groups):
    return re.sub(r"/?:(\w+)\*?", lambda name: "/" + groups[name[1]] if groups.get(name[1]) is not None else "", destination)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _answer(self):
        configuration, path = self.server.configuration, urlsplit(self.path).path
        for rule in configuration.get("redirects", []):
            if expression(rule["source"]).fullmatch(path):
                return self._send(307, {"Location": rule["destination"]}, b"")
        headers = {}
        for rule in configuration.get("headers", []):
            if expression(rule["source"]).fullmatch(path):
                headers |= {header["key"]: header["value"] for header in rule["headers"]}
        if self._file(path, headers):
            return None
        for rule in configuration.get("rewrites", []):
            found = expression(rule["source"]).fullmatch(path)
            if found:
                to = target(rule["destination"], found.groupdict())
                if to.startswith("https://"):
                    return self._pass_on(urlsplit(to).path, headers)
                return self._file(to, headers) or self._send(404, headers, b"")
        return self._send(404, headers, b"The page could not be found")

    do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815 - names of the base class

    def _file(self, path, headers):
        file = (self.server.folder / path.lstrip("/")).resolve()
        if not file.is_file() or not file.is_relative_to(self.server.folder.resolve()):
            return False
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        self._send(200, {"Content-Type": kind, **headers}, file.read_bytes())
        return True

    def _pass_on(self, path, headers):
        query = urlsplit(self.path).query
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        sent = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "host", "content-length")}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.api, timeout=10)
        # The origin sees its own name, and Vercel's idea of the client.
        connection.request(self.command, path + (f"?{query}" if query else ""), body or None,
                           {**sent, "Host": "your-api.onrender.com", "X-Forwarded-Host": self.headers["Host"], "X-Forwarded-For": "192.0.2.7"})
        with contextlib.closing(connection):
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in ("connection", "transfer-encoding", "content-length")}
            self._send(answer.status, {**kept, **headers}, answer.read())

    def _send(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return True


@contextlib.contextmanager
def vercel(configuration, folder, api):
    """The port of the stand-in, which serves the folder and passes requests on to the gateway on port `api`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.configuration, server.folder, server.api = json.loads(configuration.read_text()), folder, api
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
