"""Reads Tests/Cases/HANDLER.toml. Tests/README.md describes the format of a case."""

import functools
import re
import tomllib
from datetime import timedelta

from common import CASES

# A time relative to the run: {now}, {now-90s}, {now+1h} are instants, {today}, {today-3d} are days, both in UTC.
TIME = re.compile(r"\{(now|today)(?:([+-]\d+)([smhd]))?\}")
# {times 500 y} is a letter repeated 500 times.
REPEATED = re.compile(r"\{times (\d+) (.)\}")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

REQUEST = {"key", "headers", "path", "query", "at", "client", "user_agent", "base64", "deadline_ms"}
LINE = {"input", "with", "without", "request"}
REPLY = {"status", "reply", "reply_with", "reply_without", "passes", "problem", "errors", "reply_headers"}
SETTINGS = {"settings", "channels", "database"}
CASE = LINE | REPLY | SETTINGS | {
    "arguments", "before", "stream", "program", "replies", "writes", "writes_program", "wrong_settings", "exit", "log", "query", "rows",
    "describe"}
DEFAULTS = SETTINGS | {"route", "path", "request", "input", "status", "reply", "reply_headers", "passes", "writes", "query"}
FILE = {"defaults", "refused", "setup", "queries", "case"}


def handlers():
    """The handlers that have a case file."""
    return sorted(path.stem for path in CASES.glob("*.toml"))


@functools.cache
def file(handler):
    """The parsed case file. An unknown key is an error, because it would otherwise be a check that never runs."""
    path = CASES / f"{handler}.toml"
    document = tomllib.loads(path.read_text())
    known(document, FILE, path.name)
    known(document.get("defaults", {}), DEFAULTS, f"{path.name}, defaults")
    known(document.get("defaults", {}).get("request", {}), REQUEST, f"{path.name}, defaults, request")
    known(document.get("refused", {}), {"query", "rows"}, f"{path.name}, refused")
    for name, case in document["case"].items():
        where = f"{path.name}, {name}"
        known(case, CASE, where)
        for line in [case, *(line for line in case.get("stream", []) if isinstance(line, dict))]:
            known(line.get("request", {}), REQUEST, where)
        for line in case.get("stream", []):
            known(line if isinstance(line, dict) else {}, LINE, where)
        for reply in case.get("replies", []):
            known(reply if isinstance(reply, dict) else {}, REPLY, where)
    return document


@functools.cache
def common(name):
    return tomllib.loads((CASES / "common" / f"{name}.toml").read_text())


def known(table, words, where):
    if unknown := set(table) - words:
        raise ValueError(f"{where}: {', '.join(sorted(unknown))} has no meaning here")


def at(now, value):
    """A value with its relative times and repeated letters expanded."""
    if isinstance(value, dict):
        return {key: at(now, item) for key, item in value.items()}
    if isinstance(value, list):
        return [at(now, item) for item in value]
    if not isinstance(value, str):
        return value

    def instant(found):
        kind, count, unit = found.groups()
        moment = now + timedelta(**{UNITS[unit]: int(count)}) if count else now
        if kind == "today":
            return moment.strftime("%Y-%m-%d")
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return REPEATED.sub(lambda found: int(found[1]) * found[2], TIME.sub(instant, value))


def names():
    """Every case as (handler, name)."""
    return [(handler, name) for handler in handlers() for name in file(handler)["case"]]


def facts(handler, name, now):
    """The keys of a case, merged over the defaults of its file. Tables are merged; everything else is replaced."""
    document = at(now, file(handler))
    defaults, own = document.get("defaults", {}), document["case"][name]
    joined = {"handler": handler, **defaults, **own, "settings": {**defaults.get("settings", {}), **own.get("settings", {})}}
    # Only a case with a request sends an envelope. The request defaults of the file are then part of it.
    if "request" in own or any("request" in line for line in own.get("stream", []) if isinstance(line, dict)):
        joined["request"] = {**defaults.get("request", {}), **own.get("request", {})}
    else:
        joined.pop("request", None)
    return joined, own, document
