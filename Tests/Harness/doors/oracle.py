"""Sends every request of the file through a door, and compares."""


from case_run import text_matches
from doors.door import ORIGIN
from doors.entries import filled
from doors.rules import comparable


def suits(entry, door):
    """True if the door can be asked this. What it lacks is said by the entry, and is the business of its caller."""
    return {None: True, "routes": door.routes, "limits": door.limits, "http": door.outer is None and door.routes}[entry.needs]


def answers(door, entries):
    """The request and the reply of each entry by its name, sent in their order."""
    saved, answered = {}, {}
    for entry in entries:
        if not suits(entry, door):
            continue
        request = entry.request(saved)
        reply = door.send(request)
        answered[entry.name] = request, reply
        if entry.save and reply.status < 300:
            saved |= entry.saves(reply)
    return answered


def unexpected(entry, reply, answered):
    """What a reply of the reference has other than the entry expects, a line for each."""
    if reply.status != entry.status:
        yield f"status {reply.status}, expected {entry.status}: {reply.body[:300]!r}"
    document = reply.document
    if entry.code and (document or {}).get("code") != entry.code:
        yield f"code {(document or {}).get('code')}, expected {entry.code}"
    if entry.errors:
        found = [f"{error['path']}: {error['code']}" for error in (document or {}).get("details", [])]
        if found != entry.errors:
            yield f"details {found}, expected {entry.errors}"
    for path, value in (entry.reply or {}).items():
        found = member(document, path)
        if value != found and not (isinstance(value, str) and found is not None and text_matches(value, str(found))):
            yield f"{path} is {found!r}, expected {value!r}"
    for name, value in (entry.has or {}).items():
        value, found = filled(value, {"origin": ORIGIN}), reply.header(name)
        if found is None or not text_matches(value, found):
            yield f"{name} is {found!r}, expected {value!r}"
    yield from (f"{name} is {reply.header(name)!r}, expected none" for name in entry.absent or [] if reply.header(name) is not None)
    if entry.empty and reply.body:
        yield f"a body: {reply.body[:100]!r}"
    if entry.like:
        _, other = answered[entry.like]
        if (reply.status, reply.header("content-type"), reply.header("content-length")) != (
                other.status, other.header("content-type"), other.header("content-length")):
            yield f"not like {entry.like}: {reply.headers} and {other.headers}"


def member(document, path):
    for word in path.split("."):
        if isinstance(document, dict):
            document = document.get(word)
        elif isinstance(document, list) and word.isdigit() and int(word) < len(document):
            document = document[int(word)]
        else:
            return None
    return document


def differences(entry, door, asked, reference, given):
    """What the reply of a door has other than the reference, a line for each."""
    own = entry.answered_by(door)
    if own is not None:
        if given.status != own:
            yield f"status {given.status}, expected {own} because of {door.outer}"
        return
    if given.status != reference.status:
        yield f"status {given.status}, the reference has {reference.status}: {given.body[:300]!r}"
        return
    wanted, found = comparable(reference, asked, door), comparable(given, asked, door)
    for name in sorted({name for name, _ in wanted.headers} ^ {name for name, _ in found.headers} | {
            name for name, value in set(wanted.headers) ^ set(found.headers)}):
        one, other = found.header(name), wanted.header(name)
        if one != other:
            yield f"{name} is {one!r}, the reference has {other!r}"
    if wanted.body != found.body:
        at = next((n for n, (a, b) in enumerate(zip(wanted.body, found.body, strict=False)) if a != b), min(len(wanted.body), len(found.body)))
        start = max(0, at - 60)
        yield f"body from byte {start}: {found.body[start:at + 100]!r}, the reference has {wanted.body[start:at + 100]!r}"


def table(found):
    """A readable table of (entry, lines)."""
    width = max((len(name) for name, _ in found), default=0)
    rows = [f"{name if first else '':{width}}  {line}" for name, lines in found for first, line in zip([True] + [False] * len(lines), lines, strict=False)]
    return "\n".join([f"{len(found)} entries differ", *rows])
