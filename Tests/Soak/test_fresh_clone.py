"""The two commands of README.md in a fresh Debian root, as a new user types them: a clone, `make run` on a terminal, and the
lead from a second one. The root has what README.md requires and nothing else; `make` installs the rest with sudo.

The toolchain cannot be installed there without a download from outside Debian: this machine's own is seen in the root,
read-only. So are the copies of Swift packages on this machine, if its git is told to read them in place of their
addresses. Needs root, and Debian's packages by apt."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from common import REPO, free_port, is_root
from debian_root import DebianRoot

pytestmark = [pytest.mark.skipif(not is_root(), reason="a Debian root is made and entered by root"), pytest.mark.seconds(5400)]
# What README.md requires: Debian's packages for Swift, as https://www.swift.org/install/linux/tarball/ lists them; make and
# git; and sudo, by which a user gets the rights to install packages.
SWIFT_REQUIRES = ["binutils-gold", "gcc", "git", "libcurl4-openssl-dev", "libedit-dev", "libicu-dev", "libncurses-dev", "libpython3-dev",
                  "libsqlite3-dev", "libxml2-dev", "pkg-config", "tzdata", "uuid-dev"]
REQUIRES = [*SWIFT_REQUIRES, "make", "git", "sudo", "ca-certificates"]
USER, HOME = "newcomer", "/home/newcomer"


def toolchain():
    """The folder of this machine's Swift, and that of its programs."""
    programs = Path(shutil.which(os.environ.get("SWIFT", "swift"))).resolve().parent
    folder = programs.parents[1]
    assert folder != Path("/"), f"{programs} is no toolchain in a folder of its own"
    return folder, programs


def replaced_addresses():
    """What this machine's git reads in place of other addresses: (its setting, the address, the local folder or None)."""
    lines = subprocess.run(["git", "config", "--get-regexp", r"^url\..*\.insteadof$"], cwd="/", capture_output=True, text=True, timeout=30).stdout
    for name, address in (line.split(None, 1) for line in lines.splitlines()):
        place = name.removeprefix("url.").removesuffix(".insteadof")
        yield place, address, Path(place) if place.startswith("/") else None


def commands():
    """The first two commands of README.md: the one that starts Leadpipe, and the one that sends a lead."""
    blocks = re.findall(r"^```(console|sh)\n(.*?)^```$", (REPO / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (start, run), (send, lead) = blocks[:2]
    assert (start, run, send) == ("console", "make run\n", "sh") and lead.startswith("curl ")
    return run.split(), lead


@pytest.fixture
def root(tmp_path):
    folder, _ = toolchain()
    places = list(replaced_addresses())
    with DebianRoot(tmp_path / "root", REQUIRES, shared={folder, *(place for _, _, place in places if place)}) as root:
        root.run("useradd", "--create-home", "--shell", "/bin/bash", USER)
        root.write("etc/sudoers.d/newcomer", f"{USER} ALL=(ALL) NOPASSWD: ALL\n", 0o440)
        settings = "".join(f'[url "{place}"]\n\tinsteadOf = {address}\n' for place, address, _ in places)
        root.write("etc/gitconfig", f"{settings}[safe]\n\tdirectory = *\n")
        # curl then prints the status of a reply after it.
        root.write(f"{HOME[1:]}/.curlrc", 'write-out = "\\n%{http_code}\\n"\n')
        clone = root.folder / HOME[1:] / "leadpipe"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", REPO, clone], check=True, timeout=120)
        root.run("chown", "-R", f"{USER}:", HOME)
        yield root


def test_two_commands_lead_from_a_clone_to_a_stored_lead(root):
    start, send = commands()
    _, programs = toolchain()
    assert root.run("sh", "-c", "command -v curl psql jq pgbouncer", check=False).stdout == "", "make has to install something"
    settings = {"HOME": HOME, "USER": USER, "PORT": str(free_port()), "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin"}
    loads = [os.getloadavg()[0]]
    began = time.monotonic()
    with root.terminal(start, USER, f"{HOME}/leadpipe", **settings) as terminal:
        terminal.wait_for("build     compiling", 900)
        installed = time.monotonic()
        terminal.wait_for("build     done", 3600)
        built = time.monotonic()
        terminal.wait_for("\nready ", 120)
        ready = time.monotonic()
        loads.append(os.getloadavg()[0])
        # "In a second terminal".
        with root.terminal(["bash", "-c", send], USER, f"{HOME}/leadpipe", **settings) as second:
            second.end()
        answered = time.monotonic()
        assert second.seen.rstrip().endswith("\n201") and '"customerName":"Test User"' in second.seen, second.seen
        terminal.wait_for("stored, sent via slack, email, telegram", 30)
        told = time.monotonic()
        terminal.type("\x03")
        terminal.end()
    print(f"\nroot with what README.md requires: {root.seconds:.0f} s; then `make run`: {installed - began:.0f} s for packages, "
          f"{built - installed:.0f} s for the build, {ready - built:.1f} s to the start; in all {ready - began:.0f} s")
    print(f"a 201 {answered - ready:.2f} s after the second command, its notifications {told - answered:.1f} s later; "
          f"{os.cpu_count()} processors, load {loads[0]:.1f} before and {loads[1]:.1f} after the build")
    # Ctrl-C stops everything; the data is kept.
    left = root.run("sh", "-c", "cat /proc/[0-9]*/comm").stdout.split()
    assert not {"gateway", "leadpipe", "postgres", "pgbouncer"} & set(left), left
    assert (root.folder / HOME[1:] / "leadpipe/.leadpipe").is_dir()
    print(terminal.seen[-1500:])
