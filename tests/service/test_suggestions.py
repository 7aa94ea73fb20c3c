"""A completion that is found in the code later is feedback that nobody had to give."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gardenerd.core.suggestions import LEFT_AFTER_S
from gardenerd.paths import find_home
from gardenerd.service.suggestions import Notice
from gardenerd.store.examples import Stored
from gardenerd.store.feedback import Given, Judgement
from gardenerd.store.stores import Stores
from gardenerd.workers.jobs import ChunkText

PROJECT = "p1"
TEXT = "total = price * amount\n    if member:\n        total *= 0.9\n    return total\n"
TAKEN = "def cost(price, amount, member):\n    " + TEXT
EDITED = TAKEN.replace("total *= 0.9", "total -= discount")
OTHER = "def cost(price, amount, member):\n    raise NotImplementedError\n"


@pytest.fixture
def stores() -> Iterator[Stores]:
    home = find_home()
    home.create()
    opened = Stores(home.database)
    opened.projects.add(PROJECT, "shop", Path("/somewhere/shop"), 1.0)
    yield opened
    opened.close()


def give(stores: Stores, *, created: float | None = None) -> float:
    created = time.time() if created is None else created
    stores.feedback.record_answer(
        Given(
            id="a1",
            project=PROJECT,
            op="complete",
            question="/somewhere/shop/shop.py:2",
            text=TEXT,
            sources=[{"path": "shop.py", "line": 2, "alike": 0.1}],
            adapter="v3",
            base="seedling",
            created=created,
        )
    )
    return created


def changed(code: str, path: str = "shop.py") -> list[ChunkText]:
    """A file's code as the harvest gives it, in two chunks that begin at different lines."""
    lines = code.splitlines(keepends=True)
    parts = [(1, lines[:1]), (2, lines[1:])]
    return [
        ChunkText(
            path=path,
            symbol="cost",
            kind="function",
            language="python",
            start_line=first,
            end_line=first + len(part) - 1,
            text="".join(part),
        )
        for first, part in parts
    ]


def judge(stores: Stores, code: str, now: float, path: str = "shop.py") -> list[Judgement]:
    notice = Notice(PROJECT, stores)
    notice.see(changed(code, path))
    notice.judge(now)
    return stores.feedback.unharvested(PROJECT)


def test_one_that_was_taken_is_a_weak_yes_and_one_that_was_edited_is_corrected(
    stores: Stores,
) -> None:
    now = give(stores)
    (judged,) = judge(stores, TAKEN, now + 60)
    assert (judged.verdict, judged.correction, judged.weak) == ("good", None, True)
    assert stores.feedback.rated(PROJECT)[0].adapter == "v3"
    assert judge(stores, EDITED, now + 120) == [judged]  # it is known already


def test_one_that_was_edited_is_corrected_by_what_stands_there(stores: Stores) -> None:
    now = give(stores)
    (judged,) = judge(stores, EDITED, now + 60)
    assert (judged.verdict, judged.weak) == ("good", True)
    assert judged.correction is not None
    assert "total -= discount" in judged.correction


def test_one_that_was_left_is_a_weak_no_after_a_day(stores: Stores) -> None:
    now = give(stores, created=time.time() - LEFT_AFTER_S / 2)
    assert judge(stores, OTHER, now + LEFT_AFTER_S / 2) == []
    (judged,) = judge(stores, OTHER, now + LEFT_AFTER_S)
    assert (judged.verdict, judged.weak) == ("bad", True)


def test_other_files_say_nothing_about_it(stores: Stores) -> None:
    now = give(stores)
    assert judge(stores, TAKEN, now + 2 * LEFT_AFTER_S, path="other.py") == []


def test_what_a_person_says_counts_and_what_was_made_of_the_weak_verdict_goes(
    stores: Stores,
) -> None:
    now = give(stores)
    (weak,) = judge(stores, TAKEN, now + 60)
    stores.examples.add(
        [
            Stored(
                id="e1",
                project=PROJECT,
                path=f"feedback/{weak.id}",
                symbol="",
                kind="answer",
                language="",
                text=TEXT,
                weight=0.5,
                source="feedback",
                created=now,
                used=0,
            )
        ]
    )
    assert stores.feedback.record("a1", "bad", None, "key", now + 90)
    (judged,) = stores.feedback.unharvested(PROJECT)
    assert (judged.verdict, judged.weak) == ("bad", False)
    assert stores.examples.count(PROJECT) == 0
    judge(stores, TAKEN, now + 120)
    assert stores.feedback.unharvested(PROJECT) == [judged]
    assert not stores.feedback.record("a1", "good", None, "key", now + 150)
    assert stores.feedback.unharvested(PROJECT) == [judged]
