"""HOLIDAYS: the calendar of docs/how-to/set-office-hours.md decides about deadlines at every entry point. A file that
cannot be used stops every start with its reason, and no lead."""

import json
import os
import re
import signal
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from admin import KEY, AdminClient
from common import BIN, REPO, clean_environment
from instance import Instance

DOCUMENT = (REPO / "docs" / "how-to" / "set-office-hours.md").read_text()
EXAMPLE = re.search(r"```ics\n(.*?)```", DOCUMENT, re.DOTALL).group(1)
LEAD = {"customerName": "Test User", "customerPhone": "+971501234567", "leadScore": 95, "leadQuality": "hot"}


def closed_until(day):
    """A calendar that closes the office from yesterday up to a day."""
    yesterday = datetime.now(UTC) - timedelta(days=2)
    return f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:{yesterday:%Y%m%d}\nDTEND;VALUE=DATE:{day:%Y%m%d}\nEND:VEVENT\nEND:VCALENDAR\n"


def capture(holidays, **settings):
    return subprocess.run(
        [str(BIN / "handlers" / "lead-capture")], input=json.dumps(LEAD), text=True, capture_output=True, timeout=20,
        env=clean_environment(DATABASE_URL="postgresql://127.0.0.1:1/none", HOLIDAYS=str(holidays), **settings))


def test_example_is_accepted(tmp_path):
    file = tmp_path / "holidays.ics"
    file.write_text(EXAMPLE)
    done = capture(file)
    assert done.returncode == 75 and "database" in done.stdout, (done.stdout, done.stderr)


@pytest.mark.parametrize("content, reason", [
    ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261202T080000Z\nEND:VEVENT\nEND:VCALENDAR\n", "contains an event with a DTSTART that is not a date (line 2)"),
    ("hello\n", "is not an iCalendar file: line 1 is not a property"),
    (b"BEGIN:VCALENDAR\nSUMMARY:\xff\nEND:VCALENDAR\n", "is not UTF-8"),
    (b"BEGIN:VCALENDAR\n" + b" " * 1_048_576, "is larger than 1 MiB"),
    (None, "cannot be read: No such file or directory"),
])
def test_other_files_stop_the_start_and_no_lead(tmp_path, content, reason):
    file = tmp_path / "holidays.ics"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert_only_the_start_is_refused(file, reason)


def start(command, holidays):
    settings = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "LEADPIPE_HANDLERS": str(BIN / "handlers"), "HOLIDAYS": str(holidays)}
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]], text=True, capture_output=True, timeout=20, env=clean_environment(**settings))


def assert_only_the_start_is_refused(path, reason):
    for command in (["leadpipe", "up"], ["leadpipe", "gateway", "--check"], ["gateway", "--check"], ["leadpipe", "worker"]):
        done = start(command, path)
        assert done.returncode == 78 and f"HOLIDAYS {reason}" in done.stderr, (command, done.stdout, done.stderr)
    done = capture(path)
    # The lead comes as far as the database, which does not exist.
    assert done.returncode == 75 and "database" in done.stdout, (done.stdout, done.stderr)
    assert len(re.findall(rf"\[ERROR\] HOLIDAYS {re.escape(reason)}", done.stderr)) == 1, done.stderr


def test_a_good_file_starts(tmp_path):
    file = tmp_path / "holidays.ics"
    file.write_text(EXAMPLE)
    for program in (["gateway"], ["leadpipe", "gateway"]):
        done = start([*program, "--check"], file)
        assert done.returncode == 0, (program, done.stdout, done.stderr)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        assert_only_the_start_is_refused(path, "must be a file")
    done = capture("holidays.ics")
    assert done.returncode == 78 and "must be an absolute path" in done.stdout, done.stdout


def test_deadline_of_a_captured_lead(database, tmp_path):
    """Through the gateway, whose handlers are confined, and by hand: the office is closed until a day in a week."""
    opens = (datetime.now(UTC) + timedelta(days=7)).replace(hour=0, minute=0, second=0, microsecond=0)
    file = tmp_path / "holidays.ics"
    file.write_text(closed_until(opens))
    due = opens + timedelta(hours=9, minutes=15)
    settings = {"DATABASE_URL": database.url, "HOLIDAYS": str(file), "BUSINESS_HOURS": "Mon-Sun 09:00-18:00", "TIME_ZONE": "Etc/UTC"}
    query = "select sla_response_deadline from conversations"
    with Instance(ENABLE_NOTIFICATION_WORKER="false", **settings) as instance:
        id = instance.capture(LEAD)
        assert datetime.fromisoformat(database.rows(query)[0]["sla_response_deadline"]) == due
        explained = subprocess.run(
            [str(BIN / "leadpipe"), "explain", id], env=clean_environment(**settings), capture_output=True, text=True, timeout=20)
        assert explained.returncode == 0 and f"{due:%-d %b %Y} 09:00 to 09:15" in explained.stdout, (explained.stdout, explained.stderr)


def test_a_file_that_is_deleted_while_it_runs_loses_no_lead(database, tmp_path):
    file = tmp_path / "holidays.ics"
    file.write_text(closed_until(datetime.now(UTC) + timedelta(days=7)))
    settings = {"DATABASE_URL": database.url, "HOLIDAYS": str(file), "LEADPIPE_PROCESS": "oneshot", "ADMIN_API_KEY": KEY}
    with Instance(ENABLE_NOTIFICATION_WORKER="false", **settings) as instance:
        gateway = next(pid for pid in instance.processes() if os.readlink(f"/proc/{pid}/exe").endswith("/gateway"))
        file.unlink()
        instance.capture(LEAD)
        row = database.rows("select created_at, sla_response_deadline from conversations")[0]
        times = [datetime.fromisoformat(row[name]) for name in ("created_at", "sla_response_deadline")]
        assert timedelta(minutes=14) < times[1] - times[0] < timedelta(minutes=16), row
        fault = "HOLIDAYS cannot be read: No such file or directory"
        assert len(re.findall(rf"\[ERROR\] {fault}", instance.log)) == 1, instance.log
        assert AdminClient(instance).get("/api/admin/conversations")["data"]
        os.kill(gateway, signal.SIGHUP)
        instance.wait_log(f"The handlers were not reloaded: {fault}")
        instance.capture(LEAD)
