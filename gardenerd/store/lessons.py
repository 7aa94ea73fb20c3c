"""Which files the weights have learned from. Examples go in time; what was learned does not."""

from __future__ import annotations

from collections.abc import Iterable

from gardenerd.store.database import Database


class Lessons:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, project: str, paths: Iterable[str], number: int) -> None:
        """The adapter of this number has learned from these."""
        self._database.run_many(
            "INSERT OR IGNORE INTO lessons VALUES (?, ?, ?)",
            [(project, path, number) for path in set(paths)],
        )

    def first(self, project: str, places: Iterable[str]) -> int | None:
        """The number of the first adapter that had learned from one of ``places`` or from what lies
        in it; None: none had."""
        found = [
            self._database.value(
                # "0" follows "/": the range is all that lies below the folder
                "SELECT min(number) FROM lessons WHERE project = ?1 AND "
                "(path IN ('', ?2) OR path > ?2 || '/' AND path < ?2 || '0')",
                (project, place),
            )
            for place in places
        ]
        return min((number for number in found if number is not None), default=None)

    def forget(self, project: str, place: str) -> None:
        """Not even its name is kept."""
        self._database.run(
            "DELETE FROM lessons WHERE project = ?1 AND "
            "(path = ?2 OR path > ?2 || '/' AND path < ?2 || '0')",
            (project, place),
        )

    def clear(self, project: str) -> None:
        """No adapter is left that has learned anything."""
        self._database.run("DELETE FROM lessons WHERE project = ?", (project,))
