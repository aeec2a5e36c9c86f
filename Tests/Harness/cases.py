"""A case of Tests/Cases in the form that the runner needs: defaults filled in, relative times expanded."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import case_descriptions
import case_files
import case_replies
import case_requests

names = case_files.names
handlers = case_files.handlers


@dataclass
class Case:
    """One run of a handler and its expected result."""

    handler: str
    arguments: list
    stdin: bytes
    settings: dict
    database: bool
    before: str
    exit: int = 0
    writes: list = field(default_factory=list)
    log: list = field(default_factory=list)
    after: list = field(default_factory=list)
    required: list | None = None


def given(facts, document, now):
    """The run of a case, without expectations."""
    if "describe" in facts:
        return Case(facts["handler"], ["--describe"], b"", {}, False, "")
    arguments = facts.get("arguments", ["--stream"] if "stream" in facts or "program" in facts else [])
    settings = dict(facts["settings"])
    if "channels" in facts:
        settings["LEADPIPE_CHANNELS"] = channels(facts["channels"])
    if "request" in facts and case_requests.is_admin(facts):
        settings.setdefault("ADMIN_API_KEY", case_requests.ADMIN_KEY)
    database = facts.get("database", True) and "DATABASE_URL" not in settings
    return Case(facts["handler"], arguments, case_requests.stdin(facts), settings, database, before(facts, document, now))


def case(handler, name):
    """The case, with its times relative to now."""
    now = datetime.now(UTC)
    facts, own, document = case_files.facts(handler, name, now)
    made = given(facts, document, now)
    if "describe" in own:
        made.writes, made.required = [case_descriptions.expected(handler, own["describe"])], own["describe"].get("required", [])
        return made
    made.writes, status = case_replies.expected(facts, own)
    made.exit, made.log = own.get("exit", status), own.get("log", [])
    made.after = after(facts, own, document, made, status)
    return made


def channels(texts):
    """LEADPIPE_CHANNELS from `channel:recipient` pairs."""
    pairs = (text.partition(":") for text in texts)
    return "[" + ",".join(f'{{"channel":"{channel}","recipient":"{recipient}"}}' for channel, _, recipient in pairs) + "]"


def before(facts, document, now):
    """The SQL to run first: entries of the file's [setup], of common/setup.toml, or SQL of the case itself."""
    pieces = {**case_files.at(now, case_files.common("setup")), **document.get("setup", {})}
    return "\n".join(pieces.get(piece, piece).strip("\n") for piece in facts.get("before", []))


def after(facts, own, document, made, status):
    """The database checks: those of the case, or those that the file has for every rejected request."""
    queries = document.get("queries", {})
    if "rows" in own:
        return [(queries.get(facts["query"], facts["query"]), own["rows"].strip("\n"))]
    if "query" in own:
        raise ValueError("`query` needs `rows`: without them it checks nothing")
    if status and made.database and "refused" in document:
        return [(document["refused"]["query"], document["refused"]["rows"])]
    return []
