"""Shared by the benchmarks: processes and their resource use, tables, and the figures for the table at the end of
the page."""

import contextlib
import glob
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
HERE = pathlib.Path(__file__).parent
PLAIN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "LOG_LEVEL": "error"}


def setting(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


# Processes

class Process(NamedTuple):
    pid: int
    name: str
    parent: int
    session: int
    seconds: float  # of CPU time
    reaped: float  # CPU seconds of ended children that were waited for


def processes() -> Iterator[Process]:
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = pathlib.Path(path).read_text()
            rest = text[text.rindex(")") + 2:].split()
            user, system, reaped_user, reaped_system = (int(ticks) / TICKS for ticks in rest[11:15])
            yield Process(int(text.split()[0]), text[text.index("(") + 1:text.rindex(")")], int(rest[1]), int(rest[3]),
                          user + system, reaped_user + reaped_system)


def tree(root: int) -> list[Process]:
    """Returns the process, the processes of its session, and all their descendants."""
    everything, found = list(processes()), {root}
    while True:
        more = {p.pid for p in everything if p.parent in found or p.session == root} - found
        if not more:
            return [p for p in everything if p.pid in found]
        found |= more


def cpu(root: int) -> float:
    """Returns the CPU seconds of a process and its descendants, including ended ones."""
    return sum(process.seconds + process.reaped for process in tree(root))


def busy() -> float:
    """Returns the CPU seconds of the whole machine."""
    user, nice, system, _, _, interrupts, soft = map(int, pathlib.Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + interrupts + soft) / TICKS


def memory(pids: Iterable[int]) -> float:
    """Returns the proportional set size (PSS) of the processes, in MB."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(rollup[rollup.index("\nPss:") + 5:].split()[0])
    return total / 1000


@contextlib.contextmanager
def running(command: list, environment: dict[str, str], **files) -> Iterator[subprocess.Popen]:
    """Runs a process in a session of its own. At the end, all processes of the session are killed."""
    child = subprocess.Popen(command, env=PLAIN | environment, start_new_session=True,
                             **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | files)
    try:
        yield child
    finally:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(3)
        for process in list(processes()):
            if process.session == child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        child.wait()


def until(condition: Callable[[], object], what: str, seconds: float = setting("BENCH_LIMIT", 60)) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"timed out after {seconds} s: {what}")
        time.sleep(0.2)


# Tables

def table(*head: str) -> None:
    print("\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")


def row(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def keep(**figures: object) -> None:
    """Stores figures for the table at the end of the page and for the plot."""
    if path := os.environ.get("BENCH_FIGURES"):
        with open(path, "a") as file:
            file.write(json.dumps(figures) + "\n")


def kept() -> dict[str, object]:
    with open(os.environ["BENCH_FIGURES"]) as file:
        return {name: figure for line in file for name, figure in json.loads(line).items()}
