"""Paths and small tools that all tests use."""

import os
import pwd
import re
import socket
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("LEADPIPE_BIN") or REPO / "bin").resolve()
HANDLERS = BIN / "handlers"
CASES = REPO / "Tests" / "Cases"

# The lead in the deployment checklist's curl command.
TEST_USER = {
    "customerName": "Test User",
    "customerPhone": "+971501234567",
    "customerEmail": "test@example.com",
    "intent": "buy",
}


def clean_environment(**more):
    """An environment without any variables of the caller's."""
    # An older pg_dump refuses a newer server.
    first = f"{os.environ['LEADPIPE_POSTGRES']}:" if "LEADPIPE_POSTGRES" in os.environ else ""
    return {"PATH": first + "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **more}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def shown(row):
    """The beginning of an id that tables and lines on the terminal show."""
    return row.replace("-", "")[:16]


def until(condition, seconds=15, what="the condition"):
    """The first true value of `condition()`. Fails if there is none in time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.03)


# The beginning of a log line.
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "


def untimed(line):
    """A log line without its time."""
    return re.sub(f"^{TIME}", "", line)


def is_root():
    return os.geteuid() == 0


def as_postgres(words):
    """PostgreSQL refuses to run as root. Under root, the command runs as the user postgres."""
    if not is_root():
        return list(words)
    owner = pwd.getpwnam("postgres")
    return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", "env", "-C", "/", *words]


def postgres_binaries():
    """The folder of PostgreSQL's programs: LEADPIPE_POSTGRES, or the newest of Debian's."""
    if given := os.environ.get("LEADPIPE_POSTGRES"):
        return Path(given)
    versions = [p for p in Path("/usr/lib/postgresql").glob("*/bin") if (p / "initdb").exists()]
    return max(versions, key=lambda p: int(p.parent.name))


def session_processes(session, forked=True):
    """The processes of a session: command lines by process id. Without `forked`, a process that still has the command
    line of its parent is left out: it was forked a moment ago and has not run its own program yet."""
    found, parents = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The fields after the name in parentheses: state, parent, group, session.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                found[int(entry.name)], parents[int(entry.name)] = command, int(fields[1])
        except (OSError, ValueError, IndexError):
            continue
    return {pid: command for pid, command in found.items() if forked or found.get(parents[pid]) != command}
