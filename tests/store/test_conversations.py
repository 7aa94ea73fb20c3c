"""Turns of a conversation: in order, bounded, and gone with the answers that they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gardenerd.store.conversations import Conversation, Seen
from gardenerd.store.feedback import Given
from gardenerd.store.stores import Stores


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    opened = Stores(tmp_path / "state.db")
    for project in ("p", "q"):
        opened.projects.add(project, project, Path(f"/{project}"), 1.0)
    yield opened
    opened.close()


def seen(path: str) -> Seen:
    return Seen(project="p", path=path, start_line=1, end_line=2, digest="d", text="code")


def say(
    stores: Stores, conversation: Conversation | None, number: int, scope: str = "p"
) -> Conversation:
    """Record a turn; gives its conversation as it is then."""
    stores.feedback.record_answer(
        Given(
            id=f"{scope}{number}", project=scope or "p", op="ask", question=f"q{number}",
            text=f"a{number}", sources=[], adapter=None, base="b", created=float(number),
        )
    )  # fmt: skip
    stores.conversations.record(
        conversation or Conversation.begin(), f"{scope}{number}", scope, [seen(f"{number}.py")]
    )
    found = stores.conversations.latest(scope)
    assert found is not None
    return found


def test_the_last_conversation_of_a_project_is_the_one_that_goes_on(stores: Stores) -> None:
    assert stores.conversations.latest("p") is None
    first = say(stores, None, 1)
    second = say(stores, first, 2)
    assert (second.id, second.length) == (first.id, 2)
    assert [(t.question, t.answer) for t in second.turns] == [("q1", "a1"), ("q2", "a2")]
    assert [t.seen for t in second.turns] == [[seen("1.py")], [seen("2.py")]]
    say(stores, None, 3, scope="q")
    say(stores, None, 3, scope="")
    assert stores.conversations.latest("p") == second
    other = say(stores, None, 4)
    assert other.id != first.id
    assert len(other.turns) == 1


def test_what_was_seen_is_kept_of_the_last_turns_alone(stores: Stores) -> None:
    old = say(stores, None, 0)
    assert old.turns[0].seen
    conversation = None
    for number in range(1, 21):
        conversation = say(stores, conversation, number)
    assert conversation is not None
    assert conversation.length == 20
    assert [turn.question for turn in conversation.turns] == [f"q{n}" for n in range(9, 21)]
    assert stores.conversations.stands(conversation)
    texts = [row[0] for row in stores.database.rows("SELECT shown FROM turns")]
    assert sum(text != "[]" for text in texts) == 12


def test_a_turn_goes_with_its_answer_and_what_came_after_is_known(stores: Stores) -> None:
    conversation = None
    for number in (1, 2, 3):
        conversation = say(stores, conversation, number)
    say(stores, None, 4)
    assert conversation is not None
    assert stores.conversations.after(["p2"]) == ["p3"]
    assert stores.conversations.stands(conversation)
    assert stores.conversations.stands(Conversation.begin())
    assert stores.conversations.after(["p1", "p2", "none"]) == ["p2", "p3"]
    stores.feedback.forget(["p2", "p3", "p4"])
    assert not stores.conversations.stands(conversation)
    left = stores.conversations.latest("p")
    assert left is not None
    assert stores.conversations.stands(left)
    assert [turn.question for turn in left.turns] == ["q1"]
    assert say(stores, left, 5).length == 2
    stores.projects.remove("p")
    assert stores.database.value("SELECT count(*) FROM turns") == 0
