#!/usr/bin/env python3
"""Writes docs/reference/checklist.md from docs/checklist.json."""

import json
from itertools import groupby
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"

HEAD = """# The deployment checklist

Each line of the deployment checklist has a row: the command that makes it true or shows that it is, the test, and the
result. A command like `check before.tables` is an item of [`leadpipe check`](../how-to/check-a-deployment.md).

| result | meaning |
|---|---|
| ✓ | the line holds in this version: its tests pass, which `make test` and, for tests in Drills/, `make drill` run |
| – | the line is a plan: this version does not have it, and the test shows that it says so |

A test checks that the rows are those of the checklist, and that each command, item and test exists.
`docs/checklist.json` has the same for programs; `tools/checklist_page.py` makes this page from it.
"""


def entries():
    return json.loads((DOCS / "checklist.json").read_text())


def required(text):
    """(section, line) of each line of the checklist that needs a row. Headings, rules, fences and blank lines do not."""
    headings, is_code = [], False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("```"):
            is_code = not is_code
        elif line.startswith("#") and not is_code:
            words = line.lstrip("#")
            depth = len(line) - len(words)
            headings = headings[:depth - 1] + [""] * (depth - 1 - len(headings)) + [words.strip()]
        elif set(line) - set("|-"):
            # The first heading is the title.
            yield " / ".join(filter(None, headings[1:])), line


def cell(text):
    return text.replace("|", "\\|").strip()


def row(entry):
    line = entry["line"].removeprefix("- [ ] ").strip()
    commands = ([f"`check {name}`" for name in entry.get("checks", [])] + [f"`leadpipe {name}`" for name in entry.get("commands", [])]
                + [f"`make {name}`" for name in entry.get("make", [])])
    tests = [test.removeprefix("Tests/") for test in entry["tests"]]
    result = " ".join(filter(None, [entry["result"], entry.get("note")]))
    return f"| `{cell(line.replace('`', ''))}` | {cell('<br>'.join(commands))} | {cell('<br>'.join(tests))} | {cell(result)} |"


def page():
    parts = [HEAD]
    for section, lines in groupby(entries(), key=lambda entry: entry["section"]):
        parts.append(f"\n## {section}\n\n| line | command | test | result |\n|---|---|---|---|\n" + "".join(row(line) + "\n" for line in lines))
    return "".join(parts)


if __name__ == "__main__":
    (DOCS / "reference" / "checklist.md").write_text(page())
