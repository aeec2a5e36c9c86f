"""The log of all services under hostile requests: it contains nothing of them, one access line for each request, and
only complete lines. `make soak` sends 10,000. Also the beginning of a line, and the lines of foreign handlers."""

import json
import re
import subprocess

import pytest

import handlers
import hostile
from common import BIN, TIME, clean_environment, until
from gateway import DESCRIPTION, GatewayWith, route


@pytest.mark.parametrize("log_format, count", [("text", 300), ("json", 150)])
def test_log_contains_nothing_of_hostile_requests(database, log_format, count):
    """20 canaries in every place, and providers that fail and repeat them. The log has none of them, and one access
    line for each request."""
    hostile.check_log_of(count, 3, database, log_format)


def test_line_begins_with_its_time():
    for done in (handlers.run("event-claim", {}), handlers.run("lead-capture", {})):
        assert done.stderr and all(re.match(TIME + r"\[(WARN|ERROR)\] ", line) for line in done.stderr.decode().splitlines()), done.stderr


@pytest.mark.parametrize("is_journal", [True, False])
def test_journal_lines_have_no_time(tmp_path, is_journal):
    """JOURNAL_STREAM names the journal's descriptor. A shell may have inherited it and redirected stderr."""
    with open(tmp_path / "log", "w") as log:
        status = (tmp_path / "log").stat()
        stream = f"{status.st_dev}:{status.st_ino + (0 if is_journal else 1)}"
        subprocess.run([BIN / "gateway"], env=clean_environment(JOURNAL_STREAM=stream, LEADPIPE_HANDLERS="/nowhere"), stderr=log, timeout=20)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines and all(line.startswith("[ERROR] ") == is_journal for line in lines), lines


SAYS = r"""printf '[ERROR] forged\n2026-01-01T00:00:00.000Z [INFO] forged\n{"level":"ERROR","message":"forged"}\n\033[2Jred\342\200\256\n' >&2
head -c 3000 /dev/zero | tr '\0' y >&2; echo >&2; head -c 5000 /dev/zero | tr '\0' x >&2; echo >&2"""
REPLY = """echo '{"statusCode":200}'"""


@pytest.mark.parametrize("mode", ["oneshot", "stream"])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_lines_of_a_foreign_handler_are_quoted_with_its_name(tmp_path, log_format, mode):
    description = DESCRIPTION.replace("NAME", "stranger").replace("ROUTES", route("GET", "/x")).replace("ACCESS", "public").replace("CLASS", "default")
    script = f"#!/bin/sh\nif [ \"$1\" = --describe ]; then echo '[ERROR] forged' >&2; echo '{description}'; exit; fi\nread -r line\n{SAYS}\n{REPLY}\n"
    with GatewayWith(tmp_path, {"stranger": script}, LOG_FORMAT=log_format, LEADPIPE_PROCESS=f"stranger={mode}") as gateway:
        gateway.request(path="/x")
        until(lambda: "xxx" in gateway.log and "GET /x" in gateway.log, 10)
    if log_format == "text":
        quoted = [found for line in gateway.raw_lines if (found := re.fullmatch(TIME + "stranger: (.*)\n", line))]
        said = [found[1] for found in quoted]
        others = [line for line in gateway.raw_lines if "stranger: " not in line]
    else:
        lines = [json.loads(line) for line in gateway.raw_lines]
        said = [line["message"] for line in lines if line.keys() == {"time", "level", "message", "handler"} and line["handler"] == "stranger"]
        others = [json.dumps(line) for line in lines if line["message"] not in said]
    assert said[:4] == ["[ERROR] forged", "2026-01-01T00:00:00.000Z [INFO] forged", '{"level":"ERROR","message":"forged"}', r"\u{1b}[2Jred\u{202e}"]
    assert said[4:] == ["y" * 3000, "x" * 1024 + "…"]
    assert not any("forged" in line or "xxx" in line for line in others), others
