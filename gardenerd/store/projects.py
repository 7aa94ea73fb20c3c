"""The folders that are tended."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

import msgspec

from gardenerd.errors import NotFoundError, RefusedError
from gardenerd.store.database import Database

State = Literal["ok", "frozen"]


class Project(msgspec.Struct, kw_only=True, frozen=True):
    id: str
    name: str
    path: str
    """Absolute, symlinks resolved."""
    added: float
    state: State = "ok"
    """``frozen``: its folder cannot be trusted now, so nothing of it is removed."""
    reason: str = ""
    device: int = 0
    inode: int = 0
    """With ``device``, the identity of the root folder; 0 while it was never scanned."""
    unlearned: float | None = None
    """When weights were last deleted, for something that was forgotten; None: never."""

    @property
    def root(self) -> Path:
        return Path(self.path)


class Projects:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, id: str, name: str, path: Path, now: float) -> Project:
        """Begin to tend ``path``.

        Raises:
            RefusedError: the name or the path is tended already.
        """
        project = Project(id=id, name=name, path=str(path), added=now)
        try:
            self._database.run(
                "INSERT INTO projects (id, name, path, added) VALUES (?, ?, ?, ?)",
                (id, name, project.path, now),
            )
        except sqlite3.IntegrityError as error:
            raise self._taken(project) from error
        return project

    def free_name(self, wanted: str) -> str:
        """``wanted``, or with the lowest number behind it that no project has."""
        taken = {project.name for project in self.all()}
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}-{number}", number + 1
        return name

    def remove(self, id: str) -> None:
        """Forget the project and, with it, its files, examples, answers, runs and adapters."""
        self._database.run("DELETE FROM projects WHERE id = ?", (id,))

    def all(self) -> list[Project]:
        return [
            _project(row) for row in self._database.rows("SELECT * FROM projects ORDER BY added")
        ]

    def get(self, named: str) -> Project:
        """The project with this name, or else this id.

        Raises:
            NotFoundError: there is none; the message names those that exist.
        """
        row = self._database.row(
            "SELECT * FROM projects WHERE name = ?1 OR id = ?1 ORDER BY name = ?1 DESC", (named,)
        )
        if row is not None:
            return _project(row)
        names = ", ".join(project.name for project in self.all())
        raise NotFoundError(
            f"no project is named {named!r}",
            hint=f"the projects are: {names}" if names else "add one: gardenerctl add PATH",
        )

    def containing(self, path: Path) -> tuple[Project, str] | None:
        """The project that holds the absolute ``path``, and the path within it; None if none."""
        for project in self.all():
            if path.is_relative_to(project.path):
                return project, path.relative_to(project.path).as_posix()
        return None

    def set_state(self, id: str, state: State, reason: str = "") -> None:
        self._database.run(
            "UPDATE projects SET state = ?, reason = ? WHERE id = ?", (state, reason, id)
        )

    def set_root(self, id: str, device: int, inode: int) -> None:
        """Remember which folder was scanned."""
        self._database.run(
            "UPDATE projects SET device = ?, inode = ? WHERE id = ?", (device, inode, id)
        )

    def set_unlearned(self, id: str, now: float) -> None:
        """Weights were deleted for something that was forgotten."""
        self._database.run("UPDATE projects SET unlearned = ? WHERE id = ?", (now, id))

    def _taken(self, wanted: Project) -> RefusedError:
        for project in self.all():
            if project.path == wanted.path:
                return RefusedError(
                    f"{wanted.path} is tended already, as {project.name!r}",
                    hint=f"see it: gardenerctl status, or remove it: gardenerctl remove "
                    f"{project.name}",
                )
        return RefusedError(
            f"another project is named {wanted.name!r}",
            hint="choose a name: gardenerctl add PATH --name NAME",
        )


def _project(row: sqlite3.Row) -> Project:
    return Project(**{key: row[key] for key in row.keys()})  # noqa: SIM118
