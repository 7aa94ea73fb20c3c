"""To wait for something for so long at most.

Not by ``asyncio.wait_for``: on Python 3.11 it loses a cancellation that comes as the wait ends.
"""

from __future__ import annotations

import asyncio


async def happens(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait until ``event`` is set; False if it was not after ``seconds`` (None waits for ever)."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
