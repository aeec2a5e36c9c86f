"""Runs one case and prints what it did, as the lines of a case: `record_case.py HANDLER/NAME`. A person checks it and puts it in the file.

What differs from run to run, ids and times that the case did not give, is written as a placeholder. A case without expectations will do.
"""

import json
import re
import sys
from datetime import UTC, datetime

import case_files
import case_replies
import case_run
import cases
from cluster import Cluster
from parts import untimed

UUID = re.compile(case_run.PLACEHOLDERS["<uuid>"])
INSTANT = re.compile(case_run.PLACEHOLDERS["<time>"])


def placeheld(text, case):
    """A text with placeholders for the ids and times that are not in what the case gave."""
    known = case.stdin.decode(errors="replace") + case.before
    text = UUID.sub(lambda found: found[0] if found[0] in known else "<uuid>", text)
    return INSTANT.sub(lambda found: found[0] if found[0] in known else "<time>", text)


def quoted(text):
    """A text as a literal of TOML."""
    if "\n" in text:
        return f"'''\n{text}'''"
    return f"'{text}'" if "'" not in text else f"'''{text}'''"


def document(value):
    line = json.dumps(value, ensure_ascii=False)
    return quoted(line if len(line) < 110 else json.dumps(value, ensure_ascii=False, indent=2))


def reply(written):
    """A line of stdout as words of a case."""
    enveloped = isinstance(written, dict) and "statusCode" in written
    body = json.loads(written["body"] or '""') if enveloped else written
    if not enveloped and isinstance(body, dict) and list(body) == ["problem"]:
        body = body["problem"]
    if isinstance(body, dict) and {"title", "status", "detail"} <= body.keys():
        words = {"status": str(body["status"])}
        if "details" in body:
            return words | {"faults": json.dumps([f"{each['path']}: {each['message']}" for each in body["details"]], ensure_ascii=False)}
        return words | {"problem": quoted(body["detail"])}
    return {**({"status": str(written["statusCode"])} if enveloped else {}), "reply": document(body)}


def record(handler, name, cluster):
    now = datetime.now(UTC)
    facts, own, file = case_files.facts(handler, name, now)
    case = cases.given(facts, file, now)
    database = cluster.migrated() if case.database else None
    done = case_run.run(case, database)
    written = [json.loads(placeheld(line, case)) for line in done.stdout.decode().splitlines()]
    if "describe" in own:
        return [f"writes = {document(written)}"]
    words = [reply(line) for line in written]
    lines = ["writes = []"] if not words else [f"{key} = {value}" for key, value in words[0].items()]
    if "stream" in facts:
        lines = ["replies = [", *("  { " + ", ".join(f"{key} = {value}" for key, value in each.items()) + " }," for each in words), "]"]
    failures = [int(each["status"]) for each in words if int(each.get("status", "0")) >= 400]
    if done.returncode != (case_replies.exit_status(failures[0]) if failures else 0):
        lines.append(f"exit = {done.returncode}")
    log = [placeheld(untimed(line), case) for line in done.stderr.decode().splitlines()]
    lines += ["log = [", *(f"  {quoted(line)}," for line in log), "]"] if log else []
    if "query" in facts and database:
        lines.append(f"rows = {quoted(database.text(file.get('queries', {}).get(facts['query'], facts['query'])))}")
    return lines


def main(arguments):
    if len(arguments) != 1 or tuple(arguments[0].split("/")) not in cases.names():
        sys.exit("name one case, as HANDLER/NAME")
    cluster = Cluster()
    try:
        print("\n".join(record(*arguments[0].split("/"), cluster)))
    finally:
        cluster.close()


if __name__ == "__main__":
    main(sys.argv[1:])
