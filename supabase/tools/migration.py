#!/usr/bin/env python3
"""Writes the next migration: the statements that make a database built from migrations/ equal to one built from
schemas/. Usage: migration.py NAME"""

import difflib
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import database
import statements
from differences import Differences

SUPABASE = Path(__file__).resolve().parent.parent


def migrations(folder=SUPABASE / "migrations"):
    return sorted(folder.glob("*.sql"))


def source(folder=statements.SCHEMAS):
    """Returns the statements of schemas/, in an order in which they can run."""
    return [each for path in statements.ordered(folder) for each in statements.split(path.read_text())]


def unlike(now, wanted):
    """Returns the lines in which two dumps differ, by object. Empty if the databases are equal."""
    now, wanted = now.dump(), wanted.dump()
    return [
        f"{name}\n" + "\n".join(difflib.unified_diff(now.get(name, []), wanted.get(name, []), "migrations", "schemas", lineterm="", n=0))
        for name in sorted(now | wanted) if now.get(name) != wanted.get(name)]


def next_versions(count, existing):
    """Returns version numbers from the current time, or from the last migration if that is later."""
    first = max(int(datetime.now(UTC).strftime("%Y%m%d%H%M%S")), *(int(path.name.split("_")[0]) + 1 for path in existing))
    return range(first, first + count)


def write(name, now, wanted, folder=SUPABASE / "migrations", schemas=statements.SCHEMAS):
    """Writes the migrations, adds their versions to the rollback and runs each migration twice on `now`. Returns
    their paths and the differences that remain."""
    difference = Differences(now, wanted, source(schemas))
    chapters = []
    if values := difference.values():
        chapters.append((f"{name}_values", values))
    if changes := difference.statements():
        chapters.append((name, changes))
    paths = []
    for version, (title, changes) in zip(next_versions(len(chapters), migrations(folder)), chapters, strict=False):
        path = folder / f"{version}_{title}.sql"
        path.write_text("-- Generated from schemas/ by `make migration`. This file can run again at any time.\n\n" + "\n\n".join(changes) + "\n")
        paths.append(path)
        for rollback in (folder.parent / "rollback").iterdir():
            rollback.write_text(re.sub(r"('\d{14}')\);", rf"\1,\n      '{version}');", rollback.read_text()))
        now.load([path, path])
    return paths, unlike(now, wanted)


def main():
    if len(sys.argv) != 2 or not re.fullmatch("[a-z][a-z0-9_]*", sys.argv[1]):
        sys.exit("Usage: make migration NAME=what_changes   (lower case, digits and _)")
    with database.server() as environment:
        now = database.create("migrations", migrations(), **environment)
        wanted = database.create("schemas", statements.ordered(), **environment)
        paths, left = write(sys.argv[1], now, wanted)
    for path in paths:
        print(f"migration {path.relative_to(SUPABASE.parent)}")
    if left:
        sys.exit("\n".join(["These differences remain; complete the migration by hand:", *left]))
    if not paths:
        print("migration nothing has changed")


if __name__ == "__main__":
    main()
