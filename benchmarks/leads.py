"""Measures POST /api/chatbot/leads of Leadpipe and its peers, side by side: leads.py PART DATABASE_URL WORK

DATABASE_URL is the owner's login of a migrated database whose leads are deleted. WORK is the folder that `run` has prepared. PART is
one of http, processes, gentle, bulk, idle, live, admin, growth, panel."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

sys.path.append(os.fspath(pathlib.Path(__file__).parent / "peers"))
from argument import argument

from live import live
from loads import ARGUMENT, BODY, URL, WORK, Client, Load, load, login, median, pgbench, postgres, psql, template, wrk
from measure import HERE, PLAIN, cpu, keep, memory, row, running, setting, table, tree, until
from servers import BIN, C_CGI, EXPRESS, STREAM, Server, cgi, express, free_port, gateway, rivals

ROUNDS = setting("HTTP_ROUNDS", 3)
GENTLE_RATE, GENTLE_SECONDS = setting("GENTLE_RATE", 20), setting("GENTLE_SECONDS", 10)
BULK_LEADS = setting("BULK_LEADS", 20_000)
IDLE_SECONDS = setting("IDLE_SECONDS", 150)
GROWTH_CONVERSATIONS = setting("GROWTH_CONVERSATIONS", 1_000_000)
PANEL_CONVERSATIONS = setting("PANEL_CONVERSATIONS", 100_000)
CLAIM_FINISHED, CLAIM_FUTURE = setting("CLAIM_FINISHED", 1_000_000), setting("CLAIM_FUTURE", 100_000)
CONNECTIONS = 1, 16, 64
PGBENCH = "pgbench -M prepared"


def http() -> None:
    """Measures all variants in turn in each round. Each starts on empty tables."""
    servers = [gateway("stream"), gateway("oneshot"), *filter(Server.starts, rivals())]
    servers = [server for server in servers if any(word in server.name for word in os.environ.get("HTTP_ONLY", "").split(","))]
    names = [server.name for server in servers] + [PGBENCH]
    loads: dict[tuple[str, int], list[Load]] = {(name, c): [] for name in names for c in CONNECTIONS}
    for _ in range(ROUNDS):
        for server in servers:
            postgres.empty()
            with server.up() as (pid, port):
                wrk(16, 2, port)
                for connections in CONNECTIONS:
                    server.settle(pid)
                    loads[server.name, connections].append(load(pid, port, connections, reaps=server.reaps))
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
        f"{other:,} of {answers:,}" if other else "0", f"{rate / median(express, 'rate'):.2f} ×" if express else "not available",
        f"{rate / median(pgbench, 'rate'):.2f} ×")


def processes() -> None:
    """Measures the ways that start a process for each request, in turn in each round."""
    servers = list(filter(Server.starts, cgi()))
    loads: dict[tuple[str, int], list[Load]] = {}
    for _ in range(ROUNDS):
        for server in servers:
            postgres.empty()
            with server.up() as (pid, port):
                wrk(16, 1, port)
                for connections in 1, 4, 16:
                    server.settle(pid)
                    loads.setdefault((server.name, connections), []).append(load(pid, port, connections, reaps=server.reaps))
    for connections in 1, 4, 16:
        table(f"a process for each request, {connections} connection{'s' * (connections > 1)}", "201s a second", "each run", "p50 ms", "p99 ms",
              "PostgreSQL's CPU ms", "not 201", "against C")
        peer = loads.get((C_CGI, connections))
        for server in servers:
            runs = loads[server.name, connections]
            row(server.name, f"{median(runs, 'rate'):,.0f}", ", ".join(f"{run.rate:,.0f}" for run in runs), f"{median(runs, 'p50'):.2f}",
                f"{median(runs, 'p99'):.2f}", f"{median(runs, 'postgres'):.3f}", sum(run.other + run.broken for run in runs),
                f"{median(runs, 'rate') / median(peer, 'rate'):.2f} ×" if peer else "not available")
    keep(processes={server.name: {c: {figure: median(loads[server.name, c], figure) for figure in ("rate", "p50")} for c in (1, 4, 16)}
                    for server in servers})


def gentle() -> None:
    """Sends requests at a low rate on one connection, to each variant in turn."""
    peers = [express()] if os.environ.get("NODE") else []
    servers = [gateway("stream"), gateway("oneshot"), gateway("oneshot", pooled=False)] + list(filter(Server.starts, peers))
    times: dict[str, list[float]] = {server.name: [] for server in servers}
    other = dict.fromkeys(times, 0)
    postgres.empty()
    with contextlib.ExitStack() as stack:
        ports = {server.name: stack.enter_context(server.up())[1] for server in servers}
        for name, port in list(ports.items()) * ROUNDS:
            # A new connection in each turn, because a server closes an idle connection.
            with Client(port) as client:
                start = time.monotonic()
                for tick in range(int(GENTLE_SECONDS * GENTLE_RATE)):
                    time.sleep(max(0, start + tick / GENTLE_RATE - time.monotonic()))
                    before = time.perf_counter()
                    status = client.post()
                    # The first requests warm up.
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
    """Stores a file of leads through one process, compared with 16 clients that call the function with the same
    leads."""
    few = WORK / "few.ndjson"
    few.write_text("".join(BODY.replace("#", f"{n + 10**11}") + "\n" for n in range(BULK_LEADS)))
    many = WORK / "many.ndjson"
    with many.open("w") as file:
        subprocess.run([BIN / "leadpipe", "generate", "--count", str(BULK_LEADS), "--hostile", "0", "--keys"], stdout=file, check=True)
    samples = [json.loads(line) for line in many.read_text().splitlines()[:1000]]
    average = round(statistics.mean(len(sample.get("messages", [])) for sample in samples))
    cases = {f"the leads of the tables above, {setting('BENCH_MESSAGES', 2)} messages": (few, ARGUMENT),
             f"leads of leadpipe generate, {average} messages on average": (many, argument(template(average)))}
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
    """Measures from the start of the processes to their end, which is after the last reply."""
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
    """Measures the memory of a whole instance that has been idle after some leads."""
    state, port = WORK / "house", free_port()
    settings = {"LEADPIPE_STATE": str(state), "PORT": str(port), "RATE_LIMIT_LEAD": "off"}
    log = WORK / "house.log"
    table(f"idle for {IDLE_SECONDS} s, after 20 leads", "processes", "PSS MB")
    with log.open("w") as out, running([BIN / "leadpipe", "up"], settings, stdout=out) as house:
        until(lambda: "\nready " in log.read_text(), "another instance")
        with Client(port) as client:
            if any(client.post() != 201 for _ in range(20)):
                sys.exit("a lead was not accepted")
        time.sleep(IDLE_SECONDS)
        server = int((state / "postgres/data/postmaster.pid").read_text().split()[0])
        database = {process.pid for process in tree(server)}
        kinds: dict[str, list[int]] = {}
        for process in tree(house.pid):
            if process.pid not in database:
                kinds.setdefault(kind(process.pid), []).append(process.pid)
        kinds.pop("leadpipe sink", None)  # It replaces the providers.
        for name, pids in sorted(kinds.items()):
            row(name, len(pids), f"{memory(pids):.1f}")
        total = memory(pid for pids in kinds.values() for pid in pids)
        row("all of these", sum(map(len, kinds.values())), f"{total:.1f}")
        house.terminate()
        house.wait(20)
    keep(idle=total)


def kind(pid: int) -> str:
    """Returns the program of a process and its first argument."""
    with contextlib.suppress(OSError):
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        return " ".join([pathlib.Path(words[0]).name, *words[1:2]]).strip()
    return "ended"


def grown_database() -> str:
    return filled("bench_grown", GROWTH_CONVERSATIONS)


def filled(name: str, conversations: int) -> str:
    """Returns the URL of a database with a year's data, which the first part that needs it creates."""
    grown = URL.replace("/leadpipe?", f"/{name}?")
    if psql(f"select count(*) from pg_database where datname = '{name}'") == "0":
        psql(f"create database {name}")
        subprocess.run([BIN / "leadpipe", "migrate"], env=PLAIN | {"DATABASE_URL": grown}, stdout=subprocess.DEVNULL, check=True)
        start = time.monotonic()
        subprocess.run(["psql", "-Xqo", "/dev/null", "-v", f"conversations={conversations}", "-f", HERE / "grown.sql", grown], env=PLAIN,
                       check=True)
        print(f"\nFilled with {conversations:,} conversations and {3 * conversations:,} events in {time.monotonic() - start:.0f} s:",
              psql("select pg_size_pretty(pg_database_size(current_database()))", grown) + ".", flush=True)
    return grown


