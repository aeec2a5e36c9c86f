"""HOLIDAYS: the calendar of docs/how-to/set-office-hours.md decides about deadlines at every entry point, and a file that
cannot be used stops the handlers with its reason."""

import json
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

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
    ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261202T080000Z\nEND:VEVENT\nEND:VCALENDAR\n", "a DTSTART that is not a date (line 2)"),
    ("hello\n", "is not an iCalendar file: line 1 is not a property"),
    (b"BEGIN:VCALENDAR\nSUMMARY:\xff\nEND:VCALENDAR\n", "is not UTF-8"),
    (b"BEGIN:VCALENDAR\n" + b" " * 1_048_576, "is larger than 1 MiB"),
    (None, "cannot be read: No such file or directory"),
])
def test_other_files_are_a_wrong_setting(tmp_path, content, reason):
    file = tmp_path / "holidays.ics"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = capture(file)
    assert done.returncode == 78 and reason in done.stdout, (done.stdout, done.stderr)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, reason in [(pipe, "must be a file"), (tmp_path, "must be a file"), ("holidays.ics", "must be an absolute path")]:
        done = capture(path)
        assert done.returncode == 78 and reason in done.stdout, (path, done.stdout)


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
