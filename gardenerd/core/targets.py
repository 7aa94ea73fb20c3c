"""What feedback asks to be learned: accepted and corrected answers, never rejected ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from gardenerd.core.words import words

Verdict = Literal["good", "bad"]


class Judgement(msgspec.Struct, kw_only=True, frozen=True):
    """One piece of feedback, with the answer that it judges."""

    id: int
    answer: str
    question: str
    text: str
    op: str
    verdict: Verdict
    correction: str | None
    weak: bool
    """Nobody gave it: it was read from what became of the answer in the code."""
    adapter: str | None
    """Which wrote the answer; None: the base."""
    created: float
    """When it was given, in seconds since the epoch."""


def targets(judgements: Iterable[Judgement]) -> list[tuple[Judgement, str]]:
    """The judgements that something is to be learned from, each with the text to learn.

    Of an answer the last judgement counts. A text that was rejected is none of them, though it
    came back as another answer or as a correction, unless somebody took to it later. What a
    person said of a text outweighs what was read from the code.

    Args:
        judgements: all of a project's, oldest first.
    """
    last: dict[str, Judgement] = {}
    for judged in sorted(judgements, key=lambda judged: not judged.weak):
        last.pop(judged.answer, None)  # so that the order stays that of speaking, people last
        last[judged.answer] = judged
    said: dict[tuple[str, ...], Verdict] = {}
    for judged in last.values():
        said[_key(judged.text)] = judged.verdict
        if judged.correction:
            said[_key(judged.correction)] = "good"
    wanted = [
        (judged, judged.correction or (judged.text if judged.verdict == "good" else ""))
        for judged in last.values()
    ]
    return [(judged, text) for judged, text in wanted if text and said[_key(text)] == "good"]


def _key(text: str) -> tuple[str, ...]:
    return tuple(words(text))
