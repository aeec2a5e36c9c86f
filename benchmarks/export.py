"""Measures the export of all conversations: export.py DATABASE_URL BIN

Runs in a database that grown.sql has filled. Reads the file from a gateway as fast as it comes, and reports the time, and
the peak memory of the gateway, the handler and the database's session. A session's memory is what it does not share."""

import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from measure import PLAIN, keep, row, setting, table

URL, BIN = sys.argv[1], sys.argv[2]
PORT = setting("EXPORT_PORT", 18431)
KEY = "the-key-of-the-benchmark"
ORDERS = ["recent", "hot", "lowest-budget"]


def psql(statement):
    return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", URL], input=statement, stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


def peak(pid, name):
    """A line of /proc/PID/status in KiB; 0 if the process is gone."""
    try:
        found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[1]) if found else 0


class Watch(threading.Thread):
    """Looks at the processes until it is stopped."""

    def __init__(self, gateway):
        super().__init__(daemon=True)
        self.gateway, self.ended = gateway, threading.Event()
        self.peaks = {"gateway": 0, "handler": 0, "session": 0}
        self.start()

    def run(self):
        while not self.ended.wait(0.2):
            self.peaks["gateway"] = peak(self.gateway, "VmHWM")
            children = Path(f"/proc/{self.gateway}/task/{self.gateway}/children")
            handlers = [pid for task in children.parent.parent.iterdir() for pid in (task / "children").read_text().split()
                        if b"conversation-export" in Path(f"/proc/{pid}/cmdline").read_bytes()]
            for pid in handlers:
                self.peaks["handler"] = max(self.peaks["handler"], peak(pid, "VmHWM"))
            for pid in psql("select pid from pg_stat_activity where query like '%leadpipe_export%' and pid <> pg_backend_pid()").split():
                self.peaks["session"] = max(self.peaks["session"], peak(pid, "RssAnon"))

    def stop(self):
        self.ended.set()
        self.join(10)
        return self.peaks


def export(order, watched):
    """The seconds, the bytes and the rows of one export."""
    before = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=130)
    connection.request("POST", "/api/admin/conversations/export", json.dumps({"format": "csv", "sort": order}),
                       {"content-type": "application/json", "x-admin-api-key": KEY})
    response = connection.getresponse()
    if response.status != 200:
        sys.exit(f"{order}: {response.status} {response.read()}")
    size = rows = 0
    while part := response.read(1 << 16):
        size, rows = size + len(part), rows + part.count(b"\n")
    return time.perf_counter() - before, size, rows - 1


def main():
    with tempfile.TemporaryDirectory() as folder:
        settings = PLAIN | {
            "DATABASE_URL_ADMIN": URL.replace("//leadpipe@", "//leadpipe_admin@"), "DATABASE_URL_INTAKE": URL.replace("//leadpipe@", "//leadpipe_intake@"),
            "ADMIN_API_KEY": KEY, "PORT": str(PORT), "LEADPIPE_STATE": folder, "RATE_LIMIT_EXPORT": "off", "LOG_LEVEL": "warn"}
        gateway = subprocess.Popen([f"{BIN}/gateway"], env=settings, stdout=subprocess.DEVNULL)
        try:
            for _ in range(100):
                try:
                    http.client.HTTPConnection("127.0.0.1", PORT, timeout=5).connect()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.1)
            table("order", "rows", "file", "time", "gateway", "handler", "session")
            for order in ORDERS:
                watch = Watch(gateway.pid)
                seconds, size, rows = export(order, watch)
                peaks = watch.stop()
                row(order, f"{rows:,}", f"{size / 1e6:.0f} MB", f"{seconds:.1f} s", *(f"{peaks[name] / 1024:.0f} MiB" for name in peaks))
                if order == ORDERS[0]:
                    keep(export_seconds=round(seconds, 1), export_rows=rows)
        finally:
            gateway.terminate()
            gateway.wait(10)


main()
