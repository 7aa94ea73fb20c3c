"""The code that a run is judged by, before anything trains on it: the latest, by day."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

from gardenerd.core import gate
from gardenerd.core.replay import Item
from gardenerd.host.written import days_written
from gardenerd.store.projects import Project
from gardenerd.store.runs import Run
from gardenerd.store.stores import Stores
from gardenerd.workers.jobs import FreshText

_MAX_BYTES = 80_000
"""Scored in one run, over all days: some seconds of a small model."""
_MAX_DAYS = 20
_FIRST_SHARE = 0.2
"""Of a project's examples, at most so many are left out of its first night to judge it by."""

ByDay = dict[str, str]
"""Day by id of the example."""


async def choose(project: Project, stores: Stores, last: Run | None, *, first: bool) -> ByDay:
    """Which examples judge this run, and on which day each was written.

    On the first night the newest days of the project's history, if there are enough of them to
    decide; later what came since the last run.
    """
    items = [item for item in stores.examples.new(project.id) if item.kind != "answer"]
    if not first and last is not None:
        items = [item for item in items if item.created > last.started]
    days = await days_written(Path(project.path), {item.path for item in items})
    by_day: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.path in days:
            by_day[days[item.path]].append(item)
    chosen = sorted(by_day, reverse=True)[:_MAX_DAYS]
    if first:
        chosen = _newest(by_day, chosen, round(len(items) * _FIRST_SHARE))
        if len(chosen) < gate.MIN_DAYS:
            return {}
    return {item.id: day for day in chosen for item in by_day[day]}


def _newest(by_day: dict[str, list[Item]], days: list[str], bound: int) -> list[str]:
    """The newest days that together hold at most ``bound`` examples; a day that is a great part
    of the project (it came that day) ends the history that can be judged by."""
    found: list[str] = []
    count = 0
    for day in days:
        count += len(by_day[day])
        if count > bound:
            break
        found.append(day)
    return found


def texts(chosen: ByDay, stores: Stores) -> list[FreshText]:
    """Their texts, each day's share of what is scored at most, chosen by the hash of the id."""
    by_day: dict[str, list[str]] = defaultdict(list)
    for id, day in chosen.items():
        by_day[day].append(id)
    found: list[FreshText] = []
    for day, ids in sorted(by_day.items()):
        left = _MAX_BYTES // len(by_day)
        for stored in stores.examples.get(sorted(ids, key=_rank)):
            size = len(stored.text.encode())
            # A commit's code is also that of its file; left out with it, it is not judged by twice.
            if size <= left and stored.kind != "commit":
                left -= size
                found.append(FreshText(path=stored.path, day=day, text=stored.text))
    return found


def _rank(id: str) -> bytes:
    return hashlib.blake2b(id.encode(), digest_size=8).digest()
