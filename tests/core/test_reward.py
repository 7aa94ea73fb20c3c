from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gardenerd.core.reward import reward, similarity

ANSWER = "def area(width, height):\n    return width * height\n"


def test_a_bare_verdict_is_worth_all() -> None:
    assert reward("good", ANSWER) == 1.0
    assert reward("bad", ANSWER) == -1.0


def test_a_small_correction_costs_little_and_a_rewrite_much() -> None:
    small = reward("good", ANSWER, ANSWER.replace("*", "+"))
    large = reward("good", ANSWER, "raise NotImplementedError")
    assert 0.8 < small < 1.0
    assert large < 0.2


def test_white_space_is_not_a_correction() -> None:
    assert reward("good", ANSWER, ANSWER.replace("    ", "\t")) == 1.0


@given(st.text(), st.text(), st.sampled_from(["good", "bad"]))
def test_within_bounds_and_never_against_the_verdict(one: str, other: str, verdict: str) -> None:
    value = reward(verdict, one, other)  # type: ignore[arg-type]
    assert -1 <= value <= 1
    assert value >= 0 if verdict == "good" else value <= 0


@given(st.text())
def test_a_text_is_like_itself(text: str) -> None:
    assert similarity(text, text) == 1.0


def test_a_weak_verdict_is_worth_half() -> None:
    assert reward("good", "x = 1", weak=True) == 0.5
    assert reward("bad", "x = 1", weak=True) == -0.5
    full = reward("good", "total = a + b", "total = a - b")
    assert 0 < reward("good", "total = a + b", "total = a - b", weak=True) == full / 2
