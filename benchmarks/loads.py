"""Sends new leads to a server, or to the function behind it, and measures the cost. For programs with these
arguments: a part, the owner's login of a database whose leads are deleted, and a work folder."""

import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

sys.path.append(os.fspath(pathlib.Path(__file__).parent / "peers"))
from argument import argument

from measure import HERE, PLAIN, busy, cpu, memory, setting, tree

URL, WORK = sys.argv[2], pathlib.Path(sys.argv[3])
SECONDS = setting("HTTP_SECONDS", 5)


def login(url: str, name: str = "intake") -> str:
    return url.replace("//leadpipe@", f"//leadpipe_{name}@")


def psql(statement: str, url: str = URL) -> str:
    return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", url], input=statement, stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


def template(messages: int) -> dict:
    """Returns a lead like those of `leadpipe generate`. # stands for twelve digits that are unique to each request."""
    talk = [("bot", "Welcome to TrueNester! How can I help you today?"), ("user", "hi, looking for villa in Al Furjan to buy"),
            ("bot", "What is your budget?"), ("user", "AED 3M - 3.5M, and it should be furnished")]
    return {
        "customerName": "Nusrat Reddy", "customerPhone": "+44#", "customerEmail": "nusrat.#@example.com", "intent": "buy",
        "budget": "AED 3M - 3.5M", "propertyType": "villa", "preferredArea": "Al Furjan", "idempotencyKey": "bench-#",
        "metadata": {"device": "mobile", "utm": {"source": "bayut", "medium": "cpc", "campaign": "brand"},
                     "referrer": "https://bayut.example/"},
        "messages": [{"id": f"9e1722f2-f3f3-4337-a4{n:02}-#", "sender": talk[n % 4][0], "messageText": talk[n % 4][1],
                      "timestamp": f"2026-01-06T16:25:{n:02}.234Z"} for n in range(messages)]}


BODY = json.dumps(template(setting("BENCH_MESSAGES", 2)), separators=(",", ":"))
RUN = iter(range(1000, 10_000))


class Client:
    """A persistent connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.run, self.number = next(RUN), 0

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def post(self) -> int:
        """Sends a new lead. Returns the status of the response after all of it has arrived."""
        self.number += 1
        body = BODY.replace("#", f"{self.run}{self.number:08}")
        self.socket.sendall((f"POST /api/chatbot/leads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                             f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
        answer = b""
        while not complete(answer):
            if not (more := self.socket.recv(65_536)):
                break
            answer += more
        return int(answer.split()[1])


def complete(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return body.endswith(b"0\r\n\r\n")


@dataclass
class Load:
    """The results of a load."""
    rate: float
    p50: float
    p99: float
    cpu: float  # ms per response, of the variant
    postgres: float  # ms per response, of PostgreSQL
    memory: float  # MB, during the load
    answers: int
    other: int = 0  # not 201
    broken: int = 0

    @property
    def wrong(self) -> float:
        """The proportion of requests without response 201."""
        return (self.other + self.broken) / max(1, self.answers + self.broken)


class Postgres:
    """The server of a database."""

    def __init__(self) -> None:
        home = pathlib.Path(psql("show data_directory"))
        self.pid = int((home / "postmaster.pid").read_text().split()[0])

    def empty(self, url: str = URL) -> None:
        """Deletes all leads, and runs the checkpoint for them."""
        psql("set client_min_messages = warning; truncate conversations, customer_identities, idempotency_keys cascade; checkpoint", url)


def spent(pid: int, reaps: bool = True) -> float:
    return cpu(pid) if reaps else busy()


def wrk(connections: int, seconds: float, port: int, halfway: Callable[[], None] = lambda: None) -> tuple[dict, float]:
    """Runs wrk. Returns the results of leads.lua and the CPU seconds of wrk."""
    before = os.times()
    with subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s", HERE / "leads.lua",
             f"http://127.0.0.1:{port}", "--", WORK / "lead.json", str(next(RUN))],
            env=PLAIN, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(seconds / 2)
        halfway()
        said = process.communicate()[0]
    if process.returncode:
        sys.exit(f"wrk failed: {said}")
    after = os.times()
    own = after.children_user + after.children_system - before.children_user - before.children_system
    return json.loads(said.splitlines()[-1]), own


def load(pid: int, port: int, connections: int, seconds: float = SECONDS, reaps: bool = True) -> Load:
    """Measures a load. `reaps`: the server waits for its ended processes. If not, its CPU time is that of the
    machine minus the rest."""
    before, database = spent(pid, reaps), cpu(postgres.pid)
    shares: list[float] = []
    said, own = wrk(connections, seconds, port, lambda: shares.append(memory(process.pid for process in tree(pid))))
    database = cpu(postgres.pid) - database
    ours = spent(pid, reaps) - before - (0 if reaps else database + own)
    answers = max(1, said["answers"])
    good = said["answers"] - said["other"]
    return Load(good / said["seconds"], said["p50"], said["p99"], 1000 * ours / answers, 1000 * database / answers, shares[0],
                said["answers"], said["other"], said["broken"])


SCRIPT = "\\set n random(100000000000, 999999999999)\nselect public.capture_lead(replace(:template, '#', (:n)::text)::jsonb);\n"


def pgbench(clients: int, seconds: float = SECONDS, url: str = URL, call: str | None = None) -> Load:
    """Measures the function alone: no HTTP, no JSON parsing, no validation."""
    (WORK / "capture.sql").write_text(SCRIPT)
    for old in WORK.glob("pgbench.*"):
        old.unlink()
    before, database = os.times(), cpu(postgres.pid)
    done = subprocess.run(
        ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(2, clients)), "-T", str(int(seconds)), "-f", "capture.sql",
         "-D", f"template={call or ARGUMENT}", "-l", "--log-prefix", "pgbench", login(url)],
        cwd=WORK, env=PLAIN, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    after = os.times()
    time.sleep(0.2)  # Until the server has waited for its processes.
    database = cpu(postgres.pid) - database
    if done.returncode:
        sys.exit(f"pgbench failed: {done.stdout[-1000:]}")
    rate = next(float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("tps"))
    times = sorted(int(line.split()[2]) / 1000 for log in WORK.glob("pgbench.*") for line in log.read_text().splitlines())
    own = after.children_user + after.children_system - before.children_user - before.children_system
    return Load(rate, times[len(times) // 2], times[int(len(times) * 0.99)], 1000 * own / len(times), 1000 * database / len(times), 0,
                len(times))


def median(loads: list[Load], figure: str) -> float:
    return statistics.median(getattr(load, figure) for load in loads)


postgres = Postgres()
ARGUMENT = argument(json.loads(BODY))
