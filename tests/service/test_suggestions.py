"""A completion that is found in the code later is feedback that nobody had to give."""

from __future__ import annotations

import time

from gardenerd.core.reward import WEAK
from gardenerd.core.suggestions import LEFT_AFTER_S
from gardenerd.core.targets import Judgement
from gardenerd.service.gathering import learn_from_feedback
from gardenerd.service.suggestions import Notice
from gardenerd.store.feedback import Given
from gardenerd.store.stores import Stores
from gardenerd.workers.jobs import ChunkText
from tests.service.conftest import PROJECT

TEXT = "total = price * amount\n    if member:\n        total *= 0.9\n    return total\n"
TAKEN = "def cost(price, amount, member):\n    " + TEXT
EDITED = TAKEN.replace("total *= 0.9", "total -= discount")
OTHER = "def cost(price, amount, member):\n    raise NotImplementedError\n"


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
    notice = Notice(PROJECT, stores, now)
    notice.see(changed(code, path))
    notice.judge()
    return stores.feedback.judgements(PROJECT)


def test_one_that_was_taken_is_a_weak_yes_and_one_that_was_edited_is_corrected(
    stores: Stores,
) -> None:
    now = give(stores)
    (judged,) = judge(stores, TAKEN, now + 60)
    assert (judged.verdict, judged.correction, judged.weak) == ("good", None, True)
    assert stores.feedback.judgements(PROJECT)[0].adapter == "v3"
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
    judge(stores, TAKEN, now + 60)
    learn_from_feedback(PROJECT, stores, now + 60)
    (learned,) = stores.examples.get(item.id for item in stores.examples.new(PROJECT))
    assert (learned.text, learned.weight) == (TEXT, WEAK)
    assert stores.feedback.record("a1", "bad", None, "key", now + 90)
    (judged,) = stores.feedback.judgements(PROJECT)
    assert (judged.verdict, judged.weak) == ("bad", False)
    learn_from_feedback(PROJECT, stores, now + 90)
    assert stores.examples.count(PROJECT) == 0
    judge(stores, TAKEN, now + 120)
    assert stores.feedback.judgements(PROJECT) == [judged]
    assert not stores.feedback.record("a1", "good", None, "key", now + 150)
    assert stores.feedback.judgements(PROJECT) == [judged]
