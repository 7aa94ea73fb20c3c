"""Whose turn is it? Several projects share a machine, and one run is under way at a time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_FIRST_WAIT = 15 * 60.0
_LONGEST_WAIT = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A project that would learn."""

    project: str
    new_examples: int
    last_ended: float | None = None
    """Its last run, in seconds since the epoch; None before the first."""
    failures: int = 0
    """Runs that failed since one did not."""


@dataclass(frozen=True, slots=True)
class Turn:
    project: str
    """Empty if there is no project."""
    new_examples: int
    reason: str = ""
    """Why it must wait although it has enough; empty if it need not."""


def next_turn(waiting: Sequence[Waiting], minimum: int, now: float) -> Turn:
    """Of the projects with enough new examples, the one whose last run is longest ago.

    A project whose runs fail waits a quarter of an hour, then twice as long each time, up to a day,
    and meanwhile holds up no other. Without one that has enough: the one that has most.
    """
    enough = [each for each in waiting if each.new_examples >= minimum]
    due = [each for each in enough if now >= _due(each)]
    if due:
        first = min(due, key=lambda each: (each.last_ended or 0.0, -each.new_examples))
        return Turn(first.project, first.new_examples)
    if enough:
        first = min(enough, key=_due)
        minutes = max(1, round((_due(first) - now) / 60))
        return Turn(
            first.project,
            first.new_examples,
            f"the last run did not end well; the next is tried in {minutes} min",
        )
    most = max(waiting, key=lambda each: each.new_examples, default=None)
    return Turn("", 0) if most is None else Turn(most.project, most.new_examples)


def _due(each: Waiting) -> float:
    if not each.failures or each.last_ended is None:
        return 0.0
    wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(each.failures - 1, 10))
    return each.last_ended + wait
