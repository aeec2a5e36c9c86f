"""docs/checklist.json has a row for each line of the deployment checklist: commands, items of `leadpipe check`, tests and
the result. All of them exist."""

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


# The user's document is not part of the repository. Where the tests run, it is beside it.
DOCUMENT = REPO.parent / "shared" / "CHECKLIST.md"


@pytest.mark.skipif(not DOCUMENT.exists(), reason=f"{DOCUMENT} is not on this machine")
def test_every_line_of_the_checklist_has_a_row():
    assert [(entry["section"], entry["line"]) for entry in ENTRIES] == list(checklist_page.required(DOCUMENT.read_text()))


def test_what_needs_a_row():
    text = "# Title\n\n## A\n\n---\nLead-in:\n```sh\n# comment\nrun\n```\n### B\n| x | y |\n|---|---|\n- [ ] z\n## C\n**end**\n"
    assert list(checklist_page.required(text)) == [
        ("A", "Lead-in:"), ("A", "# comment"), ("A", "run"), ("A / B", "| x | y |"), ("A / B", "- [ ] z"), ("C", "**end**")]


def test_every_row_has_a_command_a_test_and_a_result():
    assert len(ENTRIES) == 139
    for entry in ENTRIES:
        assert any(entry.get(kind) for kind in ("checks", "commands", "make")), entry
        assert entry["tests"], entry
        # A line that does not hold says why.
        assert entry["result"] == "✓" or (entry["result"] == "–" and entry["note"]), entry


def test_every_item_exists_and_belongs_to_a_line(items):
    known = {item["id"] for item in items}
    named = {name for entry in ENTRIES for name in entry.get("checks", [])}
    assert named <= known
    # What the checklist takes for granted.
    assert known - named == {"before.logins"}


def test_an_item_needs_only_earlier_items(items):
    ids = [item["id"] for item in items]
    assert len(set(ids)) == len(ids)
    for place, item in enumerate(items):
        assert set(item["needs"]) <= set(ids[:place]), item


def test_every_command_exists():
    shown = leadpipe("--help").stdout
    for name in {name for entry in ENTRIES for name in entry.get("commands", [])}:
        assert re.search(rf"^  {name} ", shown, re.MULTILINE), name


def test_every_target_exists():
    makefile = (REPO / "Makefile").read_text()
    for name in {name for entry in ENTRIES for name in entry.get("make", [])}:
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name


def test_every_test_exists():
    for test in {test for entry in ENTRIES for test in entry.get("tests", [])}:
        path, _, name = test.partition("::")
        assert (REPO / path).exists() and name, test
        assert re.search(rf"^def {name}\(", (REPO / path).read_text(), re.MULTILINE), test


def test_page_is_made_from_the_file():
    """`tools/checklist_page.py` writes it again."""
    assert (REPO / "docs/reference/checklist.md").read_text() == checklist_page.page()
