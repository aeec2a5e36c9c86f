"""Runs one case and prints its result as the lines of a case: `record_case.py HANDLER/NAME`. Check the lines before you
put them into the file.

Values that differ from run to run (ids and times that the case did not set) are printed as placeholders. The case needs
no expectations."""

import json
import re
import sys
from datetime import UTC, datetime

import case_files
import case_replies
import case_run
import cases
from cluster import Cluster
from common import untimed

UUID = re.compile(case_run.PLACEHOLDERS["<uuid>"])
INSTANT = re.compile(case_run.PLACEHOLDERS["<time>"])


def placeheld(text, case):
    """The text with placeholders for ids and times that the case did not set."""
    known = case.stdin.decode(errors="replace") + case.before
    text = UUID.sub(lambda found: found[0] if found[0] in known else "<uuid>", text)
    return INSTANT.sub(lambda found: found[0] if found[0] in known else "<time>", text)


def quoted(text):
    """The text as a TOML literal."""
    if "\n" in text:
        return f"'''\n{text}'''"
    return f"'{text}'" if "'" not in text else f"'''{text}'''"


def document(value):
    line = json.dumps(value, ensure_ascii=False)
    return quoted(line if len(line) < 110 else json.dumps(value, ensure_ascii=False, indent=2))


def is_problem(body):
    return isinstance(body, dict) and {"title", "status", "code"} <= body.keys()


def parsed(text):
    """The JSON of a body, or the body itself if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def reply(written, case):
    """A line of stdout as keys of a case."""
    if not (isinstance(written, dict) and "statusCode" in written):
        bare = written["problem"] if isinstance(written, dict) and list(written) == ["problem"] else written
        return problem(bare) if is_problem(bare) else {"reply": document(written)}
    body = parsed(written["body"])
    words = problem(body) if is_problem(body) else {"status": str(written["statusCode"]), "reply": document(body)}
    ordinary = case_replies.ordinary_headers(written["statusCode"], is_problem(body), body == "", case)
    if own := [f"{name} = {quoted(value)}" for name, value in written["headers"].items() if ordinary.get(name) != value]:
        words["reply_headers"] = "{ " + ", ".join(own) + " }"
    return words


def problem(body):
    words = {"status": str(body["status"])}
    if "details" not in body:
        return words | {"problem": quoted(body["code"])}
    errors = json.dumps([f"{each['path']}: {each['code']}" for each in body["details"]], ensure_ascii=False)
    return words | {"errors": errors} if body["status"] < 500 else {"wrong_settings": errors}


def record(handler, name, cluster):
    now = datetime.now(UTC)
    facts, own, file = case_files.facts(handler, name, now)
    case = cases.given(facts, file, now)
    database = cluster.migrated() if case.database else None
    done = case_run.run(case, database)
    written = [json.loads(placeheld(line, case)) for line in done.stdout.decode().splitlines()]
    if "describe" in own:
        return [f"writes = {document(written)}"]
    words = [reply(line, facts) for line in written]
    lines = ["writes = []"] if not words else [f"{key} = {value}" for key, value in words[0].items()]
    if "stream" in facts:
        lines = ["replies = [", *("  { " + ", ".join(f"{key} = {value}" for key, value in each.items()) + " }," for each in words), "]"]
    failures = [int(each["status"]) for each in words if int(each.get("status", "0")) >= 400]
    due = 78 if any("wrong_settings" in each for each in words) else case_replies.exit_status(failures[0]) if failures else 0
    if done.returncode != due:
        lines.append(f"exit = {done.returncode}")
    log = [placeheld(untimed(line), case) for line in done.stderr.decode().splitlines()]
    lines += ["log = [", *(f"  {quoted(line)}," for line in log), "]"] if log else []
    if "query" in facts and database:
        lines.append(f"rows = {quoted(database.text(file.get('queries', {}).get(facts['query'], facts['query'])))}")
    return lines


def main(arguments):
    if len(arguments) != 1 or tuple(arguments[0].split("/")) not in cases.names():
        sys.exit("usage: record_case.py HANDLER/NAME")
    cluster = Cluster()
    try:
        print("\n".join(record(*arguments[0].split("/"), cluster)))
    finally:
        cluster.close()


if __name__ == "__main__":
    main(sys.argv[1:])
