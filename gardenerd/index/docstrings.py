"""Docstrings and leading comments as plain text."""

from __future__ import annotations

import inspect
import re

_MAX_DOCSTRING = 2_000


def clean_docstring(literal: str) -> str:
    """The text of a Python string literal, dedented."""
    text = re.sub(r"^[rRbBuUfF]{0,2}", "", literal[: 2 * _MAX_DOCSTRING])
    for quote in ('"""', "'''", '"', "'"):
        if text.startswith(quote):
            text = text.removeprefix(quote).removesuffix(quote)
            break
    return inspect.cleandoc(text)[:_MAX_DOCSTRING].strip()


_COMMENT_EDGE = re.compile(
    r"^\s*(?:///?!?|/\*[*!]?|\*/|\*(?!/)|\#(?!\[)|--(?!-))?[ \t]?|\*/\s*$", re.M
)
_ATTRIBUTE = re.compile(r"^\s*(?:#!?\[|@\w)")


def clean_comment(text: str) -> str:
    """A comment without its marks; attributes and decorators between are left out."""
    lines = [line for line in text[: 2 * _MAX_DOCSTRING].split("\n") if not _ATTRIBUTE.match(line)]
    cleaned = "\n".join(_COMMENT_EDGE.sub("", line).rstrip() for line in lines)
    return cleaned.strip()[:_MAX_DOCSTRING]
