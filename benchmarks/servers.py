"""The servers for POST /api/chatbot/leads: Leadpipe and its peers. Each is started on a database and stopped again."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from loads import URL, WORK, Client, login
from measure import HERE, running, tree, until

# A copy: its pages are not shared with other processes of the same program, which would make the measured memory too
# small.
BIN, PEERS = WORK / "bin", HERE / "peers"
STREAM, EXPRESS, STATEMENTS, C_CGI = "leadpipe, stream", "Express, node-pg", "Express, own statements", "fcgiwrap, C"
# Database connections of a peer, and processes of fcgiwrap: the number of one-shot processes that the gateway starts at
# a time.
POOL = 16


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """A server for POST /api/chatbot/leads: a command, in which {port} is replaced, and its settings."""
    name: str
    command: list
    environment: dict[str, str] = field(default_factory=dict)
    # True if its parent waits for every ended process. Otherwise their CPU time is derived from that of the machine.
    reaps: bool = True

    @contextlib.contextmanager
    def up(self, url: str = URL) -> Iterator[tuple[int, int]]:
        """Starts the server. Yields its process id and port after its first response 201."""
        port = free_port()
        command = [str(word).replace("{port}", str(port)) for word in self.command]
        settings = {"PORT": str(port), "POOL": str(POOL), "DATABASE_URL": login(url), "NODE_PATH": os.environ.get("NODE_PATH", "")}
        log = WORK / "server.log"
        with log.open("w") as errors, running(command, settings | self.environment, stderr=errors) as process:
            try:
                until(lambda: process.poll() is None and first(port) == 201, f"the first 201 of {self.name}", 20)
            except SystemExit:
                print(log.read_text()[-2000:], file=sys.stderr)
                raise
            yield process.pid, port


    def settle(self, pid: int) -> None:
        """Waits for the programs of the last load: fcgiwrap runs a program for each request even if its client has
        gone."""
        for _ in range(200):
            running_now = tree(pid)
            # The processes that wait for requests. The first fcgiwrap is their parent.
            wrappers = {process.pid for process in running_now if process.name == "fcgiwrap" and process.parent != pid}
            if self.reaps or not any(process.parent in wrappers for process in running_now):
                return
            time.sleep(0.1)

    def starts(self) -> bool:
        """True if the server can be started. Otherwise prints the reason, and the rest is measured without it."""
        try:
            with self.up():
                return True
        except SystemExit as reason:
            print(f"\n{self.name} is not available: {reason}", flush=True)
            return False


def first(port: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError), Client(port) as client:
        return client.post()
    return 0


UNLIMITED = {f"RATE_LIMIT_{name}": "off" for name in ("LEAD", "CONTACT", "ADMIN", "EXPORT", "DEFAULT")}
# The ways to the database that `leadpipe up` gives its gateway: the pooler, and past it for processes that stay.
POOLED = {"DATABASE_URL": os.environ["POOLED_URL"]}
PAST_POOLER = {"DATABASE_URL_INTAKE": os.environ["POOLED_URL"], "DATABASE_URL_INTAKE_STREAM": login(URL)}


def gateway(mode: str, pooled: bool = True) -> Server:
    """The gateway as `leadpipe up` runs it, or with direct connections."""
    way = "" if pooled else ", direct"
    return Server(f"leadpipe, {mode}{way}", [BIN / "gateway"], UNLIMITED | {"LEADPIPE_PROCESS": mode} | (POOLED | PAST_POOLER if pooled else {}))


def express(processes: int = 1) -> Server:
    name = EXPRESS if processes == 1 else f"{EXPRESS}, {processes} processes"
    return Server(name, [os.environ["NODE"], PEERS / "express.js"], {"NODE_ENV": "production", "PROCESSES": str(processes)})


def statements() -> Server:
    """Express with statements of its own instead of the function."""
    return Server(STATEMENTS, [os.environ["NODE"], PEERS / "express_statements.js"], {"NODE_ENV": "production", "OWNER_URL": URL})


def rivals() -> Iterator[Server]:
    """Yields the peers that are available."""
    needed = {"Express": "NODE", "FastAPI": "PEERS_PYTHON", "fcgiwrap": "FCGIWRAP"}
    if missing := [name for name, variable in needed.items() if not os.environ.get(variable)]:
        print(f"\nNot available: {', '.join(missing)}.", flush=True)
    if os.environ.get("NODE"):
        yield express()
        yield express(2)
        yield statements()
    if python := os.environ.get("PEERS_PYTHON"):
        yield Server("FastAPI, uvicorn, asyncpg", [
            python, "-m", "uvicorn", "--app-dir", PEERS, "--host", "127.0.0.1", "--port", "{port}", "--loop", "uvloop", "--http", "httptools",
            "--no-access-log", "--log-level", "warning", "fastapi_app:app"])
    if os.environ.get("FCGIWRAP"):
        yield one_shots("C", WORK / "capture_cgi")
        if os.environ.get("NODE"):
            yield one_shots("node", os.environ["NODE"], PEERS / "capture_cgi.js")
        if python:
            yield one_shots("Python", python, PEERS / "capture_cgi.py")


def one_shots(language: str, *command: object) -> Server:
    """Returns a server that starts a process for each request, behind nginx and fcgiwrap."""
    script = WORK / f"{language}.cgi"
    script.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in command) + "\n")
    script.chmod(0o755)
    # A single program needs no shell script.
    return fcgiwrap(language, command[0] if len(command) == 1 else script, {})


def fcgiwrap(name: str, program: object, settings: dict[str, str]) -> Server:
    own = {"FCGIWRAP": os.environ["FCGIWRAP"], "LD_LIBRARY_PATH": os.environ["FCGIWRAP_LIBRARIES"]}
    return Server(f"fcgiwrap, {name}", [HERE / "peers/fcgi", WORK / "nginx", "{port}", POOL, program], settings | own, reaps=False)


def cgi() -> list[Server]:
    """Returns the servers with a process for each request: Leadpipe with its pooler and without, and C."""
    if not os.environ.get("FCGIWRAP"):
        print("\nNot available: fcgiwrap.", flush=True)
        return []
    program = BIN / "leadpipe-cgi"
    return [fcgiwrap("leadpipe-cgi", program, UNLIMITED | POOLED), fcgiwrap("leadpipe-cgi with rate limits", program, {"RATE_LIMIT_LEAD": "1000/1"} | POOLED),
            fcgiwrap("leadpipe-cgi, direct", program, UNLIMITED), one_shots("C", WORK / "capture_cgi"), gateway("oneshot"), gateway("oneshot", pooled=False)]
