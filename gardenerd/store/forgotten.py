"""What shall not be known: files and folders that were forgotten, and that stay so."""

from __future__ import annotations

import sqlite3
import time

import msgspec

from gardenerd.core.forgetting import within
from gardenerd.errors import NotFoundError
from gardenerd.store.database import Database
from gardenerd.store.projects import Project


class Place(msgspec.Struct, kw_only=True, frozen=True):
    """A file or folder that was forgotten."""

    project: str
    path: str
    since: float
    """When it was asked for, in seconds since the epoch."""
    done: float | None
    """When nothing of it was left; None while it is being removed."""


class Forgotten:
    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, project: str, path: str, now: float) -> None:
        """From now on it is left out; what is known of it has yet to go. Again: it goes again."""
        self._database.run(
            "INSERT INTO forgotten (project, path, since) VALUES (?, ?, ?) "
            "ON CONFLICT (project, path) DO UPDATE SET done = NULL",
            (project, path, now),
        )

    def finish(self, project: str, path: str, now: float) -> None:
        """Nothing of it is left."""
        self._database.run(
            "UPDATE forgotten SET done = ? WHERE project = ? AND path = ?", (now, project, path)
        )

    def undo(self, project: str, path: str) -> None:
        """It may be known again.

        Raises:
            NotFoundError: it was not forgotten.
        """
        gone = self._database.run(
            "DELETE FROM forgotten WHERE project = ? AND path = ?", (project, path)
        )
        if not gone:
            raise NotFoundError(f"{path} was not forgotten", hint="see `gardenerctl forget --list`")

    def all(self, project: str | None = None) -> list[Place]:
        """Oldest first."""
        rows = self._database.rows(
            "SELECT * FROM forgotten WHERE project = coalesce(?, project) ORDER BY since, path",
            (project,),
        )
        return [_place(row) for row in rows]

    def pending(self, project: str | None = None) -> list[Place]:
        """Those of which something may be left, oldest first."""
        return [place for place in self.all(project) if place.done is None]

    def covering(self, project: str, path: str) -> Place | None:
        """What was forgotten that ``path`` is or lies in."""
        return next((p for p in self.all(project) if within(path, p.path)), None)

    def reasons(self, project: Project) -> dict[str, str]:
        """By path why it is left out, in words."""
        return {place.path: reason(project, place) for place in self.all(project.id)}


def reason(project: Project, place: Place) -> str:
    """Why it is left out, and what takes that back."""
    day = time.strftime("%Y-%m-%d", time.localtime(place.since))
    return (
        f"forgotten on {day}; `gardenerctl forget --undo {project.root / place.path}` takes it back"
    )


def _place(row: sqlite3.Row) -> Place:
    return Place(**{name: row[name] for name in Place.__struct_fields__})
