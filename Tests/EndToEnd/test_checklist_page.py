"""docs/checklist.json, which maps each line of the deployment checklist to items, commands and tests: all of them exist."""

import json
import re
import sys

import pytest

from cluster import leadpipe
from common import REPO

sys.path.insert(0, str(REPO / "tools"))
import checklist_page  # noqa: E402 - a program of tools/

ENTRIES = checklist_page.entries()


@pytest.fixture(scope="module")
def items():
    done = leadpipe("check", "--dry-run", "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_line_has_an_item_a_command_a_test_or_a_note():
    assert len(ENTRIES) > 100
    assert not [entry["line"] for entry in ENTRIES if not any(entry.get(kind) for kind in ("checks", "commands", "tests", "note"))]


def test_every_item_exists_and_belongs_to_a_line(items):
    known = {item["id"] for item in items}
    named = {name for entry in ENTRIES for name in entry.get("checks", [])}
    assert named <= known
    # What the checklist takes for granted.
    assert known - named == {"before.logins", "before.channels"}


def test_an_item_needs_only_earlier_items(items):
    ids = [item["id"] for item in items]
    assert len(set(ids)) == len(ids)
    for place, item in enumerate(items):
        assert set(item["needs"]) <= set(ids[:place]), item


def test_every_command_exists():
    shown = leadpipe("--help").stdout
    for name in {name for entry in ENTRIES for name in entry.get("commands", [])}:
        assert re.search(rf"^  {name} ", shown, re.MULTILINE), name


def test_every_test_exists():
    for test in {test for entry in ENTRIES for test in entry.get("tests", [])}:
        path, _, name = test.partition("::")
        assert (REPO / path).exists(), test
        assert not name or re.search(rf"^def {name}\(", (REPO / path).read_text(), re.MULTILINE), test


def test_page_is_made_from_the_file():
    """`tools/checklist_page.py` writes it again."""
    assert (REPO / "docs/reference/checklist.md").read_text() == checklist_page.page()
