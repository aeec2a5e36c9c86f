#!/usr/bin/env python3
"""Writes docs/reference/checklist.md from docs/checklist.json."""

import json
from itertools import groupby
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"

HEAD = """# The deployment checklist

Each line of the deployment checklist, with what makes it true or shows that it is: an item of
[`leadpipe check`](../how-to/check-a-deployment.md), a command of `leadpipe`, a test. `docs/checklist.json` has the same
for programs; `tools/checklist_page.py` makes this page from it.
"""


def entries():
    return json.loads((DOCS / "checklist.json").read_text())


def cell(text):
    return text.replace("|", "\\|").strip()


def row(entry):
    line = entry["line"].removeprefix("- [ ] ").strip()
    kinds = [[f"`{name}`" for name in entry.get("checks", [])], [f"`leadpipe {name}`" for name in entry.get("commands", [])],
             [test.removeprefix("Tests/") for test in entry.get("tests", [])]]
    return f"| `{cell(line.replace('`', ''))}` | " + " | ".join(cell("<br>".join(kind)) for kind in kinds) + f" | {cell(entry.get('note', ''))} |"


def page():
    parts = [HEAD]
    for section, lines in groupby(entries(), key=lambda entry: entry["section"]):
        parts.append(f"\n## {section}\n\n| line | items | commands | tests | note |\n|---|---|---|---|---|\n" + "".join(row(line) + "\n" for line in lines))
    return "".join(parts)


if __name__ == "__main__":
    (DOCS / "reference" / "checklist.md").write_text(page())
