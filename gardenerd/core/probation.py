"""Is what serves worse than what it replaced, or than the base? Pure.

An adapter is on probation for two weeks: the gate's test goes on, reversed. And the base is a
contender for good: an adapter that has become worse than no adapter leaves.
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
