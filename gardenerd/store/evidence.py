"""The bets of the gate: for each contest between two models, one entry a day."""

from __future__ import annotations

from collections.abc import Iterable

from gardenerd.core.evidence import Day
from gardenerd.store.database import Database


class Evidence:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, project: str, contest: str, days: Iterable[Day]) -> None:
        """Record a contest's days; code of a day that has an entry is weighed with it by bytes."""
        self._database.run_many(
            "INSERT INTO bets (project, contest, day, bytes, gain) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (project, contest, day) DO UPDATE SET "
            "gain = (gain * bytes + excluded.gain * excluded.bytes) / (bytes + excluded.bytes), "
            "bytes = bytes + excluded.bytes",
            [(project, contest, day.day, day.bytes, day.gain) for day in days],
        )

    def days(self, project: str, contest: str) -> list[Day]:
        """What is recorded of a contest, oldest day first."""
        rows = self._database.rows(
            "SELECT day, bytes, gain FROM bets WHERE project = ? AND contest = ? ORDER BY day",
            (project, contest),
        )
        return [Day(day=row["day"], bytes=row["bytes"], gain=row["gain"]) for row in rows]
