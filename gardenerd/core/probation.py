"""Is what serves worse than what it replaced, or than the base? Pure.

An adapter is on probation for two weeks: the gate's test goes on, reversed, and so does the same
test on what its readers say. And the base is a contender for good: an adapter that has become worse
than no adapter leaves.
"""

from __future__ import annotations

from collections.abc import Sequence

from gardenerd.core.evidence import Day, wealth

SECONDS = 14 * 86_400.0
"""How long an adapter is compared with the one that it replaced."""
BAR = 10.0
"""Evidence that rolls back: less than promotes, since going back costs little."""


def overtaken(days: Sequence[Day]) -> bool:
    """Whether what serves is proven worse; each ``gain`` is its own over its rival."""
    return wealth(-day.gain for day in days) >= BAR


MARGIN = 0.25
"""Of reward, by which an adapter may please less than what served before: tastes vary by day."""
_PRIOR = 4.0
"""Rewards of 0 that are added to those of what served before, of which there may be few."""
_WIDEST = 2.0  # between the best reward and the worst


def disliked(own: Sequence[float], before: Sequence[float]) -> bool:
    """Whether what serves is proven to please less than what served before.

    Args:
        own: the rewards of its answers, each from -1 to +1, in order.
        before: those of the answers of what it replaced, and of the base.
    """
    expected = sum(before) / (len(before) + _PRIOR) - MARGIN
    return wealth((expected - reward for reward in own), scale=_WIDEST) >= BAR
