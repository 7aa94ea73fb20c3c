"""Who waits for the end of a run, and who wants to see how it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gardenerd.errors import CancelledError, GardenerError, RefusedError

Body = dict[str, Any]


class Following:
    """The runs under way, and who follows them; all of it on the event loop's thread."""

    def __init__(self) -> None:
        self._ends: dict[str, asyncio.Future[Body]] = {}
        self._followers: dict[str, list[Callable[[Body], None]]] = {}

    def begin(self, run: str) -> None:
        """From now on ``run`` can be waited for."""
        self._ends[run] = asyncio.get_running_loop().create_future()

    def knows(self, run: str) -> bool:
        """Whether it can be waited for."""
        return run in self._ends

    async def result(self, run: str, on_progress: Callable[[Body], None] | None = None) -> Body:
        """Wait for the end of ``run`` and give what it came to.

        Raises:
            RefusedError: it is not under way.
            CancelledError: the daemon stops.
        """
        if run not in self._ends:
            raise RefusedError(f"run {run} is not under way", hint="see `gardenerctl history`")
        followers = self._followers.setdefault(run, [])
        if on_progress is not None:
            followers.append(on_progress)
        try:
            return await asyncio.shield(self._ends[run])
        finally:
            if on_progress is not None:
                followers.remove(on_progress)

    def show(self, run: str, progress: Body) -> None:
        """Tell those who follow it."""
        for follower in self._followers.get(run, []):
            follower(progress)

    def end(self, run: str, result: Body) -> None:
        """Nobody waits any longer."""
        self._followers.pop(run, None)
        waiter = self._ends.pop(run, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(result)

    def fail(self, run: str, error: GardenerError) -> None:
        """Those who wait for it are told what went wrong."""
        self._followers.pop(run, None)
        waiter = self._ends.pop(run, None)
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
            waiter.exception()  # a waiter that nobody awaits is no defect

    def close(self) -> None:
        """Those who still wait are told that the daemon stops."""
        for waiter in self._ends.values():
            if not waiter.done():
                waiter.set_exception(CancelledError("the daemon is stopping"))
                waiter.exception()  # a waiter that nobody awaits is no defect
