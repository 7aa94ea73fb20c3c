"""When the user did something: counts of minutes by hour, and nothing of what it was."""

from __future__ import annotations

from gardenerd.core.hours import WEEKS
from gardenerd.store.database import Database

_KEPT_DAYS = WEEKS * 7


class Activity:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._last = ""

    def note(self, day: str, hour: int, minute: int) -> None:
        """Something was done; one write a minute at most.

        Args:
            day: of the local clock, ``2026-11-21``.
        """
        moment = f"{day} {hour}:{minute}"
        if moment == self._last:
            return
        self._last = moment
        with self._database.transaction():
            self._database.run(
                "INSERT INTO activity (day, hour, minutes) VALUES (?, ?, 1) "
                "ON CONFLICT (day, hour) DO UPDATE SET minutes = min(60, minutes + 1)",
                (day, hour),
            )
            self._database.run(
                "DELETE FROM activity WHERE day NOT IN "
                "(SELECT DISTINCT day FROM activity ORDER BY day DESC LIMIT ?)",
                (_KEPT_DAYS,),
            )

    def by_hour(self) -> tuple[list[int], int]:
        """By hour of the day, in how many minutes something was done; and on how many days."""
        rows = self._database.rows(
            "SELECT hour, sum(minutes) AS minutes FROM activity GROUP BY hour", ()
        )
        counts = [0] * 24
        for row in rows:
            counts[row["hour"]] = row["minutes"]
        return counts, self._database.value("SELECT count(DISTINCT day) FROM activity", ())
