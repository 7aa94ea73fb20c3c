"""Bracket expressions of ignore patterns, as in git's ``wildmatch.c``.

pathspec hands them to Python's ``re`` as they stand, which knows neither ``[:alpha:]`` nor
``\\]`` in them and lets ``[!a]`` match a slash. So they travel through it as placeholders.
"""

from __future__ import annotations

# Characters of a private use plane: pathspec leaves them alone, and no rule file (read as Latin-1)
# holds one.
_FIRST = 0xF0000
_NEVER = "(?!)"
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "\\x21-\\x7e",
    "lower": "a-z",
    "print": "\\x20-\\x7e",
    "punct": "\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e",
    "space": " \\t-\\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


def take_out(pattern: str) -> tuple[str, list[str]] | None:
    """Replace each bracket expression by a placeholder; None if the pattern can match nothing.

    The second part holds, for each placeholder, the regular expression that it stands for.
    """
    result: list[str] = []
    expressions: list[str] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            if position + 1 == len(pattern):
                return None
            result.append(pattern[position : position + 2])
            position += 2
        elif char == "[":
            found = _expression(pattern, position + 1)
            if found is None:
                return None
            expression, position = found
            result.append(chr(_FIRST + len(expressions)))
            expressions.append(expression)
        else:
            result.append(char)
            position += 1
    return "".join(result), expressions


def put_back(regex: str, expressions: list[str]) -> str:
    """Replace the placeholders in a regular expression by what they stand for."""
    for number, expression in enumerate(expressions):
        regex = regex.replace(chr(_FIRST + number), expression)
    return regex


def _expression(pattern: str, position: int) -> tuple[str, int] | None:
    """The regular expression for the brackets opened before ``position``, and where they end."""
    negated = position < len(pattern) and pattern[position] in "!^"
    position += negated
    members: list[str] = []
    first = True
    previous: str | None = None  # what a range may start from
    while True:
        if position >= len(pattern):
            return None  # never closed
        char = pattern[position]
        if char == "]" and not first:
            break
        first = False
        if char == "[" and pattern[position + 1 : position + 2] == ":":
            end = pattern.find("]", position + 2)
            if end < 0:
                return None
            if end > position + 2 and pattern[end - 1] == ":":
                name = pattern[position + 2 : end - 1]
                if name not in _CLASSES:
                    return None
                members.append(_CLASSES[name])
                previous, position = None, end + 1
                continue
        if char == "-" and previous is not None and pattern[position + 1 : position + 2] not in "]":
            high, position = _one(pattern, position + 1)
            if high is None:
                return None
            if previous <= high:
                members.append(f"{_quoted(previous)}-{_quoted(high)}")
            previous = None
            continue
        one, position = _one(pattern, position)
        if one is None:
            return None
        members.append(_quoted(one))
        previous = one
    inside = "".join(members)
    if negated:
        return f"[^/{inside}]", position + 1
    return (f"(?:(?!/)[{inside}])" if inside else _NEVER), position + 1


def _one(pattern: str, position: int) -> tuple[str | None, int]:
    if pattern[position] != "\\":
        return pattern[position], position + 1
    if position + 1 >= len(pattern):
        return None, position
    return pattern[position + 1], position + 2


def _quoted(char: str) -> str:
    return f"\\x{ord(char):02x}"
