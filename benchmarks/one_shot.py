"""Measures one process per lead, from spawn to reply: lead-capture with and without the pooler of `leadpipe up`, a C
program with libpq, and node.

All do the same insert through the same function, in turn, in one run. Only the ratio is comparable.
"""
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import count

from measure import keep

NUMBERS = count(1)

LEAD = {"customerName": "Test User", "customerPhone": "+9715#", "customerEmail": "test@example.com",
        "intent": "buy"}
ARGUMENT = {"route": "lead-capture", "receivedAt": "2026-01-01T00:00:00.000Z", "source": "chatbot", "idempotency": None,
            "lead": dict(LEAD, leadScore=42, leadQuality="cold", leadScoreBreakdown={"source": "server"}, tags=[],
                         slaDeadline="2026-01-02T00:00:00.000Z"),
            "messages": [], "event": {"type": "lead.created", "payload": dict(LEAD, source="chatbot", leadScore=42)},
            "timeline": {"title": "Lead Created", "description": "Captured from chatbot"}}


def once(command, document, environment):
    # The pooled handler and the others do not share their repeats.
    document = document.replace(b"#", f"{next(NUMBERS):08}".encode())
    start = time.perf_counter()
    done = subprocess.run(command, input=document, capture_output=True, env=environment, timeout=30, check=False)
    taken = (time.perf_counter() - start) * 1000
    if done.returncode != 0 or b'"id"' not in done.stdout:
        sys.exit(f"{command} failed: {done.stderr.decode()}")
    return taken


def measure(programs, rounds, environment):
    """Returns the median and 90th percentile in milliseconds. The programs run in turn, so that noise affects all
    of them."""
    times = {name: [] for name in programs}
    for round_ in range(rounds + 5):
        for name, (command, document, share, own) in programs.items():
            if round_ % share:
                continue
            taken = once(command, document, environment | own)
            if round_ >= 5:
                times[name].append(taken)
    return {name: (statistics.median(all_), statistics.quantiles(all_, n=10)[8], len(all_))
            for name, all_ in times.items()}


def main():
    handler, c_program, script, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    environment = {"DATABASE_URL": os.environ["DATABASE_URL"], "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8",
                   "NODE_PATH": os.environ.get("NODE_PATH", "")}
    lead, argument = json.dumps(LEAD).encode(), json.dumps(ARGUMENT).encode()
    programs = {"C with libpq": ([c_program], argument, 1, {}), "lead-capture": ([handler], lead, 1, {"DATABASE_URL": os.environ["POOLED_URL"]}),
                "lead-capture, direct": ([handler], lead, 1, {})}
    node = os.environ.get("NODE")
    if node:
        programs["node with node-pg"] = ([node, script], argument, 4, {})
    results = measure(programs, rounds, environment)
    floor = results["C with libpq"][0]
    print("| one process, spawn to reply | p50 ms | p90 ms | runs | against C |")
    print("|---|---|---|---|---|")
    keep(one_shot={name: median for name, (median, _, _) in results.items()})
    for name, (median, p90, runs) in results.items():
        print(f"| {name} | {median:.2f} | {p90:.2f} | {runs} | {median / floor:.2f} × |")


main()
