"""Settling: changes of a project are handed on together, when it has been quiet for a moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Batch:
    project: str
    paths: frozenset[str]


@dataclass(slots=True)
class _Open:
    first: float
    last: float
    paths: set[str] = field(default_factory=set)


class Batcher:
    """Collects changed paths; a batch closes after ``settle`` seconds without another change of
    its project, and at the latest ``max_settle`` seconds after its first.

    Times are seconds of any clock that never goes back.
    """

    def __init__(self, settle: float, max_settle: float) -> None:
        if not 0 <= settle <= max_settle:
            raise ValueError(f"settle {settle} must be within [0, max_settle {max_settle}]")
        self._settle = settle
        self._max_settle = max_settle
        self._open: dict[str, _Open] = {}

    def add(self, project: str, paths: Iterable[str], now: float) -> None:
        """Note that ``paths`` changed. A path that is waiting already is not doubled."""
        fresh = set(paths)
        if not fresh:
            return
        batch = self._open.setdefault(project, _Open(now, now))
        batch.last = now
        batch.paths |= fresh

    def due(self, now: float) -> list[Batch]:
        """Take the batches that are closed at ``now``, the one open for longest first."""
        closed = sorted(
            (name for name, batch in self._open.items() if self._closes(batch) <= now),
            key=lambda name: self._open[name].first,
        )
        return [Batch(name, frozenset(self._open.pop(name).paths)) for name in closed]

    def next_due(self, now: float) -> float | None:
        """Seconds from ``now`` until a batch closes (0: one has), None while nothing waits."""
        if not self._open:
            return None
        return max(0.0, min(map(self._closes, self._open.values())) - now)

    def drop(self, project: str) -> None:
        """Forget what waits: the project was removed, or is scanned as a whole."""
        self._open.pop(project, None)

    def waiting(self, project: str | None = None) -> bool:
        """Whether any change (of ``project``) waits."""
        return bool(self._open) if project is None else project in self._open

    def _closes(self, batch: _Open) -> float:
        return min(batch.last + self._settle, batch.first + self._max_settle)
