"""Versions of the embedding of queries that were tuned on a project, and which of them serves."""

from __future__ import annotations

import sqlite3
from typing import Any, Literal

import msgspec

from gardenerd.errors import NotFoundError
from gardenerd.store.database import Database

State = Literal["serving", "retired", "refused", "dropped", "damaged"]
"""``retired`` ones served before and may again; ``refused`` did not pass the gate; of ``dropped``
ones, which served long ago, the file is not kept."""

_THERE = ("serving", "retired")


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one tuning."""

    project: str
    version: str
    number: int
    state: State
    created: float
    """Seconds since the epoch."""
    reason: str
    """Why it was promoted or refused; and why it is damaged, if it is."""
    fingerprint: str
    """Of its file; "" of one that was refused."""
    report: dict[str, Any]
    """The pairs that it was tuned on, the scores, and how it was trained."""

    @property
    def kept(self) -> bool:
        """Whether it may serve."""
        return self.state in _THERE


class Embeddings:
    def __init__(self, database: Database) -> None:
        self._database = database

    def next_number(self, project: str) -> int:
        """Numbers are never used again, not even of versions that were forgotten."""
        return self._database.value(
            "SELECT coalesce(max(number), 0) + 1 FROM embeddings WHERE project = ?", (project,)
        )

    def add(self, embedding: Embedding) -> None:
        """Record a version; one that is ``serving`` serves from then on, in one transaction."""
        with self._database.transaction():
            self._database.run(
                "INSERT INTO embeddings VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (embedding.project, embedding.version, embedding.number)
                + ("retired" if embedding.state == "serving" else embedding.state,)
                + (embedding.created, embedding.reason, embedding.fingerprint)
                + (msgspec.json.encode(embedding.report).decode(),),
            )
            if embedding.state == "serving":
                self.serve(embedding.project, embedding.version)

    def serve(self, project: str, version: str | None) -> str | None:
        """Flip what serves to ``version`` (None: the packaged one); gives what served before.

        Raises:
            NotFoundError: no such version, or its file is not kept.
        """
        with self._database.transaction():
            if version is not None and not self.get(project, version).kept:
                raise NotFoundError(
                    f"{version} is not kept", hint="choose another of `gardenerctl embedding`"
                )
            before = self.serving(project)
            self._state(project, before, "retired")
            self._state(project, version, "serving")
            self._database.run(
                "INSERT INTO embedding_serving (project, version, previous) VALUES (?1, ?2, ?3) "
                "ON CONFLICT (project) DO UPDATE SET version = ?2, previous = ?3",
                (project, version, before),
            )
        return before

    def serving(self, project: str) -> str | None:
        """The version in service; None: the packaged embedding."""
        return self._database.value(
            "SELECT version FROM embedding_serving WHERE project = ?", (project,)
        )

    def previous(self, project: str) -> str | None:
        """What served before; None: the packaged embedding."""
        return self._database.value(
            "SELECT previous FROM embedding_serving WHERE project = ?", (project,)
        )

    def get(self, project: str, version: str) -> Embedding:
        """Raises:
        NotFoundError: no such version.
        """
        row = self._database.row(
            "SELECT * FROM embeddings WHERE project = ? AND version = ? AND state != 'forgotten'",
            (project, version),
        )
        if row is None:
            kept = ", ".join([*(e.version for e in self.all(project) if e.kept), "packaged"])
            raise NotFoundError(f"there is no embedding {version!r}", hint=f"there are: {kept}")
        return _embedding(row)

    def last(self, project: str) -> Embedding | None:
        """What came of the last tuning; None where there was none, or it was forgotten."""
        row = self._database.row(
            "SELECT * FROM embeddings WHERE project = ? AND state != 'forgotten' "
            "ORDER BY number DESC LIMIT 1",
            (project,),
        )
        return None if row is None else _embedding(row)

    def all(self, project: str | None = None) -> list[Embedding]:
        """Oldest first, without those that were forgotten."""
        rows = self._database.rows(
            "SELECT * FROM embeddings WHERE project = coalesce(?, project) "
            "AND state != 'forgotten' ORDER BY project, number",
            (project,),
        )
        return [_embedding(row) for row in rows]

    def in_service(self) -> list[Embedding]:
        """Of each project that has one the version that serves."""
        rows = self._database.rows("SELECT * FROM embeddings WHERE state = 'serving'")
        return [_embedding(row) for row in rows]

    def tried(self, project: str) -> float:
        """When it was last tuned, or could not be, in seconds since the epoch; 0: never."""
        found = self._database.value(
            "SELECT tried FROM embedding_serving WHERE project = ?", (project,)
        )
        return found or 0.0

    def set_tried(self, project: str, at: float) -> None:
        self._database.run(
            "INSERT INTO embedding_serving (project, tried) VALUES (?1, ?2) "
            "ON CONFLICT (project) DO UPDATE SET tried = ?2",
            (project, at),
        )

    def prune(self, project: str, keep: int) -> list[str]:
        """Let go of all versions that served but the latest ``keep``; gives those that went.

        What serves and what served before it stay.
        """
        before = self.previous(project)
        retired = [e.version for e in self.all(project) if e.state == "retired"]
        gone = [v for v in retired[: max(0, len(retired) - keep)] if v != before]
        for version in gone:
            self._state(project, version, "dropped")
        return gone

    def mark_damaged(self, project: str, version: str, cause: str) -> None:
        """It cannot serve: the packaged embedding does if it did."""
        with self._database.transaction():
            if self.serving(project) == version:
                self.serve(project, None)
            self._database.run(
                "UPDATE embeddings SET state = 'damaged', reason = reason || '; ' || ? "
                "WHERE project = ? AND version = ?",
                (cause, project, version),
            )

    def forget(self, project: str) -> list[str]:
        """All versions, whole: of each only its number stays. Gives those that there were.

        Nothing keeps the project from being tuned anew at once.
        """
        with self._database.transaction():
            gone = [each.version for each in self.all(project)]
            self._database.run("DELETE FROM embedding_serving WHERE project = ?", (project,))
            self._database.run(
                "UPDATE embeddings SET state = 'forgotten', reason = '', fingerprint = '', "
                "report = '{}' WHERE project = ?",
                (project,),
            )
        return gone

    def _state(self, project: str, version: str | None, state: State) -> None:
        self._database.run(
            "UPDATE embeddings SET state = ? WHERE project = ? AND version = ?",
            (state, project, version),
        )


def _embedding(row: sqlite3.Row) -> Embedding:
    values = {name: row[name] for name in Embedding.__struct_fields__}
    values["report"] = msgspec.json.decode(values["report"])
    return Embedding(**values)
