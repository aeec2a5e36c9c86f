"""POST /api/chatbot/leads, ours and its rivals', side by side: leads.py PART DATABASE_URL WORK

DATABASE_URL is the owner's login of a migrated database whose leads may be deleted, WORK the folder that `run` has prepared. PART is
one of http, gentle, bulk, idle, growth."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

sys.path.append(os.fspath(pathlib.Path(__file__).parent / "peers"))
from argument import argument
from measure import HERE, PLAIN, busy, cpu, keep, memory, row, running, setting, table, tree, until

URL, WORK = sys.argv[2], pathlib.Path(sys.argv[3])
# A copy: its pages are shared with no other process of the same program, so that memory is not told too small.
BIN, PEERS = WORK / "bin", HERE / "peers"
SECONDS = setting("HTTP_SECONDS", 5)
ROUNDS = setting("HTTP_ROUNDS", 3)
# Database connections of a rival, and processes of fcgiwrap: as many as our gateway starts one-shot processes at a time.
POOL = 16
GENTLE_RATE, GENTLE_SECONDS = setting("GENTLE_RATE", 20), setting("GENTLE_SECONDS", 10)
BULK_LEADS = setting("BULK_LEADS", 20_000)
IDLE_SECONDS = setting("IDLE_SECONDS", 90)
GROWTH_CONVERSATIONS = setting("GROWTH_CONVERSATIONS", 1_000_000)
CLAIM_FINISHED, CLAIM_FUTURE = setting("CLAIM_FINISHED", 1_000_000), setting("CLAIM_FUTURE", 100_000)
CONNECTIONS = 1, 16, 64
STREAM, EXPRESS, PGBENCH = "leadpipe, stream", "Express, node-pg", "pgbench -M prepared"


def login(url: str, name: str = "intake") -> str:
    return url.replace("//leadpipe@", f"//leadpipe_{name}@")


def psql(statement: str, url: str = URL) -> str:
    return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", url], input=statement, stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


# What is sent

def template(messages: int) -> dict:
    """A lead as `leadpipe generate` makes them; # stands for twelve digits that no other request has."""
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


# Who answers

def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """What answers POST /api/chatbot/leads: a command, whose {port} is filled in, and its settings."""
    name: str
    command: list
    environment: dict[str, str] = field(default_factory=dict)
    # Whether its parent waits for every process that has ended; else their time is told from the machine's.
    reaps: bool = True

    @contextlib.contextmanager
    def up(self, url: str = URL) -> Iterator[tuple[int, int]]:
        """Its process and its port, once it has answered 201."""
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
        """Waits for what the last load has left behind: fcgiwrap runs a program for each request that nobody waits for any more."""
        for _ in range(200):
            running_now = tree(pid)
            # They wait for requests; the first of them is their parent.
            wrappers = {process.pid for process in running_now if process.name == "fcgiwrap" and process.parent != pid}
            if self.reaps or not any(process.parent in wrappers for process in running_now):
                return
            time.sleep(0.1)

    def starts(self) -> bool:
        """Whether it is there; says so where it is not, and the rest goes on without it."""
        try:
            with self.up():
                return True
        except SystemExit as reason:
            print(f"\n{self.name} is not there: {reason}", flush=True)
            return False


def first(port: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError), Client(port) as client:
        return client.post()
    return 0


class Client:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.run, self.number = next(RUN), 0

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def post(self) -> int:
        """Sends a new lead; the status of the answer, when all of it is there."""
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


def gateway(mode: str) -> Server:
    limits = {f"RATE_LIMIT_{name}": "off" for name in ("LEAD", "CONTACT", "ADMIN", "EXPORT", "DEFAULT")}
    return Server(f"leadpipe, {mode}", [BIN / "gateway"], limits | {"LEADPIPE_PROCESS": mode})


def express() -> Server:
    return Server(EXPRESS, [os.environ["NODE"], PEERS / "express.js"])


