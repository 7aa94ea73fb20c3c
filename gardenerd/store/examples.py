"""The replay buffer: what each project may be trained on, with how often it was."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from gardenerd.core.replay import Item
from gardenerd.store.database import Database

_PAGE = 200


class Stored(msgspec.Struct, kw_only=True, frozen=True):
    """One example of the buffer. ``used`` counts the runs that trained on it."""

    id: str
    project: str
    path: str
    symbol: str
    kind: str
    language: str
    text: str
    weight: float
    source: str
    created: float
    used: int


def example_id(project: str, path: str, text: str) -> str:
    """Stable: the same text at the same place is the same example."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (project, path, text):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


class Examples:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, examples: Iterable[Stored]) -> int:
        """Insert those that are new, revive those that came back; gives the number inserted."""
        before = self._database.value("SELECT count(*) FROM examples")
        self._database.run_many(
            "INSERT INTO examples (id, project, path, symbol, kind, language, text, weight, "
            "source, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET retired = 0, weight = excluded.weight",
            [
                (e.id, e.project, e.path, e.symbol, e.kind, e.language)
                + (e.text, e.weight, e.source, e.created)
                for e in examples
            ],
        )
        return self._database.value("SELECT count(*) FROM examples") - before

    def retire_path(self, project: str, path: str, keep: Sequence[str] = ()) -> None:
        """Code that no longer stands at ``path`` is not trained on again."""
        kept = ",".join("?" * len(keep))
        self._database.run(
            "UPDATE examples SET retired = 1 WHERE project = ? AND path = ? "
            f"AND source = 'code' AND id NOT IN ({kept})",
            (project, path, *keep),
        )

    def retire_kind(self, project: str, kind: str) -> None:
        """Those of a kind that is gathered anew each time; adding one again revives it."""
        self._database.run(
            "UPDATE examples SET retired = 1 WHERE project = ? AND kind = ?", (project, kind)
        )

    def new(self, project: str) -> list[Item]:
        """What no run has trained on, newest first; without the texts, which are large."""
        return self._items(project, "used = 0")

    def old(self, project: str) -> list[Item]:
        """Trained on before: what is replayed."""
        return self._items(project, "used > 0")

    def get(self, ids: Iterable[str]) -> list[Stored]:
        """These examples, in this order; one that is gone is left out."""
        found = [self._database.row("SELECT * FROM examples WHERE id = ?", (id,)) for id in ids]
        return [_stored(row) for row in found if row is not None]

    def count(self, project: str) -> int:
        """Size of the buffer, without what is retired."""
        return self._database.value(
            "SELECT count(*) FROM examples WHERE project = ? AND retired = 0", (project,)
        )

    def count_of(self, project: str, path: str) -> int:
        """How many of a project's examples come from one file."""
        return self._database.value(
            "SELECT count(*) FROM examples WHERE project = ? AND path = ? AND retired = 0",
            (project, path),
        )

    def count_new(self, project: str) -> int:
        return self._database.value(
            "SELECT count(*) FROM examples WHERE project = ? AND retired = 0 AND used = 0",
            (project,),
        )

    def mark_used(self, costs: Mapping[str, float | None]) -> None:
        """A run has trained on these; what a token of each cost it in nats, where that is known."""
        self._database.run_many(
            "UPDATE examples SET used = used + 1, cost = coalesce(?, cost) WHERE id = ?",
            [(cost, id) for id, cost in costs.items()],
        )

    def each(self, project: str) -> Iterator[tuple[str, str, bool, str]]:
        """Of every example, also the retired, its id, path, whether it is retired, and its text.

        A few at a time: all texts never stand in memory together.
        """
        last = ""
        while rows := self._database.rows(
            "SELECT id, path, retired, text FROM examples WHERE project = ? AND id > ? "
            "ORDER BY id LIMIT ?",
            (project, last, _PAGE),
        ):
            for row in rows:
                yield row["id"], row["path"], bool(row["retired"]), row["text"]
            last = rows[-1]["id"]

    def learn_anew(self, project: str) -> None:
        """No weights have learned from any of them any more."""
        self._database.run(
            "UPDATE examples SET used = 0, cost = NULL WHERE project = ?", (project,)
        )

    def delete(self, ids: Iterable[str]) -> None:
        self._database.run_many("DELETE FROM examples WHERE id = ?", [(id,) for id in ids])

    def drop_retired(self, project: str, keep: int) -> None:
        """Of those whose code is gone only the newest ``keep`` stay."""
        self._database.run(
            "DELETE FROM examples WHERE id IN (SELECT id FROM examples WHERE project = ? "
            "AND retired = 1 ORDER BY created DESC, id LIMIT -1 OFFSET ?)",
            (project, keep),
        )

    def _items(self, project: str, where: str) -> list[Item]:
        rows = self._database.rows(
            "SELECT id, path, kind, created, cost FROM examples WHERE project = ? AND retired = 0 "
            f"AND {where} ORDER BY created DESC, id",
            (project,),
        )
        return [Item(**row) for row in map(dict, rows)]


def _stored(row: sqlite3.Row) -> Stored:
    return Stored(**{name: row[name] for name in Stored.__struct_fields__})
