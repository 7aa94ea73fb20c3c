"""Answers that were given, and what their reader thought of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from gardenerd.core.targets import Judgement
from gardenerd.errors import NotFoundError
from gardenerd.store.database import Database

# Old answers without feedback go: they are only kept so that feedback can name them.
_KEPT_ANSWERS = 1_000
# What has not become of a completion by then never will.
_OPEN_SECONDS = 14 * 86_400.0


class Given(msgspec.Struct, kw_only=True, frozen=True):
    """An answer as it was given."""

    id: str
    project: str | None
    op: str
    question: str
    text: str
    sources: list[dict[str, object]]
    adapter: str | None
    base: str
    created: float


class _Place(msgspec.Struct, frozen=True):
    """Where a completion was given, as an answer's source."""

    path: str
    line: int
    alike: float


class Suggestion(msgspec.Struct, kw_only=True, frozen=True):
    """A completion of which nothing is known yet."""

    id: str
    path: str
    line: int
    alike: float
    """How much of it stood in the code already when it was given, 0 to 1."""
    text: str
    created: float


class Feedback:
    def __init__(self, database: Database) -> None:
        self._database = database

    def record_answer(self, given: Given) -> None:
        with self._database.transaction():
            self._database.run(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (given.id, given.project, given.op, given.question, given.text)
                + (msgspec.json.encode(given.sources).decode(), given.adapter, given.base)
                + (given.created,),
            )
            self._database.run(
                "DELETE FROM answers WHERE id NOT IN (SELECT answer FROM feedback) AND id NOT IN "
                "(SELECT id FROM answers ORDER BY created DESC LIMIT ?)",
                (_KEPT_ANSWERS,),
            )

    def record(
        self, answer: str, verdict: str, correction: str | None, key: str | None, now: float
    ) -> bool:
        """Store durably; once this returns it survives a kill. False: the key was seen before.

        Raises:
            NotFoundError: no answer has this id.
        """
        row = self._database.row("SELECT project FROM answers WHERE id = ?", (answer,))
        if row is None:
            raise NotFoundError(
                f"no answer has the id {answer!r}",
                hint="the id stands below each answer; the last thousand are kept",
            )
        try:
            with self._database.transaction():
                # A person has spoken: what was read from the code goes.
                self._database.run("DELETE FROM feedback WHERE answer = ? AND weak = 1", (answer,))
                self._insert(answer, row["project"], verdict, correction, key, now, weak=False)
        except sqlite3.IntegrityError:
            return False
        return True

    def record_weak(self, answer: str, verdict: str, correction: str | None, now: float) -> None:
        """What became of an answer, where nobody has said anything."""
        row = self._database.row(
            "SELECT project FROM answers WHERE id = ? AND id NOT IN (SELECT answer FROM feedback)",
            (answer,),
        )
        if row is not None:
            self._insert(answer, row["project"], verdict, correction, None, now, weak=True)

    def open_suggestions(self, project: str, now: float) -> list[Suggestion]:
        """Completions of the last two weeks without feedback, oldest first."""
        rows = self._database.rows(
            "SELECT id, text, sources, created FROM answers WHERE project = ? AND op = 'complete' "
            "AND created > ? AND id NOT IN (SELECT answer FROM feedback) ORDER BY created",
            (project, now - _OPEN_SECONDS),
        )
        return [
            Suggestion(
                id=row["id"],
                path=place.path,
                line=place.line,
                alike=place.alike,
                text=row["text"],
                created=row["created"],
            )
            for row in rows
            for place in msgspec.json.decode(row["sources"], type=list[_Place])
        ]

    def judgements(self, project: str, *, newest: int = -1) -> list[Judgement]:
        """Feedback on the project's answers, with what it judges, oldest first.

        Args:
            newest: so many of them; all if negative.
        """
        rows = self._database.rows(
            "SELECT f.id, f.answer, a.question, a.text, a.op, f.verdict, f.correction, f.weak, "
            "a.adapter, f.created FROM feedback f JOIN answers a ON a.id = f.answer "
            "WHERE f.project = ? ORDER BY f.id DESC LIMIT ?",
            (project, newest),
        )
        return [msgspec.convert(dict(row), Judgement, strict=False) for row in reversed(rows)]

    def project_of(self, answer: str) -> str | None:
        return self._database.value("SELECT project FROM answers WHERE id = ?", (answer,))

    def each_answer(self) -> list[Given]:
        """Every answer that is kept, of all projects."""
        rows = self._database.rows("SELECT * FROM answers ORDER BY created")
        return [
            Given(**{**dict(row), "sources": msgspec.json.decode(row["sources"])}) for row in rows
        ]

    def corrections(self, answer: str) -> list[str]:
        """What readers said that an answer should have been."""
        rows = self._database.rows(
            "SELECT correction FROM feedback WHERE answer = ? AND correction IS NOT NULL", (answer,)
        )
        return [row[0] for row in rows]

    def forget(self, answers: Iterable[str]) -> int:
        """Drop answers with what was said of them; gives how much was said."""
        said = 0
        with self._database.transaction():
            for answer in answers:
                said += self._database.run("DELETE FROM feedback WHERE answer = ?", (answer,))
                self._database.run("DELETE FROM answers WHERE id = ?", (answer,))
        return said

    def count_unharvested(self, project: str) -> int:
        return self._database.value(
            "SELECT count(*) FROM feedback WHERE harvested = 0 AND project = ?", (project,)
        )

    def mark_harvested(self, ids: list[int]) -> None:
        self._database.run_many(
            "UPDATE feedback SET harvested = 1 WHERE id = ?", [(id,) for id in ids]
        )

    def _insert(
        self,
        answer: str,
        project: str | None,
        verdict: str,
        correction: str | None,
        key: str | None,
        now: float,
        *,
        weak: bool,
    ) -> None:
        self._database.run(
            "INSERT INTO feedback (answer, project, verdict, correction, key, created, weak) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (answer, project, verdict, correction, key, now, int(weak)),
        )