def rivals() -> Iterator[Server]:
    """Those that could be had."""
    needed = {"Express": "NODE", "FastAPI": "PEERS_PYTHON", "fcgiwrap": "FCGIWRAP"}
    if missing := [name for name, variable in needed.items() if not os.environ.get(variable)]:
        print(f"\nWhat could not be had: {', '.join(missing)}.", flush=True)
    if os.environ.get("NODE"):
        yield express()
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
    """A process for each request, behind nginx and fcgiwrap."""
    script = WORK / f"{language}.cgi"
    script.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in command) + "\n")
    script.chmod(0o755)
    # A program needs no shell around it.
    runs = command[0] if len(command) == 1 else script
    return Server(f"fcgiwrap, {language}", [HERE / "peers/fcgi", WORK / "nginx", "{port}", POOL, runs],
                  {"FCGIWRAP": os.environ["FCGIWRAP"], "LD_LIBRARY_PATH": os.environ["FCGIWRAP_LIBRARIES"]}, reaps=False)


# Measuring

@dataclass
class Load:
    """What a load came to."""
    rate: float
    p50: float
    p99: float
    cpu: float  # ms for an answer: the variant
    postgres: float  # and PostgreSQL
    memory: float  # MB, while it lasts
    answers: int
    other: int = 0  # not 201
    broken: int = 0

    @property
    def wrong(self) -> float:
        """The share that was not answered 201."""
        return (self.other + self.broken) / max(1, self.answers + self.broken)


class Postgres:
    """The server of a database."""

    def __init__(self) -> None:
        home = pathlib.Path(psql("show data_directory"))
        self.pid = int((home / "postmaster.pid").read_text().split()[0])

    def empty(self, url: str = URL) -> None:
        """Takes all leads away, and pays what is due for them."""
        psql("set client_min_messages = warning; truncate conversations, customer_identities, idempotency_keys cascade; checkpoint", url)


def spent(pid: int, reaps: bool = True) -> float:
    return cpu(pid) if reaps else busy()


def wrk(connections: int, seconds: float, port: int, halfway: Callable[[], None] = lambda: None) -> tuple[dict, float]:
    """What leads.lua says, and the CPU seconds of wrk."""
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


def load(server: Server, pid: int, port: int, connections: int, seconds: float = SECONDS) -> Load:
    server.settle(pid)
    before, database = spent(pid, server.reaps), cpu(postgres.pid)
    shares: list[float] = []
    said, own = wrk(connections, seconds, port, lambda: shares.append(memory(process.pid for process in tree(pid))))
    database = cpu(postgres.pid) - database
    ours = spent(pid, server.reaps) - before - (0 if server.reaps else database + own)
    answers = max(1, said["answers"])
    good = said["answers"] - said["other"]
    return Load(good / said["seconds"], said["p50"], said["p99"], 1000 * ours / answers, 1000 * database / answers, shares[0],
                said["answers"], said["other"], said["broken"])


SCRIPT = "\\set n random(100000000000, 999999999999)\nselect public.capture_lead(replace(:template, '#', (:n)::text)::jsonb);\n"


def pgbench(clients: int, seconds: float = SECONDS, url: str = URL, call: str | None = None) -> Load:
    """The function alone: no HTTP, no JSON read, no check."""
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


# The parts

