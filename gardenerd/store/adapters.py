"""Which adapter versions exist and which one serves. Only the daemon writes here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from gardenerd.errors import NotFoundError, RefusedError
from gardenerd.store.database import Database

_CANNOT_SERVE = {
    "damaged": "is damaged",
    "candidate": "is a challenger that has not passed the gate",
}


class Adapter(msgspec.Struct, kw_only=True, frozen=True):
    project: str
    version: str
    """``v1``, ``v2``, ... within its project."""
    number: int
    state: str
    parent: str | None
    run: str | None
    created: float
    scores: dict[str, Any]
    fingerprint: str
    """Of the base model that it belongs to."""
    lineage: str = ""
    """The run with which the challenger started of which this is a state."""
    pinned: bool = False
    """Kept however many versions come after it."""
    waits: str = ""
    """Of another base than the one in use: what it was when that was left, and will be again
    (``serving``, ``previous``, ``retired``, ``candidate``); meanwhile its state is ``retired``."""


class Adapters:
    def __init__(self, database: Database) -> None:
        self._database = database

    def next_number(self, project: str) -> int:
        highest = self._database.value(
            "SELECT max(number) FROM adapters WHERE project = ?", (project,)
        )
        return (highest or 0) + 1

    def promote(self, adapter: Adapter, now: float) -> None:
        """Record a published version and flip what serves to it, in one transaction."""
        with self._database.transaction():
            self.challenge(adapter)
            self._flip(adapter.project, adapter.version, now)

    def challenge(self, adapter: Adapter) -> None:
        """Record a published version as the challenger; the one before it goes."""
        with self._database.transaction():
            self.drop_challenger(adapter.project)
            self._database.run(
                "INSERT INTO adapters VALUES (?, ?, ?, 'candidate', ?, ?, ?, ?, ?, ?, 0, '')",
                (adapter.project, adapter.version, adapter.number, adapter.parent, adapter.run)
                + (adapter.created, msgspec.json.encode(adapter.scores).decode())
                + (adapter.fingerprint, adapter.lineage),
            )

    def challenger(self, project: str) -> Adapter | None:
        """The version that trains on beside what serves until its evidence suffices."""
        row = self._database.row(
            "SELECT * FROM adapters WHERE project = ? AND state = 'candidate'", (project,)
        )
        return None if row is None else _adapter(row)

    def drop_challenger(self, project: str) -> None:
        """Give it up. Its number is not used again; its folder goes when adapters are swept."""
        self._database.run(
            "UPDATE adapters SET state = 'rejected' WHERE project = ? AND state = 'candidate'",
            (project,),
        )

    def serving_since(self, project: str) -> float | None:
        """When what serves began to, in seconds since the epoch."""
        return self._database.value("SELECT since FROM serving WHERE project = ?", (project,))

    def serve(self, project: str, version: str | None, now: float) -> str | None:
        """Flip what serves to ``version`` (None: the base); gives what served before.

        Raises:
            NotFoundError: no such version.
            RefusedError: the version is damaged, a challenger, or of another base.
        """
        with self._database.transaction():
            if version is not None:
                _require_servable(self.get(project, version))
            before = self.serving(project)
            self._flip(project, version, now)
        return before

    def serving(self, project: str) -> str | None:
        """The version in service; None is the base."""
        return self._database.value("SELECT version FROM serving WHERE project = ?", (project,))

    def previous(self, project: str) -> str | None:
        return self._database.value("SELECT previous FROM serving WHERE project = ?", (project,))

    def get(self, project: str, version: str) -> Adapter:
        row = self._database.row(
            "SELECT * FROM adapters WHERE project = ? AND version = ? AND state != 'rejected'",
            (project, version),
        )
        if row is None:
            known = ", ".join(a.version for a in self.all(project)) or "none yet"
            raise NotFoundError(
                f"there is no adapter {version!r}", hint=f"versions: {known}; or `base`"
            )
        return _adapter(row)

    def all(self, project: str | None = None) -> list[Adapter]:
        """Oldest first, without the challengers that were given up."""
        rows = self._database.rows(
            "SELECT * FROM adapters WHERE project = coalesce(?, project) AND state != 'rejected' "
            "ORDER BY project, number",
            (project,),
        )
        return [_adapter(row) for row in rows]

    def pin(self, project: str, version: str, pinned: bool) -> None:
        """Keep the version, or let it go when its time comes.

        Raises:
            NotFoundError: no such version.
        """
        self.get(project, version)
        self._database.run(
            "UPDATE adapters SET pinned = ? WHERE project = ? AND version = ?",
            (int(pinned), project, version),
        )

    def remove(self, project: str, version: str) -> None:
        """Give up a version; its folder goes when adapters are swept.

        Raises:
            NotFoundError: no such version.
            RefusedError: it serves, or is pinned.
        """
        found = self.get(project, version)
        if found.state == "serving":
            raise RefusedError(
                f"{version} serves", hint="go back to another first: gardenerctl rollback"
            )
        if found.pinned:
            raise RefusedError(f"{version} is pinned", hint=f"gardenerctl adapters unpin {version}")
        self._reject(project, version)

    def forget(self, project: str, versions: Iterable[str], now: float) -> None:
        """Give up these versions, pinned or not; where one of them serves, the base does."""
        gone = set(versions)
        with self._database.transaction():
            if self.serving(project) in gone:
                self._flip(project, None, now)
                self.drop_challenger(project)
            if self.previous(project) in gone:
                self._database.run(
                    "UPDATE serving SET previous = NULL WHERE project = ?", (project,)
                )
            self._database.run_many(
                "UPDATE adapters SET state = 'rejected', pinned = 0 "
                "WHERE project = ? AND version = ?",
                [(project, version) for version in gone],
            )

    def prune(self, project: str, keep: int) -> list[str]:
        """Give up all versions that served but the latest ``keep``; gives those that went.

        What serves, what served before it, what is pinned and what waits for its base stay.
        """
        before = self.previous(project)
        retired = [a for a in self.all(project) if a.state == "retired" and not a.waits]
        gone = [
            adapter.version
            for adapter in retired[: max(0, len(retired) - keep)]
            if not adapter.pinned and adapter.version != before
        ]
        for version in gone:
            self._reject(project, version)
        return gone

    def change_base(self, fingerprint: str, now: float) -> None:
        """Another base serves: versions of others wait, those of ``fingerprint`` are again what
        they were when it was left."""
        with self._database.transaction():
            self._database.run(
                "UPDATE adapters SET state = 'retired', waits = CASE WHEN state = 'retired' AND "
                "version IN (SELECT previous FROM serving WHERE serving.project = adapters.project)"
                " THEN 'previous' ELSE state END "
                "WHERE fingerprint != ? AND waits = '' "
                "AND state IN ('candidate', 'serving', 'retired')",
                (fingerprint,),
            )
            self._database.run(
                "UPDATE adapters SET state = waits WHERE fingerprint = ? "
                "AND waits IN ('candidate', 'serving') AND state = 'retired'",
                (fingerprint,),
            )
            for row in self._database.rows("SELECT DISTINCT project FROM adapters"):
                self._serve_again(row["project"], fingerprint, now)
            self._database.run(
                "UPDATE adapters SET waits = '' WHERE fingerprint = ?", (fingerprint,)
            )

    def _serve_again(self, project: str, fingerprint: str, now: float) -> None:
        """Bring ``serving`` in line with what the versions of the base in use are."""
        version = self._database.value(
            "SELECT version FROM adapters WHERE project = ? AND state = 'serving'", (project,)
        )
        previous = self._database.value(
            "SELECT version FROM adapters WHERE project = ? AND fingerprint = ? "
            "AND waits = 'previous' AND state = 'retired'",
            (project, fingerprint),
        )
        stale = self._waits(project, self.previous(project))
        if stale or previous is not None or self.serving(project) != version:
            self._database.run(
                "INSERT OR REPLACE INTO serving VALUES (?, ?, ?, ?)",
                (project, version, previous, now),
            )

    def _waits(self, project: str, version: str | None) -> bool:
        found = self._database.value(
            "SELECT waits FROM adapters WHERE project = ? AND version = ?", (project, version)
        )
        return bool(found)

    def _reject(self, project: str, version: str) -> None:
        self._database.run(
            "UPDATE adapters SET state = 'rejected' WHERE project = ? AND version = ?",
            (project, version),
        )

    def mark_damaged(self, project: str, version: str) -> None:
        self._database.run(
            "UPDATE adapters SET state = 'damaged' WHERE project = ? AND version = ?",
            (project, version),
        )

    def _flip(self, project: str, version: str | None, now: float) -> None:
        before = self.serving(project)
        self._database.run(
            "UPDATE adapters SET state = 'retired' WHERE project = ? AND state = 'serving'",
            (project,),
        )
        self._database.run(
            "UPDATE adapters SET state = 'serving' WHERE project = ? AND version = ?",
            (project, version),
        )
        self._database.run(
            "INSERT OR REPLACE INTO serving VALUES (?, ?, ?, ?)", (project, version, before, now)
        )


def _require_servable(adapter: Adapter) -> None:
    cause, hint = _CANNOT_SERVE.get(adapter.state, ""), "choose another of `gardenerctl adapters`"
    if adapter.waits:
        cause, hint = "was trained on another base", "see `gardenerctl model list` for that base"
    if cause:
        raise RefusedError(f"{adapter.version} {cause} and cannot serve", hint=f"{hint}, or `base`")


def _adapter(row: sqlite3.Row) -> Adapter:
    values = {name: row[name] for name in Adapter.__struct_fields__}
    values["scores"] = msgspec.json.decode(values["scores"])
    values["pinned"] = bool(values["pinned"])
    return Adapter(**values)
