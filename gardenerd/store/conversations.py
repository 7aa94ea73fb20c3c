"""Which answers were given in one conversation, so that the next question can go on from there.

A turn is an answer that is kept (:mod:`gardenerd.store.feedback`) and its place in a conversation.
It goes with its answer: when that is forgotten, or when it is one of too many.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import msgspec

from gardenerd.store.database import Database

# Of the turns of a conversation the last ones are shown to a model, as many as find room.
_SHOWN_TURNS = 12


class Seen(msgspec.Struct, kw_only=True, frozen=True):
    """What a model was shown of one source."""

    project: str
    path: str
    start_line: int
    end_line: int
    digest: str
    """Of the file, when it was indexed."""
    text: str


class Said(msgspec.Struct, kw_only=True, frozen=True):
    """A question, its answer, and what the model was shown for it."""

    question: str
    answer: str
    seen: list[Seen]


class Conversation(msgspec.Struct, kw_only=True, frozen=True):
    id: str
    turns: list[Said]
    """The last ones, oldest first; none yet in one that begins."""
    length: int
    """Turns in all, also those that are not given here."""
    first: int = 1
    """The number of the first one that is given."""

    @classmethod
    def begin(cls) -> Conversation:
        return cls(id=secrets.token_hex(4), turns=[], length=0)


class Conversations:
    def __init__(self, database: Database) -> None:
        self._database = database

    def latest(self, scope: str) -> Conversation | None:
        """The conversation of which the last answer was given, if there is one.

        Args:
            scope: the project that is asked; empty where all are.
        """
        id = self._database.value(
            "SELECT t.conversation FROM turns t JOIN answers a ON a.id = t.answer "
            "WHERE t.scope = ? ORDER BY a.created DESC, t.number DESC LIMIT 1",
            (scope,),
        )
        if id is None:
            return None
        rows = self._database.rows(
            "SELECT a.question, a.text, t.shown, t.number FROM turns t "
            "JOIN answers a ON a.id = t.answer WHERE t.conversation = ? "
            "ORDER BY t.number DESC LIMIT ?",
            (id, _SHOWN_TURNS),
        )
        turns = [
            Said(
                question=row["question"],
                answer=row["text"],
                seen=msgspec.json.decode(row["shown"], type=list[Seen]),
            )
            for row in reversed(rows)
        ]
        return Conversation(id=id, turns=turns, length=rows[0]["number"], first=rows[-1]["number"])

    def record(self, conversation: Conversation, answer: str, scope: str, seen: list[Seen]) -> None:
        """Add a recorded answer as the next turn.

        Only the last turns of the conversation that was last held in ``scope`` keep what was seen.
        """
        number = conversation.length + 1
        with self._database.transaction():
            self._database.run(
                "INSERT INTO turns VALUES (?, ?, ?, ?, ?)",
                (answer, conversation.id, number, scope, msgspec.json.encode(seen).decode()),
            )
            self._database.run(
                "UPDATE turns SET shown = '[]' WHERE scope = ? AND shown != '[]' "
                "AND (conversation != ? OR number <= ?)",
                (scope, conversation.id, number - _SHOWN_TURNS),
            )

    def stands(self, conversation: Conversation) -> bool:
        """Whether the turns that were given are still there: none of them was forgotten since."""
        left = self._database.value(
            "SELECT count(*) FROM turns WHERE conversation = ? AND number BETWEEN ? AND ?",
            (conversation.id, conversation.first, conversation.length),
        )
        return left >= len(conversation.turns)

    def after(self, answers: Iterable[str]) -> list[str]:
        """The answers that were given with one of ``answers`` in view: what came after it in its
        conversation."""
        found: dict[str, None] = {}
        for answer in answers:
            rows = self._database.rows(
                "SELECT later.answer FROM turns given JOIN turns later "
                "ON later.conversation = given.conversation AND later.number > given.number "
                "WHERE given.answer = ?",
                (answer,),
            )
            found |= dict.fromkeys(row[0] for row in rows)
        return list(found)
