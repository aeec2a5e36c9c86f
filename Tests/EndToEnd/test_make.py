"""`make build` with a compiler that only talks: what reaches the terminal, and whether a failure is reported."""

import subprocess

import pytest

from common import REPO, clean_environment

COMPILER = """#!/bin/sh
case "$*" in *--show-bin-path) echo "warning: 'other': again" >&2; echo "$PWD/out"; exit;; esac
echo '[1/2] Compiling'
cat >&2 <<'END'
warning: 'swift-distributed-tracing': found 1 file(s) which are unhandled; explicitly declare them as resources
    /somewhere/Benchmarks/README
warning: 'leadpipe': found 1 file(s) which are unhandled; explicitly declare them as resources
    /here/Sources/notes.txt
warning: 'swift-log': dependency is not used
error: a message
    with its second line
END
exit STATUS
"""


@pytest.fixture
def build(tmp_path):
    """Runs `make build` in a copy without sources."""
    (tmp_path / "Makefile").write_text((REPO / "Makefile").read_text())
    for folder in ("out", "supabase/migrations", "supabase/rollback", "handlers/none/hello"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "supabase/shim.sql").touch()
    (tmp_path / "clang").write_text("#!/bin/sh\n")
    (tmp_path / "clang").chmod(0o755)
    for name in ("leadpipe", "gateway", "confine", "hello"):
        (tmp_path / "out" / name).touch()

    def run(status):
        compiler = tmp_path / "swift"
        compiler.write_text(COMPILER.replace("STATUS", str(status)))
        compiler.chmod(0o755)
        return subprocess.run(["make", "build", f"SWIFT={compiler}"], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60)
    return run


def test_warnings_about_other_packages_are_not_shown(build):
    done = build(0)
    assert done.returncode == 0, done.stderr
    assert "[1/2] Compiling" in done.stdout
    assert done.stderr.splitlines() == [
        "warning: 'leadpipe': found 1 file(s) which are unhandled; explicitly declare them as resources", "    /here/Sources/notes.txt",
        "error: a message", "    with its second line"]


def test_failed_build_stops_make(build):
    assert build(1).returncode != 0
