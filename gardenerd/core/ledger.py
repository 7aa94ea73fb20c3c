"""What is kept of a night, and how it is told in a sentence. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

_FOLDERS = 3


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What a run learned from."""

    new: int
    """Code that no run had learned from."""
    replayed: int
    answers: int
    """From feedback."""
    files: int
    folders: list[tuple[str, int]]
    """Those that most examples came from, and how many did."""


def learned(examples: Sequence[tuple[str, str, bool]]) -> Learned:
    """Describe the examples that a run's steps came to.

    Args:
        examples: of each the path, the kind, and whether a run had learned from it before.
    """
    code = [(path, used) for path, kind, used in examples if kind != "answer"]
    folders = Counter(path.rpartition("/")[0] or "." for path, _ in code)
    return Learned(
        new=sum(not used for _, used in code),
        replayed=sum(used for _, used in code),
        answers=len(examples) - len(code),
        files=len({path for path, _ in code}),
        folders=folders.most_common(_FOLDERS),
    )


def sentence(
    *,
    outcome: str,
    version: str | None,
    reason: str,
    scores: dict[str, dict[str, float]],
    report: dict[str, Any],
) -> str:
    """A run for the morning: ``learned from 225 new examples ... in 2 min 40 s; v7 serves ...``."""
    if outcome in {"skipped", "failed", ""}:
        return f"{outcome}: {reason}" if outcome else reason
    return f"{_told(report)}; {_became(outcome, version, reason, scores)}"


def _told(report: dict[str, Any]) -> str:
    found = report.get("learned")
    if found is None:
        return "a run ended"
    parts = [f"{found['new']:,} new", f"{found['replayed']:,} replayed"]
    if found["answers"]:
        parts.append(f"{found['answers']:,} of your answers")
    where = f", most in {found['folders'][0][0]}" if found["folders"] else ""
    seconds = sum(report.get("seconds", {}).values())
    took = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    energy = report.get("joules")
    used = f" and {energy / 3600:.1f} Wh" if energy else ""
    return (
        f"learned from {' and '.join(parts)} examples of {found['files']:,} files{where}, "
        f"in {took}{used}"
    )


def _became(
    outcome: str, version: str | None, reason: str, scores: dict[str, dict[str, float]]
) -> str:
    if outcome == "promoted":
        gain = _gain(scores)
        return f"{version} serves" + (f", {gain} on held-out code" if gain else "")
    if outcome == "abstained":
        return "not proven better yet, what served goes on"
    return f"what it learned was discarded ({reason})"


def _gain(scores: dict[str, dict[str, float]]) -> str:
    """Of the mean of the project's slices."""
    own = [scores[name] for name in ("recent", "older") if name in scores]
    before = sum(score["incumbent"] for score in own)
    after = sum(score["candidate"] for score in own)
    return f"{1 - after / before:.1%} fewer bits per byte" if before else ""