def http() -> None:
    """All of them in turn, round after round; each starts on empty tables."""
    servers = [gateway("stream"), gateway("warm"), gateway("oneshot"), *filter(Server.starts, rivals())]
    servers = [server for server in servers if any(word in server.name for word in os.environ.get("HTTP_ONLY", "").split(","))]
    names = [server.name for server in servers] + [PGBENCH]
    loads: dict[tuple[str, int], list[Load]] = {(name, c): [] for name in names for c in CONNECTIONS}
    for _ in range(ROUNDS):
        for server in servers:
            postgres.empty()
            with server.up() as (pid, port):
                wrk(16, 2, port)
                for connections in CONNECTIONS:
                    loads[server.name, connections].append(load(server, pid, port, connections))
        postgres.empty()
        pgbench(16, 1)
        for connections in CONNECTIONS:
            loads[PGBENCH, connections].append(pgbench(connections))
    for connections in CONNECTIONS:
        table(f"POST /api/chatbot/leads, {connections} connection{'s' * (connections > 1)}", "201s a second", "each run", "p50 ms", "p99 ms",
              "CPU ms each", "and PostgreSQL's", "PSS MB", "not 201", "against Express", "against pgbench -c 16")
        for name in names:
            print_loads(name, loads[name, connections], loads.get((EXPRESS, connections)), loads[PGBENCH, 16])
    keep(http={name: {c: {figure: median(loads[name, c], figure) for figure in ("rate", "p50", "p99", "wrong")} for c in CONNECTIONS}
               for name in names})


def print_loads(name: str, loads: list[Load], express: list[Load] | None, pgbench: list[Load]) -> None:
    about = "≈ " if name.startswith("fcgiwrap") else ""  # See Server.reaps.
    rate = median(loads, "rate")
    other, answers = sum(load.other + load.broken for load in loads), sum(load.answers for load in loads)
    row(name, f"{rate:,.0f}", ", ".join(f"{load.rate:,.0f}" for load in loads), f"{median(loads, 'p50'):.2f}", f"{median(loads, 'p99'):.2f}",
        f"{about}{median(loads, 'cpu'):.3f}", f"{median(loads, 'postgres'):.3f}", f"{median(loads, 'memory'):.0f}" if name != PGBENCH else "",
        f"{other:,} of {answers:,}" if other else "0", f"{rate / median(express, 'rate'):.2f} ×" if express else "not there",
        f"{rate / median(pgbench, 'rate'):.2f} ×")


def gentle() -> None:
    """One connection that sends now and then, to each in turn."""
    servers = [gateway("stream"), gateway("warm"), gateway("oneshot"), *filter(Server.starts, [express()] if os.environ.get("NODE") else [])]
    times: dict[str, list[float]] = {server.name: [] for server in servers}
    other = dict.fromkeys(times, 0)
    postgres.empty()
    with contextlib.ExitStack() as stack:
        ports = {server.name: stack.enter_context(server.up())[1] for server in servers}
        for name, port in list(ports.items()) * ROUNDS:
            # Anew in each turn: a server closes a connection on which nothing comes.
            with Client(port) as client:
                start = time.monotonic()
                for tick in range(int(GENTLE_SECONDS * GENTLE_RATE)):
                    time.sleep(max(0, start + tick / GENTLE_RATE - time.monotonic()))
                    before = time.perf_counter()
                    status = client.post()
                    # The first ones warm up.
                    if tick >= 5:
                        times[name].append((time.perf_counter() - before) * 1000)
                        other[name] += status != 201
    table(f"{GENTLE_RATE} a second on one connection", "p50 ms", "p99 ms", "requests", "not 201", "against oneshot")
    half = {name: statistics.median(of_name) for name, of_name in times.items()}
    for name, of_name in times.items():
        row(name, f"{half[name]:.2f}", f"{statistics.quantiles(of_name, n=100)[98]:.2f}", len(of_name), other[name],
            f"{half[name] / half['leadpipe, oneshot']:.2f} ×")
    keep(gentle=half)


