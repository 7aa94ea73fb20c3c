"""Which held-out files show what is new and which what must not be forgotten. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Slice = Literal["recent", "older"]

# Without a run to look back to, the most lately changed third stands for what is new.
_FIRST_RECENT = 1 / 3


def slices(changed: Mapping[str, float], since: float | None, limit: int) -> dict[str, Slice]:
    """Divide held-out files into ``recent`` and ``older``, at most ``limit`` of each.

    Args:
        changed: when each held-out file last changed, in seconds since the epoch.
        since: when the last run started; None before the first.
    """
    latest = sorted(changed, key=lambda path: (-changed[path], path))
    if since is not None and any(changed[path] > since for path in latest):
        recent = [path for path in latest if changed[path] > since]
    else:
        recent = latest[: round(len(latest) * _FIRST_RECENT)]
    older = latest[len(recent) :]
    chosen: dict[str, Slice] = dict.fromkeys(recent[:limit], "recent")
    chosen.update(dict.fromkeys(older[:limit], "older"))
    return chosen
