"""What the buffer takes from feedback, and what it keeps of code that is gone."""

from __future__ import annotations

from gardenerd.service.gathering import bound, learn_from_feedback
from gardenerd.store.examples import Stored, example_id
from gardenerd.store.feedback import Given
from gardenerd.store.stores import Stores
from tests.service.conftest import PROJECT

QUESTION = "how is the price of an order computed?"
ANSWER = "compute_price(order) in shop.py adds the items and takes off the discount"


def say(
    stores: Stores, verdict: str, *, answer: str = "a1", correction: str | None = None
) -> list[str]:
    """Judge the answer, gather, and give the texts that would be learned from."""
    given = stores.feedback.judgements(PROJECT)
    if answer not in {judged.answer for judged in given}:
        stores.feedback.record_answer(
            Given(id=answer, project=PROJECT, op="ask", question=QUESTION, text=ANSWER, sources=[],
                  adapter=None, base="seedling", created=1.0)
        )  # fmt: skip
    stores.feedback.record(answer, verdict, correction, None, 2.0)
    learn_from_feedback(PROJECT, stores, 3.0)
    assert stores.feedback.count_unharvested(PROJECT) == 0
    return [stored.text for stored in stores.examples.get(new(stores))]


def new(stores: Stores) -> list[str]:
    return [item.id for item in stores.examples.new(PROJECT)]


def code(name: str, **more: int) -> Stored:
    text = f"def {name}(order):\n    return sum(item.price for item in order)\n"
    return Stored(
        id=example_id(PROJECT, f"{name}.py", text), project=PROJECT, path=f"{name}.py", symbol=name,
        kind="function", language="python", text=text, weight=1.0, source="code",
        created=more.get("created", 1.0), used=0,
    )  # fmt: skip


def test_what_is_taken_back_is_not_learned_again(stores: Stores) -> None:
    assert say(stores, "good") == [f"{QUESTION}\n{ANSWER}"]
    assert say(stores, "bad") == []
    assert say(stores, "good", answer="a2") == [f"{QUESTION}\n{ANSWER}"]


def test_feedback_that_was_learned_from_is_not_new_again(stores: Stores) -> None:
    say(stores, "good")
    stores.examples.mark_used(dict.fromkeys(new(stores)))
    assert say(stores, "good") == []
    assert len(stores.examples.old(PROJECT)) == 1


def test_a_secret_that_somebody_typed_is_not_learned(stores: Stores) -> None:
    secret = "ghp_" + "a1B2c3D4e5" * 4
    assert say(stores, "bad", correction=f"set the token to {secret} before the start") == []


def test_code_that_was_away_is_not_new_when_it_comes_back(stores: Stores) -> None:
    away, here = code("away"), code("here")
    stores.examples.add([away, here])
    stores.examples.mark_used({away.id: 2.0, here.id: None})
    stores.examples.retire_path(PROJECT, away.path)
    bound(PROJECT, 10, stores)
    assert stores.examples.count(PROJECT) == 1
    stores.examples.add([away])
    assert (new(stores), len(stores.examples.old(PROJECT))) == ([], 2)


def test_code_that_is_gone_leaves_first_and_the_oldest_of_it_before_all(stores: Stores) -> None:
    gone = [code(f"gone{i}", created=float(i)) for i in range(4)]
    stores.examples.add([*gone, code("here"), code("there")])
    for each in gone:
        stores.examples.retire_path(PROJECT, each.path)
    bound(PROJECT, 3, stores)
    assert stores.examples.count(PROJECT) == 2
    assert [e.path for e in stores.examples.get(each.id for each in gone)] == ["gone3.py"]