def bulk() -> None:
    """A file of leads through one process, against the function called by 16 clients with the same leads."""
    few = WORK / "few.ndjson"
    few.write_text("".join(BODY.replace("#", f"{n + 10**11}") + "\n" for n in range(BULK_LEADS)))
    many = WORK / "many.ndjson"
    with many.open("w") as file:
        subprocess.run([BIN / "leadpipe", "generate", "--count", str(BULK_LEADS), "--hostile", "0", "--keys"], stdout=file, check=True)
    samples = [json.loads(line) for line in many.read_text().splitlines()[:1000]]
    average = round(statistics.mean(len(sample.get("messages", [])) for sample in samples))
    cases = {f"the leads of the tables above, {setting('BENCH_MESSAGES', 2)} messages": (few, ARGUMENT),
             f"those of leadpipe generate, {average} messages on average": (many, argument(template(average)))}
    for name, (leads, call) in cases.items():
        ways = {"lead-capture --stream": lambda leads=leads: stream(leads), "two of them, fed by split": lambda leads=leads: stream(leads, 2),
                "pgbench -M prepared -c 16": lambda call=call: pgbench(16, call=call)}
        runs: dict[str, list[Load]] = {way: [] for way in ways}
        for way, run in list(ways.items()) * ROUNDS:
            postgres.empty()
            runs[way].append(run())
        others = runs["pgbench -M prepared -c 16"]
        table(f"lead-capture --stream < {BULK_LEADS:,} leads: {name}", "leads a second", "each run", "CPU ms each", "and PostgreSQL's",
              "against pgbench -c 16")
        for what, loads in runs.items():
            row(what, f"{median(loads, 'rate'):,.0f}", ", ".join(f"{load.rate:,.0f}" for load in loads), f"{median(loads, 'cpu'):.3f}",
                f"{median(loads, 'postgres'):.3f}", f"{median(loads, 'rate') / median(others, 'rate'):.2f} ×")
        keep(**{f"bulk {leads.stem}": median(runs["lead-capture --stream"], "rate") / median(others, "rate"),
                f"bulk {leads.stem} by two": median(runs["two of them, fed by split"], "rate") / median(others, "rate")})


def stream(leads: pathlib.Path, processes: int = 1) -> Load:
    """From the start of the processes to their end, after the last reply."""
    command = f"{BIN}/handlers/lead-capture --stream"
    if processes > 1:
        command = f"split -n r/{processes} --filter='{command}'"
    before, database = os.times(), cpu(postgres.pid)
    start = time.monotonic()
    with leads.open() as file, (WORK / "replies").open("w") as replies:
        subprocess.run(command, shell=True, stdin=file, stdout=replies, env=PLAIN | {"DATABASE_URL": login(URL)}, check=True)
    taken, after = time.monotonic() - start, os.times()
    time.sleep(0.2)  # Until the server has waited for its process.
    database = cpu(postgres.pid) - database
    stored = int(psql("select count(*) from conversations"))
    if stored != BULK_LEADS:
        sys.exit(f"{stored} of {BULK_LEADS} leads were stored")
    own = after.children_user + after.children_system - before.children_user - before.children_system
    return Load(stored / taken, 0, 0, 1000 * own / stored, 1000 * database / stored, 0, stored)


def idle() -> None:
    """The whole house, after some leads and then nothing for a while, in the default mode and in warm mode."""
    sums = {}
    table(f"idle for {IDLE_SECONDS} s, after 20 leads", "processes", "PSS MB")
    for mode in "stream", "warm":
        state, port = WORK / f"house-{mode}", free_port()
        settings = {"LEADPIPE_STATE": str(state), "PORT": str(port), "RATE_LIMIT_LEAD": "off"}
        log = WORK / "house.log"
        if mode != "stream":
            settings["LEADPIPE_PROCESS"] = mode
        with log.open("w") as out, running([BIN / "leadpipe", "up"], settings, stdout=out) as house:
            until(lambda: "\nready " in log.read_text(), "another house")
            with Client(port) as client:
                if any(client.post() != 201 for _ in range(20)):
                    sys.exit("a lead was not taken")
            time.sleep(IDLE_SECONDS)
            server = int((state / "postgres/data/postmaster.pid").read_text().split()[0])
            database = {process.pid for process in tree(server)}
            kinds: dict[str, list[int]] = {}
            for process in tree(house.pid):
                if process.pid not in database:
                    kinds.setdefault(kind(process.pid), []).append(process.pid)
            kinds.pop("leadpipe sink", None)  # It stands in for the providers.
            for name, pids in sorted(kinds.items()):
                row(f"{mode}: {name}", len(pids), f"{memory(pids):.1f}")
            sums[mode] = memory(pid for pids in kinds.values() for pid in pids)
            row(f"{mode}: all of these", sum(map(len, kinds.values())), f"{sums[mode]:.1f}")
            house.terminate()
            house.wait(20)
    keep(idle=sums)


