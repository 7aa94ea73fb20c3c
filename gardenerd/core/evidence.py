"""Evidence by betting: is one model better than another, on code that neither was trained on? Pure.

Each day on which code was written is one bet: the mean gain on that day's code, in bits per byte.
Five bettors stake a fraction of what they have; if there is no gain, the mean of their wealth is
expected to stay at 1, so it ever reaches 20 with a chance of one in twenty at most, however often
one looks (Ville's inequality; Waudby-Smith and Ramdas, 2024, for bets on a bounded mean). A day is
one bet and not its files, because files of one day share what happened that day.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

SCALE = 0.02
"""Bits per byte of gain that a bet pays in full: about what a night brings."""
FRACTIONS = (0.1, 0.2, 0.4, 0.7, 0.98)
"""Of its wealth, what each bettor stakes: bold ones win on clear gains, timid ones on small."""


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One day's code under two models: those who stand for ``gain`` say which."""

    day: str
    """``2026-11-21``"""
    bytes: int
    gain: float
    """Bits per byte that the second needs less than the first; negative if it needs more."""


def wealth(gains: Iterable[float], scale: float = SCALE) -> float:
    """What one unit becomes, on the mean over the bettors, by bets on ``gains``.

    Args:
        gains: in bits per byte.
        scale: the gain that pays the full stake; more pays no more, its negative loses the stake.
    """
    clipped = [max(-1.0, min(1.0, gain / scale)) for gain in gains]
    logs = (sum(math.log1p(stake * gain) for gain in clipped) for stake in FRACTIONS)
    # Thousands of bets that agree would overflow; beyond 1e300 the figure means nothing more.
    return sum(math.exp(min(value, 690.0)) for value in logs) / len(FRACTIONS)
