"""Clients beside the old primary, which still reach it when nobody else does."""

import subprocess
import threading
import time

from common import clean_environment


class Witness:
    """Stores row after row directly in one node's PostgreSQL, from the node itself, and remembers which of them were
    acknowledged. Used as a context."""

    def __init__(self, node, database, prefix):
        self.node, self.url, self.prefix = node, f"{node.url(database)}?connect_timeout=2", prefix
        self.tried, self.acknowledged = 0, []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    @staticmethod
    def prepare(database):
        database.run("create table witness (name text primary key)")

    def _run(self):
        while not self.is_over.wait(0.2):
            self.tried += 1
            name = f"{self.prefix}-{self.tried}"
            began = time.monotonic()
            if self._insert(name):
                self.acknowledged.append((name, began, time.monotonic()))

    def _insert(self, name):
        try:
            # The namespace may be replaced at any moment, by `power_off`.
            with self.node.host.inside():
                process = subprocess.Popen(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", f"insert into witness values ('{name}')", self.url],
                                           env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        except OSError:
            return False
        try:
            _, errors = process.communicate(timeout=4)
        except subprocess.TimeoutExpired:
            # Killed, it sends no cancel request: the session goes on waiting for a standby.
            process.kill()
            process.communicate()
            return False
        # A commit that stopped waiting for the standby is reported with a warning. It counts as acknowledged.
        return process.returncode == 0 and not errors.startswith("FATAL")

    def since(self, moment):
        """How many rows that were sent after this moment were acknowledged."""
        return sum(began > moment for _, began, _ in self.acknowledged)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join(10)
