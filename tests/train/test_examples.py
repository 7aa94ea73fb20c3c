from __future__ import annotations

from gardenerd.train.examples import NEAR, clean, containment
from gardenerd.workers.jobs import HeldOutText
from tests.train.runs import example, heldout


def held(*texts: str) -> list[HeldOutText]:
    return [HeldOutText(path=f"{i}.py", slice="older", text=t) for i, t in enumerate(texts)]


def test_unlike_examples_are_all_kept_in_order() -> None:
    examples = [example(i) for i in range(40)]
    assert clean(examples, heldout()) == (examples, {})


def test_no_example_is_near_held_out_code() -> None:
    examples = [example(i) for i in range(20)]
    # One function of a held-out file as it is, one with a name changed.
    changed = example(7).text.replace("_7_done", "_finish")
    texts = held("import os\n\n\n" + example(3).text + "\n\n" + example(5).text, changed)
    kept, dropped = clean(examples, texts)
    assert [e.id for e in examples if e not in kept] == ["3", "5", "7"]
    assert dropped == {"near held-out code": 3}
    assert all(containment(e.text, texts) < NEAR for e in kept)


def test_duplicates_exact_and_near_count_once() -> None:
    spaced = example(1, id="spaced", text=example(1).text.replace("    ", "\t"))
    long = "".join(example(i).text for i in range(10))
    edited = long.replace("apple_0_done", "apple_ready")
    kept, dropped = clean(
        [example(1), spaced, example(0, id="long", text=long), example(0, id="e", text=edited)], []
    )
    assert [e.id for e in kept] == ["1", "long"]
    assert dropped == {"duplicate": 1, "near-duplicate": 1}


def test_every_example_left_out_has_its_reason() -> None:
    kept, dropped = clean(
        [example(0, text="x = 1"), example(1, text=example(1).text + "KEY = '****'\n"), example(2)],
        [],
    )
    assert [e.id for e in kept] == ["2"]
    assert dropped == {"too short": 1, "contains a masked secret": 1}
