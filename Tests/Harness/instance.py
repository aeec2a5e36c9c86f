"""`leadpipe up` and the processes that it starts, on free ports and with a state folder of its own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from cluster import Database
from common import BIN, clean_environment, free_port, session_processes, until

# Most tests send more than one client may. An empty value restores the default limit.
NO_LIMITS = {f"RATE_LIMIT_{name}": "off" for name in ("LEAD", "CONTACT", "ADMIN", "EXPORT", "DEFAULT")}
NO_LIMITS |= {"SLACK_PER_SECOND": "off", "TELEGRAM_PER_SECOND": "off"}


class Instance:
    """A running instance. Used as a context: at the end it is stopped and its remaining processes are killed."""

    def __init__(self, state=None, port=None, command=("up",), prefix=(), **environment):
        """`prefix`: words before the command, of a program that execs it."""
        self.own_state = state is None
        self.state = Path(state or tempfile.mkdtemp(prefix="lph-", dir="/tmp"))
        self.port = port or free_port()
        self.environment = clean_environment(PORT=str(self.port), LEADPIPE_STATE=str(self.state), **{**NO_LIMITS, **environment})
        self.command, self.prefix = command, prefix
        self.process = None
        self.out = []
        self.errors = None
        self.stopped_in = None

    # ── Start and stop ──

    def start(self, ready=True):
        self.out = []
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - stays open while the instance runs
        self.process = subprocess.Popen(
            [*self.prefix, str(BIN / "leadpipe"), *self.command], env=self.environment, cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.errors, start_new_session=True)
        self.reader = threading.Thread(target=self._read, args=(self.process.stdout, self.out), daemon=True)
        self.reader.start()
        if ready:
            self.wait_out("ready ", 40)
        return self

    @staticmethod
    def _read(pipe, lines):
        with pipe:
            for line in pipe:
                lines.append(line.decode().rstrip("\n"))

    def stop(self, number=signal.SIGTERM, seconds=40):
        """Sends the signal and waits for the exit. Returns the exit status."""
        began = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(seconds)
        self.stopped_in = time.monotonic() - began
        self.reader.join(5)
        return status

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        if self.process:
            for pid in session_processes(self.process.pid):
                self._kill(pid)
        pid_file = self.cluster_home / "data" / "postmaster.pid"
        if pid_file.exists():
            self._kill(int(pid_file.read_text().split()[0]))
        if self.own_state:
            shutil.rmtree(self.state, ignore_errors=True)

    @staticmethod
    def _kill(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    # ── Output ──

    @property
    def log(self):
        self.errors.flush()
        descriptor = self.errors.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()

    def wait_out(self, start, seconds=15):
        def look():
            if self.process.poll() is not None and not any(line.startswith(start) for line in self.out):
                raise AssertionError(f"`leadpipe up` ended with {self.process.returncode}: {self.out} {self.log}")
            return next((line for line in self.out if line.startswith(start)), None)
        return until(look, seconds, f"a line that begins with {start!r}; so far {self.out} {self.log}")

    def wait_log(self, text, seconds=15):
        try:
            until(lambda: text in self.log, seconds)
        except AssertionError:
            raise AssertionError(f"no {text!r} in the log within {seconds} s:\n{self.log}") from None

    # ── Requests ──

    def http(self, path, body=None, method=None, headers=None, seconds=20):
        """(status, headers in lower case, document)."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=data, method=method or ("GET" if data is None else "POST"),
            headers={**({"Content-Type": "application/json"} if data is not None else {}), **(headers or {})})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=seconds) as answer:
                return self._reply(answer.status, answer)
        except urllib.error.HTTPError as answer:
            with answer:
                return self._reply(answer.code, answer)

    @staticmethod
    def _reply(status, answer):
        text = answer.read().decode()
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return status, headers, json.loads(text) if text else None

    def capture(self, lead, **headers):
        """The id of a new lead, even if an identical one has just been captured."""
        status, _, document = self.http("/api/chatbot/leads", lead, headers={"Idempotency-Key": str(uuid.uuid4()), **headers})
        assert status in (200, 201), (status, document, self.log)
        return document["id"]

    # ── The instance's cluster ──

    @property
    def cluster_home(self):
        return self.state / "postgres"

    @property
    def database(self):
        if "DATABASE_URL" in self.environment:
            return Database(self.environment["DATABASE_URL"])
        return Database(f"postgresql://leadpipe@/leadpipe?host={self.cluster_home}/run")

    def processes(self, word=""):
        return {pid: line for pid, line in session_processes(self.process.pid, forked=False).items() if word in line}


def without_limits():
    """The settings that turn rate limits off. Empty for a gateway without rate limits."""
    told = subprocess.run([str(BIN / "gateway"), "--help"], env=clean_environment(), capture_output=True, text=True, timeout=20).stdout
    return {f"RATE_LIMIT_{name}": "off" for name in ("LEAD", "CONTACT", "DEFAULT")} if "RATE_LIMIT" in told else {}
