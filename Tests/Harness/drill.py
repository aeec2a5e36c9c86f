"""What an operator sees while something is broken: the log, the metrics, the tables and the panel. A drill prints it."""

import contextlib
import re
import socket
import urllib.parse

from playwright.sync_api import sync_playwright

import panel
from common import until
from ledger import CHANNELS

# The deployment checklist's queries.
UNPROCESSED = "SELECT COUNT(*) FROM lead_events WHERE processed = FALSE"
FAILED = "SELECT channel, recipient, error_message, next_attempt_at FROM notification_logs WHERE status = 'failed' ORDER BY created_at DESC LIMIT 10"
METRICS = re.compile(r'leadpipe_(requests_total\{.*route="/api/chatbot/leads"|ready |rate_limited_total|requests_waiting\{handler="lead-capture")')

# A channel's line in the panel.
WAITING = re.compile(r"([\d,]+) waiting, [\d,]+ given up")


class Drill:
    """The views of an operator on an instance. `say` prints what happens; the methods print and return what is seen."""

    def __init__(self, instance, key):
        self.instance, self.key, self.shown = instance, key, 0

    @staticmethod
    def say(text):
        print(f"\n── {text}", flush=True)

    def log(self, *patterns):
        """Waits for a line of each pattern in the log since the last call, and prints the lines that match."""
        def new():
            return self.instance.log[self.shown:]
        for pattern in patterns:
            until(lambda pattern=pattern: re.search(pattern, new()), 30, f"{pattern!r} in the log:\n{new()[-3000:]}")
        lines = [line for line in new().splitlines() if any(re.search(pattern, line) for pattern in patterns)]
        self.shown = len(self.instance.log)
        for line in lines[:5]:
            print(f"log      {line[:200]}")
        if len(lines) > 5:
            print(f"log      … and {len(lines) - 5} lines like these")

    def tables(self):
        """The checklist's queries: the number of unprocessed events, and the failed notifications."""
        unprocessed = int(self.instance.database.text(UNPROCESSED))
        failed = self.instance.database.rows(FAILED)
        print(f"tables   {unprocessed} unprocessed events; {len(failed)} of the failed notifications:")
        for row in failed[:3]:
            print(f"tables   {row['channel']} to {row['recipient']}: {row['error_message']}; next attempt {row['next_attempt_at'] or 'none'}")
        return unprocessed, failed

    def metrics(self):
        """The lines about captures, from the operations interface."""
        text = self._operations("/-/metrics")
        for line in filter(METRICS.match, text.splitlines()):
            print(f"metrics  {line}")
        return text

    def _operations(self, path):
        """A GET to the socket in the state folder."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(10)
            connection.connect(self._socket())
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def _socket(self):
        setting = re.search(r"LEADPIPE_OPERATIONS=['\"]?unix:([^'\"\n]+)", (self.instance.state / "env").read_text())
        return urllib.parse.unquote(setting[1])

    def health(self):
        status, _, document = self.instance.http("/health")
        print(f"health   {status} {document['status']}, database {document['database']}, queue {document['queue']}")
        return status, document

    def page(self, path, wanted):
        """The lines of a page of the panel, once it shows `wanted`, a text or a pattern."""
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=panel.CHROMIUM, args=["--no-sandbox"])
            try:
                page = browser.new_page(viewport=panel.DESKTOP)
                panel.log_in(page, f"{panel.origin(self.instance)}/admin", self.key)
                page.goto(f"{panel.origin(self.instance)}{path}")
                page.locator("main").get_by_text(wanted).first.wait_for(timeout=10_000)
                text = page.locator("main").inner_text()
            finally:
                browser.close()
        lines = [line for line in text.splitlines() if line.strip()]
        for line in lines[:12]:
            print(f"panel    {line[:160]}")
        return lines

    def panel(self):
        """What the panel's page of deliveries shows, once the channels are there. Returns {channel: messages that wait}."""
        lines = self.page("/admin/deliveries", WAITING)
        waiting, channel = {}, ""
        for line in lines:
            # The panel writes E-mail.
            name = line.lower().replace("-", "")
            channel = name if name in CHANNELS else channel
            if (number := WAITING.match(line)) and channel:
                waiting.setdefault(channel, int(number[1].replace(",", "")))
        return waiting
