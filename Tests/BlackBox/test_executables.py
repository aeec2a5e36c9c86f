"""The built executables: they need nothing but glibc at run time, they are small together, and each handler can be
copied out and started alone."""

import os
import re
import shutil
import subprocess

import pytest

from common import BIN, HANDLERS, clean_environment

NAMES = sorted(path.name for path in HANDLERS.glob("[!.]*"))
EXECUTABLES = [BIN / "leadpipe", BIN / "gateway", BIN / "confine", *(HANDLERS / name for name in NAMES)]
GLIBC = {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
MEGABYTE = 1_000_000


def needed(path):
    done = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True, timeout=30)
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", done.stdout))


@pytest.mark.parametrize("path", EXECUTABLES, ids=lambda path: path.name)
def test_executables_need_only_glibc(path):
    assert "libc.so.6" in needed(path) <= GLIBC, "the output of `make build` says which archives it could not have"


def test_handlers_are_links_to_a_few_small_executables():
    files = {os.stat(HANDLERS / name).st_ino: os.stat(HANDLERS / name).st_size for name in NAMES}
    assert len(files) == 5, "a copy of bin/ keeps the links with `cp -a`, not with `cp -r`"
    assert sum(files.values()) < 80 * MEGABYTE and max(files.values()) < 18.5 * MEGABYTE


def run(*words, **environment):
    return subprocess.run(words, env=clean_environment(**environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("name", ["agent-list", "lead-capture", "notify-slack", "rate-limit", "wake-listen"])
def test_copied_handler_starts_alone(tmp_path, name):
    shutil.copy2(HANDLERS / name, tmp_path / name)
    assert run(tmp_path / name, "--describe").stdout == run(HANDLERS / name, "--describe").stdout != ""


def test_link_of_any_name_starts_its_handler(tmp_path):
    (tmp_path / "lead.cgi").symlink_to(HANDLERS / "lead-capture")
    assert run(tmp_path / "lead.cgi", "--version").stdout.startswith("lead-capture ")


def test_copy_under_another_name_asks_for_the_handler(tmp_path):
    shutil.copy2(HANDLERS / "contact-capture", tmp_path / "bootstrap")
    done = run(tmp_path / "bootstrap", "--describe")
    assert (done.returncode, done.stdout) == (64, "")
    assert "no handler here has the name bootstrap" in done.stderr and "contact-capture" in done.stderr
    assert run(tmp_path / "bootstrap", "--version", _HANDLER="sell-capture").stdout.startswith("sell-capture ")
    assert run(HANDLERS / "contact-capture", "--version", _HANDLER="sell-capture").stdout.startswith("contact-capture ")


@pytest.mark.parametrize("file, others", [
    ("lead-capture", ["agent-list", "event-claim", "notify-slack", "rate-limit"]), ("event-claim", ["lead-capture", "notify-slack", "session-open"]),
    ("notify-slack", ["lead-capture", "event-claim", "delivery-record"]), ("rate-limit", ["lead-capture"])])
def test_executable_contains_no_handler_of_another_class(tmp_path, file, others):
    shutil.copy2(HANDLERS / file, tmp_path / "copy")
    for other in others:
        assert run(tmp_path / "copy", "--describe", _HANDLER=other).returncode == 64


@pytest.mark.parametrize("name, libpq, libcurl", [
    ("lead-capture", True, True), ("agent-list", True, True), ("event-claim", True, True), ("notify-slack", False, True), ("rate-limit", False, False)])
def test_executable_contains_only_the_libraries_of_its_class(name, libpq, libcurl):
    contents = (HANDLERS / name).read_bytes()
    assert (b"could not receive data from server" in contents) == libpq
    assert (b"Could not resolve host" in contents) == libcurl
