"""The ledger of training runs: one row each, kept for good."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from gardenerd.store.database import Database


class Run(msgspec.Struct, kw_only=True, frozen=True):
    id: str
    project: str
    state: str
    """``preparing``, ``training`` (its inputs are frozen) or ``ended``."""
    outcome: str
    reason: str
    started: float
    finished: float | None
    version: str | None
    parent: str | None
    scores: dict[str, Any]
    report: dict[str, Any]
    settings: dict[str, Any]


class Runs:
    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, run: str, project: str, now: float, settings: dict[str, Any]) -> None:
        self._database.run(
            "INSERT INTO runs (id, project, state, started, settings) "
            "VALUES (?, ?, 'preparing', ?, ?)",
            (run, project, now, _json(settings)),
        )

    def frozen(self, run: str) -> None:
        """Its inputs are in its folder: from here on it can be resumed."""
        self._database.run("UPDATE runs SET state = 'training' WHERE id = ?", (run,))

    def end(
        self,
        run: str,
        *,
        outcome: str,
        reason: str,
        now: float,
        version: str | None = None,
        scores: dict[str, Any] | None = None,
        report: dict[str, Any] | None = None,
    ) -> None:
        self._database.run(
            "UPDATE runs SET state = 'ended', outcome = ?, reason = ?, finished = ?, version = ?, "
            "scores = ?, report = ? WHERE id = ?",
            (outcome, reason, now, version, _json(scores or {}), _json(report or {}), run),
        )

    def amend(self, run: str, *, reason: str, report: dict[str, Any]) -> None:
        """What is known of an ended run now."""
        self._database.run(
            "UPDATE runs SET reason = ?, report = ? WHERE id = ?", (reason, _json(report), run)
        )

    def all(self, project: str) -> list[Run]:
        """Oldest first."""
        return self._select("project = ? ORDER BY started", project)

    def unfinished(self) -> list[Run]:
        """What the daemon's last life left behind, oldest first."""
        return self._select("state != 'ended' ORDER BY started")

    def history(self, project: str | None, limit: int) -> list[Run]:
        """Newest first."""
        return self._select(
            "project = coalesce(?, project) ORDER BY started DESC LIMIT ?", project, limit
        )

    def get(self, run: str) -> Run | None:
        found = self._select("id = ?", run)
        return found[0] if found else None

    def number(self, run: str) -> int:
        """How many runs its project had before."""
        return self._database.value(
            "SELECT count(*) FROM runs before JOIN runs this ON this.id = ? "
            "WHERE before.project = this.project AND before.started < this.started",
            (run,),
        )

    def last_ended(self, project: str) -> Run | None:
        found = self._select(
            "project = ? AND state = 'ended' ORDER BY finished DESC LIMIT 1", project
        )
        return found[0] if found else None

    def failures(self, project: str) -> int:
        """Runs that failed, or were cancelled, since the last that did not."""
        return self._database.value(
            "SELECT count(*) FROM runs WHERE project = ?1 AND outcome = 'failed' AND finished > "
            "coalesce((SELECT max(finished) FROM runs WHERE project = ?1 AND state = 'ended' "
            "AND outcome != 'failed'), 0)",
            (project,),
        )

    def _select(self, where: str, *parameters: Any) -> list[Run]:
        rows = self._database.rows(f"SELECT * FROM runs WHERE {where}", parameters)
        return [_run(row) for row in rows]


def _run(row: sqlite3.Row) -> Run:
    values = {name: row[name] for name in Run.__struct_fields__}
    for name in ("scores", "report", "settings"):
        values[name] = msgspec.json.decode(values[name])
    return Run(**values)


def _json(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
