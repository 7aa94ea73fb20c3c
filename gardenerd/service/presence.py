"""What the pace is decided on: the user, the machine, the hour."""

from __future__ import annotations

import asyncio
import os
import time

from gardenerd.core.pace import Facts
from gardenerd.host import Host, Load, free_memory_mb
from gardenerd.store.activity import Activity


class Presence:
    """Knows the host, and when its user last did something that gardener saw."""

    def __init__(self, host: Host, activity: Activity) -> None:
        self._host = host
        self._activity = activity
        self._load = Load()
        self._touched: float | None = None

    def touch(self) -> None:
        """The user asked something or changed a file: whatever the host knows, they are here."""
        self._touched = time.monotonic()
        local = time.localtime()
        self._activity.note(time.strftime("%Y-%m-%d", local), local.tm_hour, local.tm_min)

    async def facts(
        self, new_examples: int | None, paused_until: float | None, own: set[int]
    ) -> Facts:
        """Look at everything now.

        Args:
            new_examples: None asks for a run that is under way.
            own: process ids of gardener's workers, whose work does not count as others'.
        """
        idle, power, hot = await asyncio.gather(
            self._host.idle_seconds(), self._host.power(), self._host.hot()
        )
        if self._touched is not None:
            since = time.monotonic() - self._touched
            idle = since if idle is None else min(idle, since)
        local = time.localtime()
        activity, days = self._activity.by_hour()
        return Facts(
            activity=tuple(activity),
            active_days=days,
            minute=local.tm_hour * 60 + local.tm_min,
            now=time.time(),
            idle_seconds=idle,
            on_battery=power.on_battery,
            hot=hot,
            free_memory_mb=free_memory_mb(),
            busy=self._load.others({os.getpid(), *own}),
            new_examples=new_examples or 0,
            paused_until=paused_until,
            running=new_examples is None,
        )
