"""Timers on a real loop, and when the window begins next."""

from __future__ import annotations

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

from gardenerd.host.schedule import Schedule, next_window

BERLIN = ZoneInfo("Europe/Berlin")
WINDOW = (2 * 60, 6 * 60)


def test_it_calls_again_and_again_and_at_once_when_asked() -> None:
    async def main() -> None:
        calls: list[str] = []
        twice = asyncio.Event()

        async def often() -> None:
            calls.append("often")
            if calls.count("often") >= 2:
                twice.set()

        async def rarely() -> None:
            calls.append("rarely")

        schedule = Schedule()
        schedule.every(0.02, often, name="often")
        schedule.every(3_600, lambda: rarely(), name="rarely")
        schedule.start()
        schedule.soon("rarely")
        await asyncio.wait_for(twice.wait(), 20)
        while "rarely" not in calls:
            await asyncio.sleep(0.01)
        schedule.stop()
        assert calls.count("rarely") == 1

    asyncio.run(main())


def test_the_next_window() -> None:
    evening = datetime(2026, 7, 1, 20, 0, tzinfo=BERLIN)
    assert next_window(evening, WINDOW) == datetime(2026, 7, 2, 2, 0, tzinfo=BERLIN)
    inside = datetime(2026, 7, 2, 3, 30, tzinfo=BERLIN)
    assert next_window(inside, WINDOW) == inside


def test_a_window_over_midnight() -> None:
    late = datetime(2026, 7, 1, 23, 45, tzinfo=BERLIN)
    assert next_window(late, (23 * 60, 60)) == late


def test_the_hour_that_spring_skips() -> None:
    before = datetime(2026, 3, 28, 12, 0, tzinfo=BERLIN)
    begins = next_window(before, (2 * 60 + 30, 6 * 60))
    assert begins.date() == datetime(2026, 3, 29).date()
    assert begins.hour == 3  # 02:30 does not exist on that day
