"""May a run start, or go on? The user, the machine, the hour and the settings say so."""

from __future__ import annotations

import time
from dataclasses import replace

from gardenerd.core import hours
from gardenerd.core.pace import Verdict, in_window, may_train
from gardenerd.service.presence import Presence
from gardenerd.settings import Loop
from gardenerd.store.stores import Stores

_PAUSED_UNTIL = "paused_until"
# When the machine was last awake in a window; written this often while it is.
_AWAKE = "awake_in_window"
_AWAKE_SECONDS = 600.0


class Pacing:
    """Asks :mod:`gardenerd.core.pace` with what is known now; a pause outlives a restart."""

    def __init__(self, presence: Presence, settings: Loop, stores: Stores) -> None:
        self._presence = presence
        self._settings = settings
        self._stores = stores

    def touch(self) -> None:
        """The user did something."""
        self._presence.touch()

    @property
    def paused_until(self) -> float | None:
        """Seconds since the epoch, ``inf`` until resumed, None when not paused."""
        value = self._stores.meta.get(_PAUSED_UNTIL)
        if value is None:
            return None
        return float("inf") if value == "forever" else float(value)

    def pause(self, seconds: float | None) -> None:
        """Until resumed, or for ``seconds``."""
        until = None if seconds is None else time.time() + seconds
        self._stores.meta.set(_PAUSED_UNTIL, "forever" if until is None else repr(until))

    def resume(self) -> None:
        self._stores.meta.set(_PAUSED_UNTIL, None)

    async def verdict(self, new_examples: int | None, own: set[int]) -> Verdict:
        """May a run with so many new examples start? None asks whether one may go on.

        Args:
            own: process ids of gardener's workers, whose work does not count as others'.
        """
        facts = await self._presence.facts(new_examples, self.paused_until, own)
        window = hours.window(self._settings, facts.activity, facts.active_days)
        awake = float(self._stores.meta.get(_AWAKE) or 0.0)
        if window is not None and in_window(facts.minute, window):
            if facts.now - awake > _AWAKE_SECONDS:
                self._stores.meta.set(_AWAKE, repr(facts.now))
            awake = facts.now
        since = min((project.added for project in self._stores.projects.all()), default=None)
        facts = replace(facts, tending_since=since, awake_in_window=awake)
        return may_train(facts, self._settings)
