"""`make build` with a compiler that only talks: what reaches the terminal, and whether a failure is reported. And what
it says where an archive cannot be had."""

import os
import shutil
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
    (tmp_path / "tools/archives").mkdir(parents=True)
    (tmp_path / "tools/archives/prepare").write_text("#!/bin/sh\n")
    (tmp_path / "tools/archives/prepare").chmod(0o755)
    for name in ("panel", "chatbot"):
        (tmp_path / "tools" / name).mkdir()
        (tmp_path / "tools" / name / "build").write_text("#!/bin/sh\n")
        (tmp_path / "tools" / name / "build").chmod(0o755)
    (tmp_path / "handlers/none.swift").write_text('    serve(["hello": { hello.handler }])\n')
    for name in ("leadpipe", "gateway", "confine", "leadpipe-cgi", "handlers-none"):
        (tmp_path / "out" / name).touch()

    def run(status):
        compiler = tmp_path / "swift"
        compiler.write_text(COMPILER.replace("STATUS", str(status)))
        compiler.chmod(0o755)
        return subprocess.run(["make", "build", f"SWIFT={compiler}"], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60)
    return run


def test_warnings_about_other_packages_are_not_shown(build, tmp_path):
    done = build(0)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "bin/handlers").iterdir()] == ["hello"]
    assert "[1/2] Compiling" in done.stdout
    assert done.stderr.splitlines() == [
        "warning: 'leadpipe': found 1 file(s) which are unhandled; explicitly declare them as resources", "    /here/Sources/notes.txt",
        "error: a message", "    with its second line"]


def test_failed_build_stops_make(build):
    assert build(1).returncode != 0


# A clang with which every link works, and an apt-get without a network.
TOOLS = {
    "clang": """#!/bin/sh
case "$1" in -print-file-name=*) for place in unpacked system; do [ ! -f "$PLACE/$place/${1#*=}" ] || { echo "$PLACE/$place/${1#*=}"; exit; }; done
  echo "${1#*=}" ;; esac
""",
    "llvm-ar": "#!/bin/sh\n", "apt-get": "#!/bin/sh\necho called >> $PLACE/apt-get.log\nexit 100\n", "dpkg-query": "#!/bin/sh\nprintf 15.1\n",
    "pkg-config": "#!/bin/sh\necho -I/headers\n",
}


def test_build_without_archives_says_once_that_a_library_stays_shared(tmp_path):
    for name, text in TOOLS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    shutil.copytree(REPO / "tools/archives", tmp_path / "archives")
    settings = clean_environment(PLACE=str(tmp_path))
    settings["PATH"] = f"{tmp_path}{os.pathsep}{settings['PATH']}"
    linked = tmp_path / "linked"
    done = subprocess.run([tmp_path / "archives/prepare", linked, tmp_path / "clang"], env=settings, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    shared = "stays shared and must be installed where the executables run: "
    postgres, curl = [line for line in done.stdout.splitlines() if "curl" in line or "libpq" in line]
    assert postgres == f"build     libpq {shared}postgresql-server-dev-15 15.1 cannot be downloaded"
    assert curl.startswith(f"build     libcurl {shared}libnghttp2-dev") and curl.endswith("cannot be downloaded")
    # Pango is loaded at run time in any case, so its file names no library.
    assert [file.name for file in (linked / "pkgconfig").iterdir()] == ["pangocairo.pc"]
