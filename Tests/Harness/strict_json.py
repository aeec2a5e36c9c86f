"""A second implementation of the product's JSON rules: Python's own parser with stricter rules added."""

import json

DEPTH = 32


class Refused(ValueError):
    """The document is invalid, or valid JSON that the product rejects."""


class Number(str):
    """A number by its own text: 1.0, 1.00 and 1e0 are three different numbers."""


class Members(tuple):
    """An object: its names and values in their order."""


def read(document):
    """The value of one document in UTF-8 bytes. Numbers keep their text, objects their order."""
    try:
        text = document.decode("utf-8", "strict")
        if text.startswith("\ufeff"):
            raise Refused("a byte order mark")
        value = json.loads(text, object_pairs_hook=_members, parse_int=_number, parse_float=_number, parse_constant=_constant)
        _look(value, 1)
    except (ValueError, RecursionError) as error:
        raise Refused(str(error)) from None
    return value


def depth(value):
    if isinstance(value, (list, Members)):
        items = [item for _, item in value] if isinstance(value, Members) else value
        return 1 + max(map(depth, items), default=0)
    return 0


def _members(pairs):
    if len({key for key, _ in pairs}) < len(pairs):
        raise Refused("a name occurs twice")
    return Members(pairs)


def _number(text):
    _, exponent, digits = text.lower().partition("e")
    if exponent and (len(digits.lstrip("+-")) > 2 or len(text) > 40):
        raise Refused("a number out of range")
    if len(text) > 150:
        raise Refused("a number of too many digits")
    return Number(text)


def _constant(text):
    raise Refused(f"{text} is not JSON")


def _look(value, level):
    """Checks what Python accepts: excessive depth, NUL, a lone surrogate."""
    if isinstance(value, (list, Members)):
        if level > DEPTH:
            raise Refused("nesting is too deep")
        for item in value:
            if isinstance(value, Members):
                _look(item[0], level + 1)
                item = item[1]
            _look(item, level + 1)
    elif type(value) is str and any(scalar == "\0" or "\ud800" <= scalar <= "\udfff" for scalar in value):
        raise Refused("a NUL or a lone surrogate")


def same(one, other):
    """Equal in type, text and order. `True == 1` and `"1" == Number("1")` are not equal here."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other
