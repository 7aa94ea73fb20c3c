"""What became of a completion, by the code alone."""

from __future__ import annotations

import pytest

from gardenerd.core.suggestions import LEFT_AFTER_S, fate, likeness

GIVEN = "total = price * amount\n    if member:\n        total *= 0.9\n    return total\n"
BEFORE = ["def cost(price, amount, member):", "    ", "", "def other():", "    return 1"]
DAY = LEFT_AFTER_S


def after(*lines: str) -> list[str]:
    return [BEFORE[0], *lines, *BEFORE[2:]]


def test_one_that_stands_in_the_code_was_taken_whatever_its_indentation() -> None:
    code = after("\ttotal = price*amount", "\tif member:", "\t\ttotal *= 0.9", "\treturn total")
    found = fate(GIVEN, 0.1, code, 2, 5.0)
    assert found is not None
    assert found.what == "taken"


def test_one_that_was_changed_is_a_correction_as_it_stands_now() -> None:
    code = after(
        "    total = price * amount", "    if member:", "        total -= 5", "    return total"
    )
    found = fate(GIVEN, 0.1, code, 2, 5.0)
    assert found is not None
    assert found.what == "edited"
    assert found.text == "\n".join(code[1:5])


def test_one_that_is_not_there_was_left_but_only_after_a_day() -> None:
    code = after("    raise NotImplementedError")
    assert fate(GIVEN, 0.1, code, 2, DAY - 1) is None
    found = fate(GIVEN, 0.1, code, 2, DAY)
    assert found is not None
    assert (found.what, found.text) == ("left", "")


@pytest.mark.parametrize("given", ["return 1", "", "\n\n", "x = 1"])
def test_of_a_short_one_nothing_can_be_told(given: str) -> None:
    assert fate(given, 0.0, ["return 1", "x = 1"], 1, 10 * DAY) is None


def test_what_stood_there_before_tells_nothing() -> None:
    code = ["def a():", *("    " + line for line in GIVEN.splitlines())]
    before, _ = likeness(GIVEN, code, 2)
    assert before > 0.95
    assert fate(GIVEN, before, code, 2, 10 * DAY) is None


def test_it_is_looked_for_near_its_place_only() -> None:
    far = ["pass"] * 100 + GIVEN.splitlines()
    assert likeness(GIVEN, far, 101)[0] > 0.95
    assert likeness(GIVEN, far, 5)[0] < 0.5
