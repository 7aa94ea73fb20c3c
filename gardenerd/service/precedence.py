"""Indexing stands still for the moments that a search takes.

A lower priority is not enough: what indexing does with memory and the processors' caches, and the
turns that it still gets, cost a search a quarter of its time (``python -m bench.search_latency``:
41 to 45 ms not held, 33 held, 26 at rest).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

# A search that takes longer waits for something else: for its worker to start, or for a full text.
_LONGEST_SECONDS = 0.25
# Of the time in which searches come one after the other, indexing is held for four fifths.
_EARNED = 4.0
_MOST_SECONDS = 1.0


class Held(Protocol):
    """A worker that can be stopped where it stands."""

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...


class Allowance:
    """How long indexing may be held: what it ran since, four times over, but never over a second.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = _MOST_SECONDS
        self._since = clock()

    def begin(self) -> float:
        """Seconds for which it may be held from now on; 0 if it must run."""
        now = self._clock()
        self._left = min(_MOST_SECONDS, self._left + _EARNED * (now - self._since))
        self._since = now
        return min(self._left, _LONGEST_SECONDS) if self._left >= _LONGEST_SECONDS / 2 else 0.0

    def end(self) -> None:
        """It was held since :meth:`begin`."""
        now = self._clock()
        self._left -= now - self._since
        self._since = now


class Precedence:
    """Holds ``worker`` while searches run. For the event loop's thread.

    Several searches at once hold it together, until the last is done or the allowance is spent.
    """

    def __init__(self, worker: Held) -> None:
        self._worker = worker
        self._allowance = Allowance()
        self._searches = 0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def taken(self) -> Generator[None]:
        """Within this context a search runs."""
        self._searches += 1
        if self._searches == 1 and (seconds := self._allowance.begin()):
            self._worker.freeze()
            self._timer = asyncio.get_running_loop().call_later(seconds, self._let_go)
        try:
            yield
        finally:
            self._searches -= 1
            if not self._searches:
                self._let_go()

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._worker.thaw()
            self._allowance.end()
