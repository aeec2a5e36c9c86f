"""Prints the table at the end of the page: the targets of the design and the figures of this run. Reads the figures
that the parts stored."""

from collections.abc import Callable
from typing import Any

from measure import kept, row, table

figures: dict[str, Any] = kept()
STREAM, EXPRESS, STATEMENTS, PGBENCH = "leadpipe, stream", "Express, node-pg", "Express, own statements", "pgbench -M prepared"


def http(name: str, connections: int, figure: str = "rate") -> float:
    return figures["http"][name][str(connections)][figure]


def line(what: str, aim: str, measured: Callable[[], tuple[str, bool]]) -> None:
    """Prints a row. A target that was not measured is not reported as reached or missed."""
    try:
        said, reached = measured()
        row(what, aim, said, "reached" if reached else "**missed**")
    except (KeyError, ZeroDivisionError):
        row(what, aim, "not measured", "")


def at_least(aim: float, *ratios: Callable[[], float]) -> Callable[[], tuple[str, bool]]:
    def measured() -> tuple[str, bool]:
        found = [ratio() for ratio in ratios]
        return ", ".join(f"{ratio:.2f} ×" for ratio in found), min(found) >= aim
    return measured


def at_most(aim: float, ratio: Callable[[], float], unit: str = " ×") -> Callable[[], tuple[str, bool]]:
    return lambda: (f"{ratio():.2f}{unit}", ratio() <= aim)


def commit_to_start() -> tuple[str, bool]:
    half, most = figures["commit_to_start"]
    return f"{half:.1f} and {most:.1f} ms", half <= 5 and most <= 25


def queue(name: str) -> float:
    return figures["deliveries"]["leadpipe"] / figures["deliveries"][name]


def process(name: str, connections: int, figure: str = "rate") -> float:
    return figures["processes"][name][str(connections)][figure]


table("what", "target", "measured", "")
line("POST /api/chatbot/leads in stream mode against Express with its own statements, 16 and 64 connections", "≥ 4 ×",
     at_least(4, lambda: http(STREAM, 16) / http(STATEMENTS, 16), lambda: http(STREAM, 64) / http(STATEMENTS, 64)))
line("against Express that calls the same function", "≥ 3 ×",
     at_least(3, lambda: http(STREAM, 16) / http(EXPRESS, 16), lambda: http(STREAM, 64) / http(EXPRESS, 64)))
line("against pgbench -M prepared -c 16", "≥ 1.2 ×",
     at_least(1.2, lambda: http(STREAM, 16) / http(PGBENCH, 16), lambda: http(STREAM, 64) / http(PGBENCH, 16)))
line("one connection, p50 against Express", "≤ 0.7 ×", at_most(0.7, lambda: http(STREAM, 1, "p50") / http(EXPRESS, 1, "p50")))
line("stream mode at a low rate, p50", "≤ 2.5 ms", at_most(2.5, lambda: figures["gentle"][STREAM], " ms"))
line("a process for each request behind the gateway, p50", "≤ 5 ms", at_most(5, lambda: process("leadpipe, oneshot", 1, "p50"), " ms"))
line("the same with 16 connections against direct connections, as on 23 November", "≥ 4 ×",
     at_least(4, lambda: process("leadpipe, oneshot", 16) / process("leadpipe, oneshot, direct", 16)))
line("CGI behind nginx and fcgiwrap against C, 4 and 16 connections", "≥ 2 ×",
     at_least(2, *(lambda c=c: process("fcgiwrap, leadpipe-cgi", c) / process("fcgiwrap, C", c) for c in (4, 16))))
line("one process from spawn to reply against C with libpq and a direct connection", "≤ 0.4 ×",
     at_most(0.4, lambda: figures["one_shot"]["lead-capture"] / figures["one_shot"]["C with libpq"]))
line("the same against node", "≥ 8 × faster", at_least(8, lambda: figures["one_shot"]["node with node-pg"] / figures["one_shot"]["lead-capture"]))
line("lead-capture --stream against pgbench -c 16, short and long conversations", "≥ 2 ×",
     at_least(2, lambda: figures["bulk few"], lambda: figures["bulk many"]))
line("commit to the start of a delivery, p50 and p99", "≤ 5 and 25 ms", commit_to_start)
line("deliveries that do nothing against pgqueuer", "≥ 0.6 ×", at_least(0.6, lambda: queue("pgqueuer")))
line("the same against procrastinate", "≥ 10 ×", at_least(10, lambda: queue("procrastinate")))
line("PostgreSQL's CPU time for one against pgqueuer's (6.8 × on 23 November)", "≤ 3.4 ×",
     at_most(3.4, lambda: figures["database_cpu"]["leadpipe"] / figures["database_cpu"]["pgqueuer"]))
line("idle, all of `up` without PostgreSQL and the sink", "≤ 40 MB", at_most(40, lambda: figures["idle"], " MB"))
line("capture among a year's leads against empty tables, 16 and 64 connections", "≥ 0.9 ×",
     at_least(0.9, lambda: figures["growth"][f"{STREAM}, 16"], lambda: figures["growth"][f"{STREAM}, 64"]))
line("PostgreSQL's log per lead among them", "≤ 5 KiB", at_most(5, lambda: max(figures["log"].values()), " KiB"))
line("a claim among them, p99", "≤ 20 ms", at_most(20, lambda: figures["claim"], " ms"))
for name, what in {"list": "the list of conversations", "search": "search", "conversation-show": "a single view", "sla-list": "the SLA list"}.items():
    line(f"{what} among them, p99", "≤ 20 ms", at_most(20, lambda name=name: figures["admin"][name][1], " ms"))
line("a change on the live feed after its commit, p99, for 1 listener and 500", "≤ 100 ms", lambda: (
    "{:.0f} and {:.0f} ms".format(figures["live"]["1"], figures["live"]["500"]), max(figures["live"].values()) <= 100))
line("first view of the inbox among 100,000 conversations, CPU slowed 4 ×, p50", "≤ 1 s", at_most(1000, lambda: figures["panel"]["first"], " ms"))
line("bytes transferred for it", "≤ 150 kB", at_most(150, lambda: figures["panel"]["bytes"], " kB"))
line("another admin's change on screen after its commit, p99", "≤ 200 ms", at_most(200, lambda: figures["panel"]["change"], " ms"))
line("1,000 live events in 10 s, the longest task (0: below 50 ms)", "≤ 100 ms", at_most(100, lambda: figures["panel"]["task"], " ms"))
line("growth of the panel's heap by an hour's events", "≤ 1 MB", at_most(1, lambda: figures["panel"]["growth"], " MB"))
line("a year's analytics", "≤ 1 s", at_most(1000, lambda: figures["admin"]["analytics"][0], " ms"))
