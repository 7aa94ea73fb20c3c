"""Timers. The only file that imports APScheduler.

What is due by the clock on the wall (the window, the end of a pause) is compared with it by a short
interval job: the scheduler's own clock stops while the machine sleeps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from gardenerd.core.pace import in_window


class Schedule:
    """Runs coroutine functions at intervals on the running event loop."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            # late is better than never (a sleeping machine), once is enough, never two at a time
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            # intervals need no time zone, and finding the local one can fail
            timezone="UTC",
        )

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._scheduler.start()

    def every(self, seconds: float, call: Callable[[], Awaitable[None]], *, name: str) -> None:
        """Call it every ``seconds``, for the first time after that long. Replaces ``name``."""

        async def run() -> None:  # it would run in a thread what it does not know for a coroutine
            await call()

        # annotated as whole seconds, takes parts as well
        trigger = IntervalTrigger(seconds=seconds)  # pyright: ignore[reportArgumentType]
        self._scheduler.add_job(run, trigger, id=name, name=name, replace_existing=True)

    def soon(self, name: str) -> None:
        """Call ``name`` at once, then every interval from now."""
        self._scheduler.modify_job(name, next_run_time=datetime.now().astimezone())

    def stop(self) -> None:
        """End without waiting for what runs."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def next_window(now: datetime, window: tuple[int, int]) -> datetime:
    """When ``window`` begins next, aware; ``now`` itself while inside it.

    Args:
        now: of a :class:`~zoneinfo.ZoneInfo`, or else of this system's zone.
        window: minutes of the local day, start and end; may pass midnight.

    A start that the clock skips in spring is as long after midnight as on any other day.
    """
    zone = now.tzinfo if isinstance(now.tzinfo, ZoneInfo) else None
    local = datetime.fromtimestamp(now.timestamp(), zone)
    start = window[0]
    minute = local.hour * 60 + local.minute
    if in_window(minute, window):
        return local.astimezone(zone)
    day = local.date() if minute < start else local.date() + timedelta(days=1)
    begin = datetime(day.year, day.month, day.day, start // 60, start % 60, tzinfo=zone)
    # through the epoch and back: a time inside a gap becomes one that exists
    return datetime.fromtimestamp(begin.timestamp(), UTC).astimezone(zone)
