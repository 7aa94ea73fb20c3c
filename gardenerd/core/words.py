"""What texts are compared by: their words and signs, white space aside. Pure."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Words, and each other sign by itself, in order."""
    return _WORD.findall(text)
