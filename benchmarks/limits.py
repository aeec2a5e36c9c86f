"""Measures RATE_LIMIT_STORE=postgres: the cost of one admission, and of POST /api/chatbot/leads through the gateway with
each store. Usage: limits.py. It starts its own database and gateways; nothing of it is a test."""

import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "Tests" / "Harness"))

from cluster import Cluster  # noqa: E402
from common import BIN, TEST_USER, clean_environment  # noqa: E402
from measure import cpu  # noqa: E402

SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
ADMIT = """select public.admit_request(('{"limits":[{"rate":"lead","key":"10.0.' || :client::text || '","count":%d,"seconds":60}]}')::jsonb);"""
SCRIPTS = {
    "admitted, 5,000 clients": "\\set client random(1, 5000)\n" + ADMIT % 1000,
    "admitted, new clients": "\\set client random(1, 1000000000)\n" + ADMIT % 10,
    "refused, one client": "\\set client 1\n" + ADMIT % 1,
    "select 1": "select 1;",
}


def pgbench(database, script, connections, folder):
    """(calls per second, p50, p99) with times in milliseconds."""
    path = folder / "script.sql"
    path.write_text(script)
    for old in folder.glob("log*"):
        old.unlink()
    done = subprocess.run(
        ["pgbench", "-n", "-M", "prepared", "-c", str(connections), "-j", "2", "-T", str(SECONDS), "-f", str(path), "-l",
         "--log-prefix", str(folder / "log"), database.url], capture_output=True, text=True, env=clean_environment(), check=True)
    times = sorted(int(line.split()[2]) / 1000 for log in folder.glob("log*") for line in log.read_text().splitlines())
    rate = float(re.search(r"tps = ([\d.]+)", done.stdout)[1])
    return rate, times[len(times) // 2], times[len(times) * 99 // 100]


class Gateway:
    def __init__(self, database, store):
        environment = clean_environment(
            PORT="0", LEADPIPE_HANDLERS=str(BIN / "handlers"), DATABASE_URL=database.url, RATE_LIMIT_STORE=store, RATE_LIMIT_LEAD="1000/1",
            TRUSTED_PROXIES="127.0.0.1", LOG_LEVEL="info")
        self.log = tempfile.NamedTemporaryFile("w+")  # noqa: SIM115 - stays open while the gateway runs
        self.process = subprocess.Popen([str(BIN / "gateway")], env=environment, stderr=self.log, start_new_session=True)
        while not (found := re.search(r"address=\S+:(\d+)", pathlib.Path(self.log.name).read_text())):
            time.sleep(0.05)
        self.port = int(found[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


LUA = """
local body = [[%s]]
local number, seed = 0, %d
function init(args) math.randomseed(os.time() + tonumber(tostring({}):sub(8), 16)); seed = math.random(1, 1e9) end
function request()
  number = number + 1
  local ip = string.format("%%d.%%d.%%d.%%d", math.random(11, 99), math.random(0, 255), math.random(0, 255), math.random(1, 254))
  return wrk.format("POST", "/api/chatbot/leads", {["Content-Type"] = "application/json", ["X-Forwarded-For"] = ip,
    ["Idempotency-Key"] = seed .. "-" .. number}, (body:gsub("501234567", string.format("50%%07d", math.random(0, 9999999)))))
end
function done(summary, latency, requests)
  local wrong = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("FIGURES %%f %%f %%f %%d\\n", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, wrong))
end
"""


def leads(gateway, connections, folder):
    """(requests per second, p50, p99, requests without 2xx, CPU milliseconds of the gateway and handlers per request)."""
    script = folder / "leads.lua"
    script.write_text(LUA % (json.dumps({**TEST_USER, "customerEmail": None}), 0))
    before = cpu(gateway.process.pid)
    done = subprocess.run(["wrk", "-t", "1", "-c", str(connections), "-d", f"{SECONDS}s", "-s", str(script), f"http://127.0.0.1:{gateway.port}"],
                          capture_output=True, text=True, check=True)
    rate, p50, p99, wrong = map(float, re.search(r"FIGURES (\S+) (\S+) (\S+) (\S+)", done.stdout).groups())
    return rate, p50, p99, wrong, 1000 * (cpu(gateway.process.pid) - before) / (rate * SECONDS)


def median(rows):
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def main():
    cluster = Cluster()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="limits-", dir="/tmp"))
    try:
        database = cluster.migrated()
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before, {SECONDS} s, median of {ROUNDS} rounds\n")
        print("| one admission | connections | calls/s | p50 ms | p99 ms |\n|---|---|---|---|---|")
        for name, script in SCRIPTS.items():
            for connections in (1, 16):
                rate, p50, p99 = median([pgbench(database, script, connections, folder) for _ in range(ROUNDS)])
                print(f"| {name} | {connections} | {rate:.0f} | {p50:.2f} | {p99:.2f} |", flush=True)
        size = int(database.value("select pg_total_relation_size('leadpipe.rate_counts')"))
        print(f"\nthe table afterwards: {database.value('select count(*) from leadpipe.rate_counts')} rows, {size / 1e6:.1f} MB\n")
        print("| POST /api/chatbot/leads | connections | requests/s | p50 ms | p99 ms | not 2xx | CPU ms per request without PostgreSQL |")
        print("|---|---|---|---|---|---|---|")
        gateways = {store: Gateway(database, store) for store in ("memory", "postgres")}
        for connections in (1, 16):
            rows = {store: [] for store in gateways}
            for _ in range(ROUNDS):
                for store, gateway in gateways.items():
                    rows[store].append(leads(gateway, connections, folder))
            for store, found in rows.items():
                rate, p50, p99, wrong, used = median(found)
                print(f"| {store} | {connections} | {rate:.0f} | {p50:.2f} | {p99:.2f} | {wrong:.0f} | {used:.2f} |", flush=True)
        for gateway in gateways.values():
            gateway.stop()
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
