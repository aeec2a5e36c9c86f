"""A stand-in for a Supabase project's REST interface: PostgREST and the gateway in front of it, over a real database.

Each call is a transaction in the role of its key, as PostgREST 14 makes it, with its statuses, its errors and its time
limit. Not imitated: tables, filters, and all keys but one of each kind. There is no PostgREST for Debian 12."""

import base64
import contextlib
import ctypes
import json
import queue
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import free_port


def _part(document):
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def token(role):
    """A key of the older kind. Its signature is not verified here."""
    return ".".join([_part({"alg": "HS256", "typ": "JWT"}), _part({"iss": "supabase", "ref": "project", "role": role}), "c2lnbmF0dXJl"])


SERVICE_TOKEN, ANON_TOKEN = token("service_role"), token("anon")
SECRET_KEY, PUBLISHABLE_KEY = "sb_secret_0123456789abcdefghij_abcdefgh", "sb_publishable_0123456789abcdefghij_abcdefgh"
ROLES = {SERVICE_TOKEN: "service_role", SECRET_KEY: "service_role", ANON_TOKEN: "anon", PUBLISHABLE_KEY: "anon"}


class DatabaseError(Exception):
    """An error of the server. `state` is None if there is no connection."""

    def __init__(self, state, message, detail=None, hint=None):
        super().__init__(message)
        self.state, self.message, self.detail, self.hint = state, message, detail, hint


class Connection:
    """A connection to PostgreSQL by libpq, which every machine with psql has."""

    libpq = ctypes.CDLL("libpq.so.5")
    for name in ("PQconnectdb", "PQexecParams", "PQresultErrorField", "PQgetvalue", "PQerrorMessage"):
        getattr(libpq, name).restype = ctypes.c_void_p if name in ("PQconnectdb", "PQexecParams") else ctypes.c_char_p

    def __init__(self, url):
        self.raw = ctypes.c_void_p(self.libpq.PQconnectdb(url.encode()))
        if self.libpq.PQstatus(self.raw) != 0:
            message = self.libpq.PQerrorMessage(self.raw).decode()
            self.close()
            raise DatabaseError(None, message)

    def query(self, statement, *parameters):
        """The first value of the first row; None if there is none."""
        values = (ctypes.c_char_p * len(parameters))(*[None if p is None else p.encode() for p in parameters])
        result = ctypes.c_void_p(self.libpq.PQexecParams(self.raw, statement.encode(), len(parameters), None, values, None, None, 0))
        try:
            if self.libpq.PQresultStatus(result) not in (1, 2):
                def field(code):
                    value = self.libpq.PQresultErrorField(result, ord(code))
                    return value and value.decode()
                raise DatabaseError(field("C"), field("M") or self.libpq.PQerrorMessage(self.raw).decode(), field("D"), field("H"))
            if self.libpq.PQntuples(result) == 0 or self.libpq.PQgetisnull(result, 0, 0):
                return None
            return self.libpq.PQgetvalue(result, 0, 0).decode()
        finally:
            self.libpq.PQclear(result)

    def close(self):
        self.libpq.PQfinish(self.raw)


# HTTP statuses by SQLSTATE, of whole codes and of classes (PostgREST, src/library/PostgREST/Error.hs).
STATUSES = {
    "23503": 409, "23505": 409, "25006": 405, "42883": 404, "42P01": 404, "42P17": 500, "53400": 500, "57P01": 503, "P0001": 400,
    "21000": 500, "08": 503, "09": 500, "0L": 403, "0P": 403, "25": 500, "28": 403, "2D": 500, "38": 500, "39": 500, "3B": 500,
    "40": 500, "53": 503, "54": 500, "55": 500, "57": 500, "58": 500, "F0": 500, "HV": 500, "P0": 500, "XX": 500,
}


def status_of(state, role):
    if state == "42501":
        return 401 if role == "anon" else 403
    return STATUSES.get(state) or STATUSES.get(state[:2]) or 400