def admin() -> None:
    """Measures the requests of the panel, in the grown database."""
    subprocess.run([sys.executable, HERE / "admin.py", grown_database(), BIN], check=True)


def export() -> None:
    """Measures an export of all conversations, in the grown database."""
    subprocess.run([sys.executable, HERE / "export.py", grown_database(), BIN], check=True)


def panel() -> None:
    """Measures the admin panel in Chromium, in a database of its own."""
    python = HERE.parent / ".build/panel-venv/bin/python"
    if not python.exists():
        print("\nThe panel is not measured: `make panel-packages` has not installed Playwright.", flush=True)
        return
    url = filled("bench_panel", PANEL_CONVERSATIONS)
    try:
        subprocess.run([python, HERE / "panel.py", url, BIN], check=True)
    finally:
        psql("drop database bench_panel with (force)")


def log_position(url: str) -> str:
    return psql("select pg_current_wal_insert_lsn()", url)


def log_since(position: str, url: str) -> tuple[float, float]:
    """Returns the KiB of write-ahead log since a position: all of it, and the part of transactions. The rest is that of
    autovacuum, checkpoints and pruned pages, in all databases of the cluster."""
    size = psql(f"""select (pg_current_wal_flush_lsn() - '{position}') / 1024,
      sum(record_length) filter (where xid <> '0') / 1024.0 from pg_get_wal_records_info('{position}', pg_current_wal_flush_lsn())""", url)
    whole, transactions = map(float, size.split("|"))
    return whole, transactions


