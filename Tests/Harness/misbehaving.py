"""Handlers that do not end as they should, one kind after the other. No process, zombie or descriptor of them may
remain."""

import collections
import os
import threading
from pathlib import Path

from common import until
from gateway import DESCRIPTION, GatewayWith, route

# The number of seconds that their child processes sleep. It identifies them, because no other run uses it at the same
# time.
SLEEP = str(1_000_000 + os.getpid())
REPLY = """echo '{"statusCode":201}'"""
# The kind, the handler's program, and the gateway's expected status.
WAYS = {
    "crashes": ("kill -SEGV $$", 502),
    "hangs": (f"exec sleep {SLEEP}", 504),
    "ignores-term": (f"trap '' TERM; sleep {SLEEP} & while :; do sleep 1; done", 504),
    "leaves-the-group": (f"setsid sleep {SLEEP} & setsid setsid sleep {SLEEP} & cat > /dev/null; {REPLY}", 201),
    "leaves-it-twice": (f"(setsid sh -c 'trap \"\" TERM; sleep {SLEEP} & wait' &) ; {REPLY}", 201),
    "grandchild-holds-stdout": (f"sleep {SLEEP} & cat > /dev/null; {REPLY}", 201),
    "floods-stdout": ("exec cat /dev/zero", 502),
    "floods-stderr": (f"head -c 300000 /dev/zero | tr '\\0' x >&2; {REPLY}", 201),
    "says-nothing": ("exit 70", 502),
    "half-a-reply": ("""printf '{"statusCode":200,"bo'""", 502),
    "writes-before-reading": (f"{REPLY}; cat > /dev/null", 201),
    "never-reads": (REPLY, 201),
    "closes-stdin": (f"exec <&-; {REPLY}", 201),
    "garbage": ("cat > /dev/null; echo hello; exit 0", 502),
    "closes-all-and-stays": (f"exec <&- >&- 2>&-; exec sleep {SLEEP}", 502),
}
BODY = "[" + "1," * 30_000 + "1]"


def handlers():
    """A handler of each kind, with a short time limit."""
    texts = {}
    for name, (lines, _) in WAYS.items():
        description = (DESCRIPTION.replace("NAME", name).replace("ROUTES", route("POST", "/" + name)).replace("ACCESS", "public")
                       .replace("CLASS", "default").replace("5000", "400"))
        texts[name] = f"#!/bin/sh\nif [ \"$1\" = --describe ]; then echo '{description}'; exit; fi\n{lines}\n"
    return texts


def sleepers(number):
    """Processes that sleep for so long, whatever their parent is now."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if number.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


def children(pid):
    """The children of a process, including zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
            except (OSError, ValueError):
                pass
    return found


def check(folder, requests, clients=8, **environment):
    """Sends the requests, with the kinds in turn. Each gets its status, and afterwards no process, zombie or descriptor
    remains."""
    with GatewayWith(folder, handlers(), RATE_LIMIT_DEFAULT="off", LEADPIPE_CLIENT_CONNECTIONS="1024", **environment) as gateway:
        names = list(WAYS)
        statuses = collections.Counter()
        lock = threading.Lock()
        turns = iter(range(requests))

        def request():
            while True:
                with lock:
                    turn = next(turns, None)
                if turn is None:
                    return
                name = names[turn % len(names)]
                status = gateway.request("POST", f"/{name}", body=BODY, seconds=30)[0]
                with lock:
                    statuses[name, status] += 1

        def run(count):
            threads = [threading.Thread(target=request) for _ in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        descriptors = Path(f"/proc/{gateway.process.pid}/fd")
        gateway.request("POST", "/never-reads", body=BODY)
        before = len(list(descriptors.iterdir()))
        run(clients)
        assert gateway.process.poll() is None, gateway.log[-2000:]
        wrong = {key: count for key, count in statuses.items() if WAYS[key[0]][1] != key[1]}
        assert not wrong and sum(statuses.values()) == requests, (wrong, gateway.log[-2000:])
        until(lambda: not children(gateway.process.pid), 5, "the end of all children")
        until(lambda: not sleepers(SLEEP), 5, "the end of all their child processes")
        # The runtime opens a timer when a request first waits in the queue, and keeps it.
        until(lambda: len(list(descriptors.iterdir())) <= before + 1, 5, "all descriptors to be closed")
    assert gateway.process.returncode == 0
