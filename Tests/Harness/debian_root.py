"""A fresh Debian 12 root to install and run programs in. mmdebstrap makes it from this machine's package sources. Programs
run in namespaces of their own, so that none of their processes and mounts outlives the test. Needs root."""

import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from common import clean_environment, until
from terminal import Terminal

SUITE = "bookworm"
# The first process: it holds the namespaces, and waits for the children of processes that have ended.
FIRST = """
mount --make-rprivate / && mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && ip link set lo up || exit 1
for folder; do mkdir -p "$0$folder" && mount --bind "$folder" "$0$folder" && mount -o remount,bind,ro "$0$folder" || exit 1; done
exec chroot "$0" /bin/sh -c 'while :; do sleep 3600 & wait $!; done'
"""


def sources():
    """This machine's files with package sources of the suite. Without any, mmdebstrap has its own."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    return [file for file in files if file.suffix in (".list", ".sources") and file.exists() and re.search(rf"\b{SUITE}\b", file.read_text())]


def apt_settings():
    """How this machine reaches its package sources: proxies and the like."""
    lines = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True, timeout=30).stdout
    return "".join(re.findall(r"^Acquire::(?:https?|Check-|Retries|ForceIP).*\n", lines, re.MULTILINE))


class DebianRoot:
    """A root with these packages and what they need. `shared` are folders of this machine that are seen in it, read-only."""

    def __init__(self, folder, packages, shared=()):
        self.folder, self.shared = Path(folder), [str(each) for each in shared]
        # The users of the root must be able to enter it.
        for parent in self.folder.parents:
            if parent.is_relative_to("/tmp") and parent.name != "tmp":
                parent.chmod(0o755)
        settings = self.folder.parent / "apt.conf"
        settings.write_text(apt_settings())
        command = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}", f"--aptopt={settings}",
                   SUITE, self.folder, *sources()]
        began = time.monotonic()
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-3000:]
        self.seconds = time.monotonic() - began
        # Packages ask this program whether they may start a service. There is no service manager here: 101 means no.
        self.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        self.write("etc/hosts", f"127.0.0.1 localhost {(self.folder / 'etc/hostname').read_text().strip()}\n")

    def __enter__(self):
        words = ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "/bin/sh", "-c", FIRST, str(self.folder), *self.shared]
        self.holder = subprocess.Popen(words, env=clean_environment(), stdin=subprocess.DEVNULL)
        try:
            self.first = until(self._first, 20, "the namespaces of the root")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        """Everything that runs in the root is killed, and its mounts are gone."""
        self.holder.kill()
        self.holder.wait(20)
        until(lambda: self._remove() or not self.folder.exists(), 60, "the root to be removed")

    def _remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def _first(self):
        assert self.holder.poll() is None, "the root cannot be entered"
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
        return children and Path(f"/proc/{children[0]}/root").resolve() == self.folder and children[0]

    def write(self, name, text, mode=0o644):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)

    def words(self, words, user=None, alone=False, at="/"):
        """The command that runs these words in the root. `alone`: with a network of the root's own, where every port is
        free and nothing else is reached."""
        enter = ["/usr/bin/nsenter", f"--target={self.first}", "--mount", "--pid", "--ipc", *(["--net"] if alone else []), "--root", "--wd"]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        return [*enter, "env", "-C", at, *become, *words]

    def run(self, *words, seconds=300, check=True, user=None, alone=False, **environment):
        settings = clean_environment(DEBIAN_FRONTEND="noninteractive", **environment)
        done = subprocess.run(self.words(words, user, alone), env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done

    @contextmanager
    def running(self, words, alone=False, **environment):
        """Runs a program in the root until the block ends. Its output so far is `output()`."""
        log = self.folder.parent / f"{time.monotonic_ns()}.log"
        with log.open("w") as file:
            process = subprocess.Popen(self.words(words, alone=alone), env=clean_environment(**environment), stdin=subprocess.DEVNULL,
                                       stdout=file, stderr=file)
        try:
            yield process, log.read_text
        finally:
            # nsenter does not pass signals on.
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split() if process.poll() is None else []
            subprocess.run(["kill", *children], check=False, timeout=10) if children else None
            try:
                process.wait(40)
            finally:
                process.kill()

    def terminal(self, words, user, at, **environment):
        """The words on a terminal of a user."""
        return Terminal(*self.words(words, user, at=at), **environment)
