"""What the built executables need at run time: nothing but glibc, so that each can be copied to any machine with one."""

import re
import subprocess

import pytest

from common import BIN, HANDLERS

EXECUTABLES = [BIN / "leadpipe", BIN / "gateway", BIN / "confine", *sorted(HANDLERS.iterdir())]
GLIBC = {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def needed(path):
    done = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True, timeout=30)
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", done.stdout))


@pytest.mark.parametrize("path", EXECUTABLES, ids=lambda path: path.name)
def test_executables_need_only_glibc(path):
    assert "libc.so.6" in needed(path) <= GLIBC, "what `make build` could not link from archives is in its output"
