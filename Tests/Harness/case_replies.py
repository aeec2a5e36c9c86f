"""The expected stdout of a case and the exit status that follows from it."""

import json
from functools import reduce

import case_requests

TITLES = {
    400: "Invalid request", 401: "Unauthorized", 403: "Forbidden", 404: "Not found", 409: "Conflict", 413: "Request too large",
    415: "Unsupported media type", 422: "Idempotency key reused", 500: "Internal server error", 503: "Service unavailable",
    504: "Gateway timeout"}
PROBLEM_HEADERS = {401: {"www-authenticate": 'Bearer realm="leadpipe"'}, 503: {"retry-after": "2"}}
REPLY = {"reply", "reply_with", "reply_without", "passes", "problem", "errors"}


def exit_status(status):
    """The exit status of a reply, from the table in the contract."""
    if status < 400:
        return 0
    if status in (401, 403):
        return 77
    if status in (408, 425, 429, 503, 504):
        return 75
    return 70 if status >= 500 else 65


def changed(document, changes, absent):
    """A document with some members set and others removed, each by its path: `conversation.leadScore`."""
    made = json.loads(json.dumps(document))
    for path, value in changes.items():
        *parents, member = path.split(".")
        reduce(dict.__getitem__, parents, made)[member] = value
    for path in absent:
        *parents, member = path.split(".")
        del reduce(dict.__getitem__, parents, made)[member]
    return made


def field_error(text):
    """`path: code` as an entry of a problem's details."""
    path, _, code = text.rpartition(": ")
    return {"path": path, "code": code, "message": "<any>"}


def problem_document(code, title, status, errors, request_id):
    """An RFC 9457 problem. Its texts may be reworded; the unit tests compare them with the catalogue."""
    made = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": "<any>", "requestId": request_id, "error": title}
    return {**made, "details": [field_error(text) for text in errors]} if errors else made


def problem(reply, status, request_id):
    """The expected problem: a code, or the errors of single fields."""
    errors = reply.get("errors", [])
    made = problem_document("invalid_fields" if errors else reply["problem"], TITLES[status], status, errors, request_id)
    # Same as the header retry-after.
    is_retried = status == 503 and reply["problem"] != "admin_not_configured"
    return {**made, "retryAfterSeconds": "<any>"} if is_retried else made


def wrong_settings(texts):
    """The problem of settings that are missing or wrong: all of them at once, by name."""
    return {"problem": problem_document("misconfigured", "A setting is missing or wrong", 500, texts, "<uuid>")}


def is_problem(reply):
    return "problem" in reply or "errors" in reply


def reply_of(case, own):
    """The expected reply of a case or of a line of its stream, merged over the default reply of the file."""
    said = {word: own[word] for word in REPLY | {"status", "reply_headers"} if word in own}
    if is_problem(said):
        return {"status": 400, **said}
    default = {word: case[word] for word in ("status", "reply", "passes", "reply_headers") if word in case}
    if said.keys() & REPLY - {"reply_with", "reply_without"}:
        default = {word: default[word] for word in default if word not in REPLY}
    return {"status": 200, **default, **said}


def body(reply, given, request_id):
    """The document of a reply."""
    if is_problem(reply):
        return problem(reply, reply["status"], request_id)
    if not reply.keys() & {"passes", "reply"}:
        raise ValueError("a case needs one of writes, reply, passes, problem or errors")
    made = {**json.loads(given), **json.loads(reply["passes"])} if "passes" in reply else json.loads(reply["reply"]) if reply["reply"] else ""
    return changed(made, json.loads(reply.get("reply_with", "{}")), reply.get("reply_without", []))


def ordinary_headers(status, problematic, empty, case):
    """The headers that every reply of this kind has."""
    if problematic:
        return {"content-type": "application/problem+json", **PROBLEM_HEADERS.get(status, {})}
    headers = {} if empty else {"content-type": "application/json"}
    return {**headers, "cache-control": "no-store"} if case_requests.is_admin(case) else headers


def line(reply, given, case):
    """One line of stdout: the bare reply, or its envelope if an envelope was sent."""
    enveloped = is_envelope(given)
    made = body(reply, given, json.loads(given)["requestContext"]["requestId"] if enveloped else "<uuid>")
    if not enveloped and is_problem(reply):
        # In a stream, the problem of a bare line has the line's number.
        return {"problem": {**made, "line": "<any>"} if "stream" in case else made}
    if not enveloped:
        return made
    headers = {**ordinary_headers(reply["status"], is_problem(reply), made == "", case), **reply.get("reply_headers", {})}
    envelope = {"statusCode": reply["status"], "headers": headers, "body": made, "isBase64Encoded": False}
    return {**envelope, "requestId": "<any>"} if "stream" in case else envelope


def is_envelope(given):
    try:
        return "requestContext" in json.loads(given)
    except (ValueError, TypeError, RecursionError):
        return False


def expected(case, own):
    """The expected lines of stdout and the exit status."""
    if "wrong_settings" in own:
        return [wrong_settings(own["wrong_settings"])], 78
    if "writes_program" in own:
        return list(map(json.loads, case_requests.printed(own["writes_program"]).splitlines())), 0
    if "writes" in own or ("writes" in case and not own.keys() & (REPLY | {"replies"})):
        return [json.loads(text) for text in case["writes"]], 0
    given = case_requests.lines(case)
    if "replies" in own:
        replies = [{"reply": each} if isinstance(each, str) else each for each in own["replies"]]
        if len(replies) != len(given):
            raise ValueError(f"{len(given)} lines are sent, but {len(replies)} replies are expected")
    else:
        replies = [own] * len(given)
    replies = [reply_of(case, each) for each in replies]
    failures = [reply["status"] for reply in replies if reply["status"] >= 400]
    return [line(reply, text, case) for reply, text in zip(replies, given, strict=True)], exit_status(failures[0]) if failures else 0
