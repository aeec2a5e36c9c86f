"""Hosts on this machine: network namespaces, each with an address of its own, joined by a bridge in one more namespace.
None of them reaches the machine's own network. Needs root and `ip` (package iproute2)."""

import ctypes
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from common import is_root

NEW_NETWORK = 0x40000000  # CLONE_NEWNET of setns(2)
FOLDER = Path("/run/netns")
PREFIX = "lpn"
NUMBERS = count(1)
libc = ctypes.CDLL(None, use_errno=True)


def ip(*words, lines=(), check=True):
    """Runs `ip`. With `lines`, it reads further commands from them."""
    done = subprocess.run(["ip", *words, *(["-batch", "-"] if lines else [])], input="\n".join(lines), capture_output=True, text=True, timeout=20)
    assert not check or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


def kill_all(namespace):
    """Kills every process of the namespace, also those that are started meanwhile."""
    end = time.monotonic() + 10
    while pids := processes(namespace):
        assert time.monotonic() < end, f"{pids} cannot be killed"
        signal_all(pids, signal.SIGKILL)
        time.sleep(0.01)


def processes(namespace):
    pids = [int(pid) for pid in ip("netns", "pids", namespace, check=False).split()]
    assert os.getpid() not in pids, "the tests themselves are in the namespace"
    return pids


def signal_all(pids, number):
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class Host:
    """A machine of the network. `addresses` are its own; the first one is its main address."""

    def __init__(self, network, name, addresses):
        self.network, self.name, self.addresses, self.address = network, name, addresses, addresses[0]
        self.namespace = f"{network.name}-{name}"
        # The same after `power_off`, so that the others still reach it.
        self.hardware = "02:00:" + ":".join(f"{int(part):02x}" for part in self.address.split("."))
        self._make()

    def _make(self, plugged=True):
        ip("netns", "add", self.namespace)
        ip("-n", self.namespace, lines=[
            "link set lo up", f"link add eth0 address {self.hardware} type veth peer name {self.name} netns {self.network.namespace}",
            *(f"address add {address}/24 dev eth0" for address in self.addresses), "link set eth0 up"])
        self.network.switch(self.name, "up", *(["master", "bridge"] if plugged else []))

    @contextmanager
    def inside(self):
        """Moves the calling thread, and the processes that it starts, to the host. Other threads stay where they are."""
        with open("/proc/thread-self/ns/net") as before, open(FOLDER / self.namespace) as there:
            enter(there)
            try:
                yield
            finally:
                enter(before)

    @property
    def processes(self):
        return processes(self.namespace)

    def power_off(self):
        """Ends everything at once. No connection is closed: its peers are not told, now or later. Ends with `plug`."""
        self.drop()
        kill_all(self.namespace)
        ip("-n", self.network.namespace, "link", "delete", "dev", self.name)
        ip("netns", "delete", self.namespace)
        self._make(plugged=False)

    def pause(self):
        """Stops everything, as a paused virtual machine. What was sent to it waits in its sockets."""
        signal_all(self.processes, signal.SIGSTOP)

    def resume(self):
        signal_all(self.processes, signal.SIGCONT)

    def unplug(self):
        """Pulls the cable: the host sees that it has no link."""
        self.network.switch(self.name, "down")

    def drop(self):
        """Drops every packet to and from the host, which notices nothing."""
        self.network.switch(self.name, "nomaster")

    def plug(self):
        """Connects the host again."""
        self.network.switch(self.name, "master", "bridge", "up")


def enter(namespace):
    if libc.setns(namespace.fileno(), NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


class Network:
    """Used as a context: at the end, all processes of the hosts are killed and the namespaces removed."""

    def __init__(self):
        # The name contains the process id, so that runs do not collide and later ones find what a killed one has left.
        self.name = f"{PREFIX}{os.getpid()}-{next(NUMBERS)}"
        self.namespace = f"{self.name}-switch"
        self.free = count(1)

    def __enter__(self):
        remove_left_over()
        ip("netns", "add", self.namespace)
        try:
            ip("-n", self.namespace, lines=["link set lo up", "link add bridge type bridge forward_delay 0", "link set bridge up"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for path in FOLDER.glob(f"{self.name}-*"):
            remove(path.name)

    def host(self, name, addresses=1):
        """Adds a host with so many addresses."""
        return Host(self, name, [f"10.83.0.{next(self.free)}" for _ in range(addresses)])

    def switch(self, port, *words):
        ip("-n", self.namespace, "link", "set", "dev", port, *words)


def remove(namespace):
    kill_all(namespace)
    ip("netns", "delete", namespace, check=False)


def remove_left_over():
    """Removes the namespaces of test runs that were killed."""
    for path in FOLDER.glob(f"{PREFIX}*"):
        owner = re.match(rf"{PREFIX}(\d+)-", path.name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            remove(path.name)


def obstacle():
    """Why this process may not make hosts. None if it may: then every failure to make them is an error."""
    if not is_root():
        return "network namespaces need root"
    granted = int(re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.M)[1], 16)
    missing = [name for name, bit in (("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)) if not granted >> bit & 1]
    return f"network namespaces need {' and '.join(missing)}, which this root does not have" if missing else None
