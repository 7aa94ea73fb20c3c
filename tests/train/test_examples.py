from __future__ import annotations

import keyword
import re
import textwrap

import pytest

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


HELD_OUT = '''def balance(beds, water, reserve=0.1):
    """Give each bed its share of the water that is not kept in reserve."""
    usable = water * (1 - reserve)
    thirst = {bed.name: bed.size * bed.dryness for bed in beds if not bed.covered}
    total = sum(thirst.values())
    if total == 0:
        return {name: 0.0 for name in thirst}
    shares = {}
    for name, need in sorted(thirst.items()):
        share = usable * need / total
        if share > need:
            usable += (share - need) / len(thirst)
            share = need
        shares[name] = round(share, 2)
    left = water - sum(shares.values())
    return shares, max(left, 0.0)
'''
LINES = HELD_OUT.splitlines(keepends=True)
OTHERS = "\n\n".join(example(i).text for i in range(12))
MESSAGE = "".join(
    f"# {line}\n"
    for line in textwrap.wrap(
        "Water the beds by how dry they are and not by the order in which they were planted, since "
        "the last ones went without in a dry summer, which nobody saw until August. The reserve "
        "stays as large as it was. Refs #12, and see the notes of the spring meeting."
    )
)
PROSE = "The water is shared by need. What follows does that, as you asked, and keeps a reserve:\n"
SMUGGLED = {
    "as it is": HELD_OUT,
    "with other white space": re.sub(r" ?([=*/(),-]) ?", r"\n  \1  ", HELD_OUT),
    "with tabs": HELD_OUT.replace("    ", "\t"),
    "with a name changed": HELD_OUT.replace("thirst", "needed"),
    "in a class": "class Waterer:\n    barrel = 3\n\n" + textwrap.indent(HELD_OUT, "    "),
    "first half": "".join(LINES[:9]),
    "second half": "".join(LINES[9:]),
    "among other code": f"{OTHERS}\n\n{HELD_OUT}\n\n{OTHERS.replace('_', 'x')}",
    "in a commit": MESSAGE + HELD_OUT,
    "half of it in a commit": MESSAGE + "".join(LINES[4:]),
    "in feedback": f"how is water shared among the beds?\n{PROSE}```python\n{HELD_OUT}```\n{PROSE}",
}


@pytest.mark.parametrize("how", SMUGGLED)
def test_held_out_code_cannot_be_smuggled_in(how: str) -> None:
    texts = held("import os\n\n\n" + HELD_OUT + "\n\n" + example(30).text)
    kept, dropped = clean([example(20, text=SMUGGLED[how])], texts)
    assert (kept, dropped) == ([], {"near held-out code": 1})
    # What it was hidden in is no reason by itself.
    for text in (OTHERS, MESSAGE + PROSE):
        assert clean([example(20, text=text)], texts)[1] == {}


def test_the_limit_other_names_throughout_are_other_code() -> None:
    names = set(re.findall(r"[a-z]\w+", HELD_OUT)) - set(keyword.kwlist)
    renamed = re.sub(r"[a-z]\w+", lambda m: f"{m[0][::-1]}_x" if m[0] in names else m[0], HELD_OUT)
    assert clean([example(20, text=renamed)], held(HELD_OUT))[1] == {}


def test_the_limit_a_few_lines_within_much_else_are_not_found() -> None:
    few = OTHERS + "".join(LINES[2:5]) + OTHERS.replace("_", "x")
    assert clean([example(20, text=few)], held(HELD_OUT))[1] == {}