def kind(pid: int) -> str:
    """The program and its first word."""
    with contextlib.suppress(OSError):
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        return " ".join([pathlib.Path(words[0]).name, *words[1:2]]).strip()
    return "ended"


def growth() -> None:
    """The same capture, empty and grown, in turn."""
    grown = URL.replace("/leadpipe?", "/bench_grown?")
    psql("set client_min_messages = warning; drop database if exists bench_grown")
    psql("create database bench_grown")
    subprocess.run([BIN / "leadpipe", "migrate"], env=PLAIN | {"DATABASE_URL": grown}, stdout=subprocess.DEVNULL, check=True)
    start = time.monotonic()
    subprocess.run(["psql", "-Xq", "-v", f"conversations={GROWTH_CONVERSATIONS}", "-f", HERE / "grown.sql", grown], env=PLAIN, check=True)
    print(f"\nFilled with {GROWTH_CONVERSATIONS:,} conversations and {3 * GROWTH_CONVERSATIONS:,} events in {time.monotonic() - start:.0f} s:",
          psql("select pg_size_pretty(pg_database_size(current_database()))", grown) + ".", flush=True)
    # Its leads would all be planned by these claims: it comes first, and leaves nothing.
    claims = subprocess.run([sys.executable, HERE / "claims.py", grown, str(CLAIM_FINISHED), str(CLAIM_FUTURE)], stdout=subprocess.PIPE, text=True,
                            check=True, env=os.environ | {"CLAIM_AMONG": f"{GROWTH_CONVERSATIONS:,} conversations, "}).stdout
    loads: dict[tuple[str, int, str], list[Load]] = {}
    for _ in range(ROUNDS):
        for state, url in ("empty", URL), ("grown", grown):
            if state == "empty":
                postgres.empty()
            psql("checkpoint", url)
            with gateway("stream").up(url) as (pid, port):
                wrk(16, 2, port)
                for connections in 16, 64:
                    loads.setdefault((STREAM, connections, state), []).append(load(gateway("stream"), pid, port, connections))
            for connections in 16, 64:
                loads.setdefault((PGBENCH, connections, state), []).append(pgbench(connections, url=url))
    table("capture, empty and grown", "empty, a second", "grown", "p99 ms, empty", "grown", "PostgreSQL's CPU ms, empty", "grown",
          "not 201", "grown against empty")
    kept = {}
    for name in STREAM, PGBENCH:
        for connections in 16, 64:
            empty, full = loads[name, connections, "empty"], loads[name, connections, "grown"]
            kept[f"{name}, {connections}"] = ratio = median(full, "rate") / median(empty, "rate")
            row(f"{name}, {connections} connections", f"{median(empty, 'rate'):,.0f}", f"{median(full, 'rate'):,.0f}", f"{median(empty, 'p99'):.2f}",
                f"{median(full, 'p99'):.2f}", f"{median(empty, 'postgres'):.3f}", f"{median(full, 'postgres'):.3f}",
                sum(each.other + each.broken for each in empty + full), f"{ratio:.2f} ×")
    keep(growth=kept)
    print(f"\n{claims}", end="", flush=True)
    psql("drop database bench_grown")


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
shutil.copytree(HERE.parent / "bin", BIN, dirs_exist_ok=True)
postgres = Postgres()
(WORK / "lead.json").write_text(BODY)
ARGUMENT = argument(json.loads(BODY))
PARTS: dict[str, Callable[[], None]] = {"http": http, "gentle": gentle, "bulk": bulk, "idle": idle, "growth": growth}
if __name__ == "__main__":
    PARTS[sys.argv[1]]()
