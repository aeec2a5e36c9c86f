"""Compares two versions side by side, in one run: versions.py OTHER_TREE [ROUNDS]

OTHER_TREE is another checkout of this repository with its bin/ built. In each round both trees run their own benchmarks/run in turn, each
on its own database; the order changes from round to round. Prints medians and the ratio of this tree's figures to the other's."""

import collections
import os
import pathlib
import statistics
import subprocess
import sys

from measure import HERE, row, table

TREES = {"other": pathlib.Path(sys.argv[1]).resolve(), "this": HERE.parent.resolve()}
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
SETTINGS = {"HTTP_ROUNDS": "1", "HTTP_ONLY": "stream", "ROUNDS": "200", "BENCH_ROUNDS": "1", "BENCH_SAMPLES": "20", "BENCH_HTTP": "200",
            "BENCH_EACH": "100", "BENCH_SECONDS": "100"}
# Rows of the tables that benchmarks/run prints: the title of the table, the name of the row, the column, and whether
# more is better.
FIGURES = {
    "capture, 1 connection, a second": ("POST /api/chatbot/leads, 1 connection", "leadpipe, stream", 1, True),
    "capture, 16 connections, a second": ("POST /api/chatbot/leads, 16 connections", "leadpipe, stream", 1, True),
    "capture, 64 connections, a second": ("POST /api/chatbot/leads, 64 connections", "leadpipe, stream", 1, True),
    "one process, spawn to reply, ms": ("one process, spawn to reply", "lead-capture", 1, False),
    "one process, against C with libpq": ("one process, spawn to reply", "lead-capture", 4, False),
    "deliveries, batches of 100, a second": ("deliveries that do nothing, in batches of 100", "leadpipe", 2, True),
    "deliveries, batches of 10, a second": ("deliveries that do nothing, in batches of 100", "leadpipe, batches of 10", 2, True),
}


def rows(text: str) -> dict[tuple[str, str], list[str]]:
    """Returns the cells of each row, by the title of its table and its name."""
    found, title = {}, ""
    for line in text.splitlines():
        if not line.startswith("|"):
            title = ""
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not title:
            title = cells[0]
        found[title, cells[0]] = cells
    return found


def measure(tree: pathlib.Path) -> dict[str, float]:
    done = subprocess.run(["benchmarks/run", "http", "one_shot", "deliveries"], cwd=tree, env=os.environ | SETTINGS, check=True,
                          stdout=subprocess.PIPE, text=True)
    found = rows(done.stdout)
    return {name: float(found[title, row_name][column].replace(",", "").replace("×", ""))
            for name, (title, row_name, column, _) in FIGURES.items()}


def main() -> None:
    runs = collections.defaultdict(list)
    for turn in range(ROUNDS):
        for version in sorted(TREES, reverse=turn % 2 == 1):
            for name, figure in measure(TREES[version]).items():
                runs[version, name].append(figure)
    table("figure", "other", "this", "each run, other", "each run, this", "this against other, more is better")
    for name, (*_, more) in FIGURES.items():
        other, this = runs["other", name], runs["this", name]
        ratio = statistics.median(this) / statistics.median(other)
        row(name, f"{statistics.median(other):,.2f}", f"{statistics.median(this):,.2f}", ", ".join(f"{run:,.2f}" for run in other),
            ", ".join(f"{run:,.2f}" for run in this), f"{ratio if more else 1 / ratio:.2f} ×")


main()