def captured(url: str) -> int:
    """Returns the number of conversations."""
    return int(psql("select count(*) from conversations", url))


def growth() -> None:
    """Measures the same capture on empty and grown tables, in turn."""
    grown = grown_database()
    # Claims are measured first and leave no rows: afterwards they would plan the events of all captured leads.
    claims = subprocess.run([sys.executable, HERE / "claims.py", grown, str(CLAIM_FINISHED), str(CLAIM_FUTURE)], stdout=subprocess.PIPE, text=True,
                            check=True, env=os.environ | {"CLAIM_AMONG": f"{GROWTH_CONVERSATIONS:,} conversations, "}).stdout
    loads: dict[tuple[str, int, str], list[Load]] = {}
    logged: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for url in URL, grown:
        psql("create extension if not exists pg_walinspect", url)
    for _ in range(ROUNDS):
        for state, url in ("empty", URL), ("grown", grown):
            if state == "empty":
                postgres.empty()
            psql("checkpoint", url)
            stored = captured(url)
            # The pooler leads to the other database; stream mode connects directly in any case.
            with gateway("stream", pooled=False).up(url) as (pid, port):
                wrk(16, 2, port)
                for connections in 16, 64:
                    before = log_position(url)
                    loads.setdefault((STREAM, connections, state), []).append(run := load(pid, port, connections))
                    whole, transactions = log_since(before, url)
                    logged.setdefault((connections, state), []).append((transactions / run.answers, whole / run.answers))
            if captured(url) - stored < run.answers:
                sys.exit(f"growth: the leads are not in the {state} database")
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
    log = {connections: statistics.median(each for each, _ in logged[connections, "grown"]) for connections in (16, 64)}
    whole = {connections: statistics.median(each for _, each in logged[connections, "grown"]) for connections in (16, 64)}
    print("\nPostgreSQL's log, KiB per lead on the grown tables, right after a checkpoint: " +
          ", ".join(f"{log[connections]:.1f} with {connections} connections ({whole[connections]:.1f} with that of autovacuum and other databases)"
                    for connections in log) + ".", flush=True)
    keep(growth=kept, log=log)
    print(f"\n{claims}", end="", flush=True)
    psql("drop database bench_grown")


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
shutil.copytree(HERE.parent / "bin", BIN, dirs_exist_ok=True)
(WORK / "lead.json").write_text(BODY)
PARTS: dict[str, Callable[[], None]] = {part.__name__: part for part in (http, processes, gentle, bulk, idle, live, admin, export, growth, panel)}
if __name__ == "__main__":
    PARTS[sys.argv[1]]()