class PostgREST:
    """Serves http://127.0.0.1:PORT. Used as a context.

    `calls` are the functions that were called, with the headers of each request. `answer` may be set to a function
    (name, body) that returns a reply (status, bytes) in place of a call, `DROP` to call and then close the connection
    without a reply, or None to call as usual."""

    DROP = object()

    def __init__(self, database, statement_seconds=8, connections=10, acquire_seconds=10):
        self.url = database.url
        self.statement_seconds, self.acquire_seconds = statement_seconds, acquire_seconds
        self.calls, self.answer, self.port = [], None, free_port()
        self.open = set()
        self.schemas = ["public", "graphql_public"]
        self.free = queue.LifoQueue()
        for _ in range(connections):
            self.free.put(None)
        self.server = None
        self.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self):
        return {"SUPABASE_URL": self.address, "SUPABASE_SERVICE_ROLE_KEY": SECRET_KEY}

    @property
    def names(self):
        return [name for name, _ in self.calls]

    def start(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), type("Handler", (Requests,), {"project": self}))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.forget()

    def forget(self):
        """Closes the connections to the database that are not in use."""
        for _ in range(self.free.qsize()):
            connection = self.free.get()
            if connection:
                connection.close()
            self.free.put(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def run(self, name, argument, role, claims):
        """(status, document) of a call."""
        try:
            connection = self.free.get(timeout=self.acquire_seconds)
        except queue.Empty:
            return 504, error("PGRST003", "Timed out acquiring connection from connection pool.")
        try:
            if connection is None:
                connection = Connection(self.url)
            # hasql-transaction repeats a serialisation failure as long as it lasts.
            while True:
                try:
                    return self._transaction(connection, name, argument, role, claims)
                except DatabaseError as failure:
                    if failure.state is not None:
                        connection.query("rollback")
                    if failure.state != "40001":
                        raise
        except DatabaseError as failure:
            if failure.state is None or failure.state.startswith(("57P", "08")):
                if connection:
                    connection.close()
                connection = None
            if failure.state is None:
                return 503, error("PGRST001", "Database client error. Retrying the connection.")
            return status_of(failure.state, role), error(failure.state, failure.message, failure.detail, failure.hint)
        finally:
            self.free.put(connection)

    def _transaction(self, connection, name, argument, role, claims):
        found = connection.query(
            "select provolatile from pg_proc where pronamespace = 'public'::regnamespace and proname = $1 and proargnames = '{p}'"
            " and pronargs = 1 and proargtypes[0] = 'jsonb'::regtype", name)
        if found is None or list(argument) != ["p"]:
            return 404, error("PGRST202", f"Could not find the function public.{name}({', '.join(argument)}) in the schema cache")
        connection.query("begin isolation level read committed " + ("read write" if found == "v" else "read only"))
        connection.query("select set_config('statement_timeout', $1, true), set_config('lock_timeout', '8s', true)",
                         f"{self.statement_seconds}s")
        connection.query("select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)", role, json.dumps(claims))
        result = connection.query(f'select public."{name}"(p := $1::jsonb)', json.dumps(argument["p"]))
        connection.query("commit")
        return 200, json.loads(result) if result is not None else None


def error(code, message, details=None, hint=None):
    return {"code": code, "message": message, "details": details, "hint": hint}


class Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.project.open.add(self.connection)

    def finish(self):
        self.project.open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.path.removeprefix("/rest/v1/rpc/")
        if name == self.path:
            return self.reply(404, {"message": "no Route matched with those values"})
        self.project.calls.append((name, dict(self.headers)))
        arranged = self.project.answer and self.project.answer(name, body)
        if arranged and arranged is not PostgREST.DROP:
            return self.reply(*arranged)
        status, document = self.checked(name, body)
        if arranged:
            self.close_connection = True
            return None
        return self.reply(status, document)

    def checked(self, name, body):
        """What the gateway in front and PostgREST look at before a call."""
        key, bearer = self.headers["apikey"], self.headers["Authorization"]
        if key not in ROLES or (key == SECRET_KEY and "Mozilla" in self.headers.get("User-Agent", "")):
            return 401, {"message": "Invalid API key"}
        role = ROLES[key]
        if bearer is None and key.startswith("eyJ"):
            role = "anon"
        elif bearer is not None:
            given = bearer.removeprefix("Bearer ")
            if not given.startswith("eyJ") or given not in ROLES:
                return 401, error("PGRST301", "Expected 3 parts in JWT; got 1")
            role = ROLES[given]
        if self.headers.get("Content-Profile", "public") not in self.project.schemas:
            return 406, error("PGRST106", "Invalid schema: " + self.headers["Content-Profile"])
        try:
            argument = json.loads(body)
        except ValueError:
            return 400, error("PGRST102", "Empty or invalid json")
        return self.project.run(name, argument, role, {"role": role})

    def reply(self, status, document):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Nothing is logged."""
