"""Completions whose file has changed: what became of them is weak feedback."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from gardenerd.core.suggestions import fate
from gardenerd.store.feedback import Suggestion
from gardenerd.store.stores import Stores
from gardenerd.workers.jobs import ChunkText

log = logging.getLogger(__name__)


class Notice:
    """Gathers the changed code of the files in which completions were given, then judges them."""

    def __init__(self, project: str, stores: Stores, now: float) -> None:
        self._project, self._stores, self._now = project, stores, now
        self._open: dict[str, list[Suggestion]] = {}
        for each in stores.feedback.open_suggestions(project, now):
            self._open.setdefault(each.path, []).append(each)
        self._lines: dict[str, dict[int, str]] = {}

    def see(self, chunks: Iterable[ChunkText]) -> None:
        """Code as it stands now, redacted."""
        for chunk in chunks:
            if chunk.path in self._open and chunk.kind != "commit":
                lines = self._lines.setdefault(chunk.path, {})
                lines.update(enumerate(chunk.text.splitlines(), chunk.start_line))

    def judge(self) -> int:
        """Record what can be told of the completions in what was seen; gives how many."""
        count = 0
        for path, numbered in self._lines.items():
            lines = [numbered.get(i, "") for i in range(1, max(numbered, default=0) + 1)]
            for each in self._open[path]:
                found = fate(each.text, each.alike, lines, each.line, self._now - each.created)
                if found is None:
                    continue
                verdict = "bad" if found.what == "left" else "good"
                correction = found.text if found.what == "edited" else None
                self._stores.feedback.record_weak(each.id, verdict, correction, self._now)
                count += 1
        if count:
            log.info("completions were judged", extra={"project": self._project, "count": count})
        return count
