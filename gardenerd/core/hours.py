"""In which hours does this user work least? Four of the day, from four weeks of counts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gardenerd.settings import Loop, parse_window

LEARNED = "learned"
"""As ``loop.window``."""
DEFAULT = (2 * 60, 6 * 60)
"""Minutes since midnight; until enough is known."""
WEEKS = 4
LEAST_DAYS = 7
"""With something done; of fewer nothing is said."""
_LENGTH = 4
_DAY = 24


def window(settings: Loop, counts: Sequence[int], days: int) -> tuple[int, int] | None:
    """The window in minutes since midnight, as it is set or as it was learned; None: there is none.

    Args:
        counts: by hour of the day, 24, in how many minutes the user did something.
        days: on how many days they did anything.
    """
    if settings.window != LEARNED:
        return parse_window(settings.window) if settings.window else None
    return quietest(counts) if days >= LEAST_DAYS else DEFAULT


def words(settings: Loop, window: tuple[int, int] | None, days: int) -> str:
    """``the window 02:00-06:00``, or what it was learned to be in so many days."""
    if window is None:
        return ""
    span = "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in window)
    if settings.window != LEARNED:
        return f"the window {span}"
    if days < LEAST_DAYS:
        return f"the hours {span} (yours are known after {LEAST_DAYS} days of use)"
    return f"the hours {span}, your quietest"


def quietest(counts: Sequence[int]) -> tuple[int, int]:
    """The four hours in a row with the least activity; of equal ones that nearest to two o'clock.

    Quiet around it counts too, a hundredth: in the middle of a quiet night nobody is expected.
    """

    def cost(first: int) -> tuple[float, int]:
        inside = sum(counts[(first + i) % _DAY] for i in range(_LENGTH))
        beside = counts[(first - 1) % _DAY] + counts[(first + _LENGTH) % _DAY]
        away = abs((first - DEFAULT[0] // 60 + _DAY // 2) % _DAY - _DAY // 2)
        return inside + beside / 100, away

    first = min(range(_DAY), key=cost)
    return first * 60, (first + _LENGTH) % _DAY * 60
