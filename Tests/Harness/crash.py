"""A fault at the N-th system call of a kind, in an unmodified binary: strace kills the process there or makes the call
fail. Afterwards either nothing or everything is stored, the reply was not false, and repeating the request leads to
exactly one lead."""

import json
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from capture_handlers import CAPTURES
from cluster import Session
from common import HANDLERS, clean_environment

KILL, ERRORS = "signal=KILL", ["error=ENOSPC", "error=EIO", "error=ENOMEM", "error=EINTR"]
FAULTS = [KILL, *ERRORS]
NOTHING = "0|0|0|0|0|0"
EXITS = {201: 0, 400: 65, 500: 70, 503: 75, 504: 75}
UNWRITABLE = 74
# A handler may wait until its own deadline and no longer. The rest is for a busy machine.
DEADLINE, LIMIT = 2.0, 30.0


def require_ptrace():
    """Fails, rather than skips, if ptrace is not permitted: the crash sweep would silently be missing."""
    try:
        done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        raise AssertionError("strace is missing: `make test` installs it") from None
    assert done.returncode == 0, f"this machine does not permit ptrace, which the crash sweep needs: {done.stderr}"


class Sweep:
    """Runs one handler again and again over one database. Several sweeps may run at once, because each run stores a
    lead of its own."""

    numbers = count(1)

    def __init__(self, database, capture=CAPTURES[0]):
        self.database = database
        self.capture = capture
        self.handler = capture.handler
        # Only the chatbot's lead has messages.
        self.everything = "1|2|1|1|2|1" if self.handler == "lead-capture" else "1|0|1|1|2|1"
        self.session = Session(database.url)
        self.lock = threading.Lock()
        self.folder = Path(tempfile.mkdtemp(prefix="lps-", dir="/tmp"))
        self.wake = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.wake.bind(str(self.folder / "wake"))
        self.wake.setblocking(False)
        self.environment = clean_environment(DATABASE_URL=database.url, LEADPIPE_WAKE=str(self.folder / "wake"))
        self.runs = 0

    def close(self):
        self.session.close()
        self.wake.close()
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()

    # ── The request and its result ──

    def request(self, number, seconds):
        """A lead that differs from every other by its key, phone number, email address and messages."""
        lead = {
            **self.capture.body, "customerName": f"Crash Test {number}", "customerPhone": f"+97150{number:07}",
            "customerEmail": f"crash-{number}@example.com",
            "messages": [{"id": "m1", "messageText": f"first of {number}"}, {"id": "m2", "messageText": f"second of {number}"}]}
        envelope = self.capture.envelope(f"crash-{number}", lead)
        envelope["requestContext"]["x"] = {"deadlineMs": int((time.time() + seconds) * 1000)}
        return json.dumps(envelope).encode()

    def state(self, number):
        """How much of the lead is stored: conversation, messages, event, timeline, identities, key. One snapshot."""
        phone, mail = f"+97150{number:07}", f"crash-{number}@example.com"
        with self.lock:
            return self.session.text(f"""
              with c as materialized (select id from conversations where customer_phone = '{phone}')
              select (select count(*) from c), (select count(*) from chat_messages where message_text in ('first of {number}', 'second of {number}')),
                (select count(*) from lead_events where payload ->> 'customerPhone' = '{phone}'),
                (select count(*) from conversation_timeline where conversation_id in (select id from c)),
                (select count(*) from customer_identities where value in ('{phone}', '{mail}')),
                (select count(*) from idempotency_keys where key = 'crash-{number}')""")

    def drain(self):
        """Empties the wake socket. It would fill up otherwise."""
        try:
            while self.wake.recv(16):
                pass
        except BlockingIOError:
            pass

    # ── One run ──

    def run(self, call, fault, at):
        """Runs and checks one request. True if the fault was injected."""
        number = next(self.numbers)
        self.runs += 1
        trace = self.folder / f"trace-{number}"
        story = f"{call}:{fault}:when={at}"
        began = time.monotonic()
        done = subprocess.run(
            ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={call}", "-e", f"inject={story}", str(HANDLERS / self.handler)],
            input=self.request(number, DEADLINE), env=self.environment, cwd="/", capture_output=True, timeout=LIMIT)
        took = time.monotonic() - began
        traced = trace.read_text(errors="replace")
        trace.unlink()
        self.drain()
        injected = "(INJECTED)" in traced or "killed by SIGKILL" in traced
        state = self.state(number)
        story += f": exit {done.returncode} after {took:.1f} s, stored {state}\n{done.stdout.decode()}{done.stderr.decode()}{traced[-800:]}"

        assert state in (NOTHING, self.everything), f"half a lead is stored: {story}"
        status = self.status(done.stdout)
        if status == 201:
            assert state == self.everything, f"a false 201: {story}"
        if injected and (fault == "error=EINTR" and call in ("write", "sendto", "recvfrom",
            "poll") or fault != KILL and "write(2" in self.hit(traced)):
            assert status == 201, f"a signal or an unwritable log lost the lead: {story}"
        if not injected:
            assert status == 201, f"a run without a fault failed: {story}"
        self.check_exit(call, fault, injected, done, status, story)
        self.check_repeat(number, story)
        return injected

    @staticmethod
    def hit(traced):
        return "\n".join(line for line in traced.splitlines() if "(INJECTED)" in line)

    @staticmethod
    def status(stdout):
        """The status of a complete reply, or None without one."""
        try:
            reply = json.loads(stdout) if stdout.endswith(b"\n") else {}
        except ValueError:
            return None
        # A request that fails before it is recognised as an envelope gets a bare reply.
        return reply.get("statusCode") or reply.get("problem", {}).get("status")

    def check_exit(self, call, fault, injected, done, status, story):
        if injected and fault == KILL:
            assert done.returncode == -9, f"killed, but it did not end: {story}"
        elif status is not None:
            assert done.returncode == EXITS.get(status), f"the exit status does not match the reply: {story}"
        elif injected and call == "write":
            assert done.returncode == UNWRITABLE, f"no reply, and the exit status does not report it: {story}"
        else:
            # The loader needs files and memory before the program starts, and reports its own errors.
            assert injected and self.may_fail_to_start(call) and done.returncode not in (0, None), f"no reply: {story}"

    @staticmethod
    def may_fail_to_start(call):
        return call not in ("write", "sendto", "sendmsg", "connect", "fsync", "recvfrom", "poll", "socket", "getsockopt", "fcntl")

    def check_repeat(self, number, story):
        """The client repeats the request with its key. Afterwards there is exactly one lead."""
        again = subprocess.run(
            [str(HANDLERS / self.handler)], input=self.request(number, LIMIT), env=self.environment, cwd="/", capture_output=True, timeout=LIMIT)
        assert self.status(again.stdout) == 201, f"the repeat failed: {again.stdout} {again.stderr}\nafter {story}"
        state = self.state(number)
        assert state == self.everything, f"stored after the repeat: {state}\nafter {story}"

    # ── Many runs ──

    def over(self, call, fault):
        """Runs with N = 1, 2, … until the fault is no longer injected. Returns the number of injected faults."""
        for at in count(1):
            if not self.run(call, fault, at):
                return at - 1

    def over_all(self, pairs, at_once=4):
        """Sweeps several calls and faults at a time, because most of the time is spent waiting. Returns {(call, fault):
        number of injected faults}."""
        pairs = list(pairs)
        with ThreadPoolExecutor(at_once) as pool:
            met = dict(zip(pairs, pool.map(lambda pair: self.over(*pair), pairs), strict=True))
        self.check_all()
        return met

    def calls(self):
        """The system calls of a run without faults, with the number of times that each is made."""
        number = next(self.numbers)
        counts = self.folder / "counts"
        done = subprocess.run(
            ["strace", "-f", "-qq", "-c", "-U", "name,calls", "-o", str(counts), str(HANDLERS / self.handler)], input=self.request(number, LIMIT),
            env=self.environment, cwd="/", capture_output=True, timeout=LIMIT)
        assert self.status(done.stdout) == 201, done.stderr
        rows = [line.split() for line in counts.read_text().splitlines()]
        counts.unlink()
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit() and row[0] != "total"}

    def check_all(self):
        """Checks at the end, when no server process works for a dead client any more, that every lead of every run is
        stored once."""
        assert self.session.text(
            "select count(*) filter (where n <> 1) from (select count(c.id) as n from idempotency_keys k"
            " left join conversations c on c.idempotency_key = k.route || ':' || k.key group by k.key) leads") == "0"
        created = self.session.text("select count(*) from lead_events where event_type = 'lead.created'")
        assert self.session.text("select count(*) from conversations") == created


