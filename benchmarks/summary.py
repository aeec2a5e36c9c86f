"""Prints the table at the end of the page: the targets of the design and the figures of this run. Reads the figures
that the parts stored."""

from collections.abc import Callable
from typing import Any

from measure import kept, row, table

figures: dict[str, Any] = kept()
STREAM, EXPRESS, PGBENCH = "leadpipe, stream", "Express, node-pg", "pgbench -M prepared"


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


table("what", "target", "measured", "")
line("POST /api/chatbot/leads in stream mode against Express, 16 and 64 connections", "≥ 4 ×",
     at_least(4, lambda: http(STREAM, 16) / http(EXPRESS, 16), lambda: http(STREAM, 64) / http(EXPRESS, 64)))
line("the same against pgbench -M prepared -c 16", "≥ 1.2 ×",
     at_least(1.2, lambda: http(STREAM, 16) / http(PGBENCH, 16), lambda: http(STREAM, 64) / http(PGBENCH, 16)))
line("one connection, p50 against Express", "≤ 0.6 ×", at_most(0.6, lambda: http(STREAM, 1, "p50") / http(EXPRESS, 1, "p50")))
line("warm mode at a low rate, p50", "≤ 2 ms", at_most(2, lambda: figures["gentle"]["leadpipe, warm"], " ms"))
line("one process from spawn to reply against C with libpq", "≤ 1.2 ×",
     at_most(1.2, lambda: figures["one_shot"]["lead-capture"] / figures["one_shot"]["C with libpq"]))
line("the same against node", "≥ 8 × faster", at_least(8, lambda: figures["one_shot"]["node with node-pg"] / figures["one_shot"]["lead-capture"]))
line("lead-capture --stream against pgbench -c 16, short and long conversations", "≥ 2 ×",
     at_least(2, lambda: figures["bulk few"], lambda: figures["bulk many"]))
line("commit to the start of a delivery, p50 and p99", "≤ 5 and 25 ms", commit_to_start)
line("deliveries that do nothing against pgqueuer", "≥ 0.6 ×", at_least(0.6, lambda: queue("pgqueuer")))
line("the same against procrastinate", "≥ 10 ×", at_least(10, lambda: queue("procrastinate")))
line("idle, gateway, worker and handlers, in the default mode", "≤ 60 MB", at_most(60, lambda: figures["idle"]["stream"], " MB"))
line("the same in warm mode, with its spare processes", "≤ 60 MB", at_most(60, lambda: figures["idle"]["warm"], " MB"))
line("capture among a year's leads against empty tables, 16 and 64 connections", "≥ 0.9 ×",
     at_least(0.9, lambda: figures["growth"][f"{STREAM}, 16"], lambda: figures["growth"][f"{STREAM}, 64"]))
line("a claim among them, p99", "≤ 20 ms", at_most(20, lambda: figures["claim"], " ms"))
for name, what in {"list": "the list of conversations", "search": "search", "conversation-show": "a single view", "sla-list": "the SLA list"}.items():
    line(f"{what} among them, p99", "≤ 20 ms", at_most(20, lambda name=name: figures["admin"][name][1], " ms"))
line("a change on the live feed after its commit, p99, for 1 listener and 500", "≤ 100 ms", lambda: (
    "{:.0f} and {:.0f} ms".format(figures["live"]["1"], figures["live"]["500"]), max(figures["live"].values()) <= 100))
line("a year's analytics", "≤ 1 s", at_most(1000, lambda: figures["admin"]["analytics"][0], " ms"))
