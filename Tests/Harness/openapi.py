"""Runs schemathesis against the OpenAPI document of a running instance."""

import contextlib
import re
import shutil
import subprocess

from common import REPO, TEST_USER, clean_environment

VENV = REPO / ".build" / "test-venv"
SETTINGS = REPO / "Tests" / "Schemathesis"
KEY = "the-key-of-the-instance-for-schemathesis"


def tool(name):
    """A program of the venv that `make test-packages` fills from Tests/requirements.txt."""
    path = VENV / "bin" / name
    assert path.exists(), f"{path} is missing: run `make test-packages`"
    return str(path)


def check(instance, folder, examples, key=None, seed=1, phases="coverage,fuzzing", seconds=600):
    """Runs every check of schemathesis over every operation. Fails on any failure. Returns the number of requests."""
    # One worker: Python 3.11.2 counts the depth of what it parses for all threads together (CPython issue 106905), and
    # fails.
    command = [
        tool("schemathesis"), "--config-file", str(SETTINGS / "schemathesis.toml"), "run", f"http://127.0.0.1:{instance.port}/api/openapi.json",
        "--url", f"http://127.0.0.1:{instance.port}", "--checks", "all", "--max-examples", str(examples), "--seed", str(seed),
        "--phases", phases, "--workers", "1", "--no-color",
        *([] if key is None else ["--header", f"x-admin-api-key: {key}"]),
    ]
    environment = clean_environment(SCHEMATHESIS_HOOKS=str(SETTINGS / "hooks.py"), HOME=str(folder), PYTHONDONTWRITEBYTECODE="1")
    # Files that it leaves (a replay file, hypothesis' own) stay in the folder.
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=seconds)
    shutil.rmtree(folder / ".hypothesis", ignore_errors=True)
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-4_000:]}"
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested and int(tested[1]) == int(re.search(r"Selected: (\d+)/", done.stdout)[1]), done.stdout[-4_000:]
    return int(re.search(r"(\d+) generated", done.stdout)[1])


@contextlib.contextmanager
def frequent_events(instance):
    """Emits an event every 30 ms, so that a client of the live feed does not wait long."""
    lead = instance.capture(TEST_USER)
    with subprocess.Popen(["psql", "-Xqo", "/dev/null", instance.database.url], stdin=subprocess.PIPE, text=True) as psql:
        psql.stdin.write(f"select public.emit_lead_event('lead.updated', '{lead}') \\watch 0.03\n")
        psql.stdin.flush()
        try:
            yield
        finally:
            psql.terminate()
