"""Waiting until the index has caught up with the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gardenerd.service.indexing import Indexing


async def settle(
    indexing: Indexing, projects: list[str], on_progress: Callable[[dict[str, Any]], None]
) -> None:
    """Look at the disk once more and return when the index has followed.

    Raises:
        RefusedError: it cannot follow.
    """
    for project in projects:
        indexing.rescan(project, "asked to settle")
    said: dict[str, Any] = {}
    while not all(indexing.settled(project) for project in projects):
        counts = [indexing.counts(project) for project in projects]
        progress = {
            "pending": sum(c.pending for c in counts),
            "indexed": sum(c.files for c in counts),
            "total": sum(c.files + c.pending for c in counts),
        }
        if progress != said:
            on_progress(progress)
            said = progress
        indexing.refuse_when_stuck()
        await indexing.news()
