"""The machine: is the user away, is it on battery, hot, busy or short of memory?"""

from __future__ import annotations

import asyncio
import sys
from typing import Protocol

from gardenerd.host import idle, power
from gardenerd.host.load import Load, free_memory_mb, trains_in_half
from gardenerd.host.power import Power

__all__ = [
    "Host",
    "Linux",
    "Load",
    "MacOS",
    "Power",
    "free_memory_mb",
    "this_host",
    "trains_in_half",
]


class Host(Protocol):
    """What differs between systems. Every answer takes at most 5 s and never raises; what cannot
    be found out is None (or False for ``hot``)."""

    async def idle_seconds(self) -> float | None:
        """Since the user's last input."""
        ...

    async def power(self) -> Power: ...

    async def hot(self) -> bool:
        """Whether heat slows the machine down, or is about to."""
        ...


class Linux:
    async def idle_seconds(self) -> float | None:
        return await idle.linux()

    async def power(self) -> Power:
        return await asyncio.to_thread(power.linux_power)

    async def hot(self) -> bool:
        return await asyncio.to_thread(power.linux_hot)


class MacOS:
    async def idle_seconds(self) -> float | None:
        return await idle.macos()

    async def power(self) -> Power:
        return await power.macos_power()

    async def hot(self) -> bool:
        return await power.macos_hot()


def this_host() -> Host:
    """The host for this system."""
    return MacOS() if sys.platform == "darwin" else Linux()
