"""What became of a completion: taken as it was, edited, or left. Pure.

Nobody is asked: the code is looked at, near the place where the completion was given, when the file
has changed. What stood there before tells nothing, so only a rise in likeness counts.
"""

from __future__ import annotations

import difflib
from typing import Literal

import msgspec

from gardenerd.core.words import words

LEAST_CHARACTERS = 24
"""White space aside; a shorter one stands in the code by chance."""
AROUND = 40
"""Lines above and below, within which it is looked for: the code above it may have grown."""
TAKEN = 0.97
EDITED = 0.6
"""Likeness, the share of words in common, from which it counts as edited, not as left."""
RISE = 0.2
"""... by at least so much more than when it was given."""
LEFT_AFTER_S = 86_400.0
"""Before, somebody may still be at it."""

_MOST_WORDS = 400


class Fate(msgspec.Struct, frozen=True):
    """What became of a completion."""

    what: Literal["taken", "edited", "left"]
    text: str
    """As it stands in the code now; empty if it was left."""


def likeness(suggestion: str, lines: list[str], line: int) -> tuple[float, str]:
    """How much the most similar lines near ``line`` have in common with ``suggestion``, 0 to 1,
    and those lines.

    Args:
        lines: of the file, without their breaks.
        line: where it was given, from 1.
    """
    if _is_short(suggestion):
        return 0.0, ""
    wanted = words(suggestion)[:_MOST_WORDS]
    count = len([each for each in suggestion.splitlines() if each.strip()])
    matcher = difflib.SequenceMatcher(None, autojunk=False)
    matcher.set_seq2(wanted)
    best, found = 0.0, ""
    for first in range(max(0, line - 1 - AROUND), min(len(lines), line - 1 + AROUND)):
        window = lines[first : first + count]
        matcher.set_seq1(words("\n".join(window))[:_MOST_WORDS])
        if matcher.real_quick_ratio() <= best or matcher.quick_ratio() <= best:
            continue  # both are upper bounds, and cheap
        ratio = matcher.ratio()
        if ratio > best:
            best, found = ratio, "\n".join(window)
    return best, found


def fate(
    suggestion: str, before: float, lines: list[str], line: int, age_seconds: float
) -> Fate | None:
    """What became of it; None if that cannot be told yet, or ever.

    Args:
        before: its :func:`likeness` to the code when it was given.
        age_seconds: since then.
    """
    if _is_short(suggestion) or before > 1 - RISE:
        return None
    now, text = likeness(suggestion, lines, line)
    if now >= max(EDITED, before + RISE):
        return Fate("taken" if now >= TAKEN else "edited", text)
    return Fate("left", "") if age_seconds >= LEFT_AFTER_S else None


def _is_short(suggestion: str) -> bool:
    return sum(map(len, words(suggestion))) < LEAST_CHARACTERS
