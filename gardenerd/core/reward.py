"""What a user's verdict on an answer is worth, as one number. Pure."""

from __future__ import annotations

import difflib
from typing import Literal

from gardenerd.core.words import words

_MAX_TOKENS = 2_000  # comparing takes quadratic time

WEAK = 0.5
"""What a verdict is worth that nobody gave: it was read from what became of the answer."""


def reward(
    verdict: Literal["good", "bad"],
    answer: str,
    correction: str | None = None,
    *,
    weak: bool = False,
) -> float:
    """The reward of an answer, from -1 (wrong) to +1 (right).

    Without a correction: +1 for good, -1 for bad. With one: 2s - 1, where s is the share of
    words and signs that answer and correction have in common, in
    order; but never above 0 if the verdict is bad, nor below 0 if it is good. Half of that if the
    verdict is weak.
    """
    worth = WEAK if weak else 1.0
    if correction is None:
        return worth if verdict == "good" else -worth
    value = worth * (2 * similarity(answer, correction) - 1)
    return max(value, 0.0) if verdict == "good" else min(value, 0.0)


def similarity(one: str, other: str) -> float:
    """The share of words and signs in common, in order: 0 to 1. The first 2,000 are compared."""
    first, second = words(one)[:_MAX_TOKENS], words(other)[:_MAX_TOKENS]
    if not first and not second:
        return 1.0
    return difflib.SequenceMatcher(None, first, second, autojunk=False).ratio()
