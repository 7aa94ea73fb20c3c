"""Which texts are learned from feedback, and which never."""

from __future__ import annotations

from typing import Any

from gardenerd.core.targets import Judgement, targets


def judged(number: int, answer: str, verdict: Any, text: str = "x", **more: Any) -> Judgement:
    given: dict[str, Any] = {"question": "q", "op": "ask", "correction": None, "weak": False}
    given |= {"adapter": None, "created": float(number)}
    return Judgement(id=number, answer=answer, verdict=verdict, text=text, **(given | more))


def learned(*judgements: Judgement) -> list[tuple[str, str]]:
    return [(each.answer, text) for each, text in targets(judgements)]


def test_what_was_accepted_or_corrected_is_learned_and_what_was_rejected_is_not() -> None:
    assert learned(
        judged(1, "a", "good", "one"),
        judged(2, "b", "bad", "two"),
        judged(3, "c", "bad", "three", correction="four"),
        judged(4, "d", "good", "five", correction="six"),
    ) == [("a", "one"), ("c", "four"), ("d", "six")]


def test_of_an_answer_the_last_word_counts() -> None:
    assert learned(judged(1, "a", "good"), judged(2, "a", "bad")) == []
    assert learned(judged(1, "a", "bad"), judged(2, "a", "good")) == [("a", "x")]


def test_what_a_person_said_outweighs_what_was_read_from_the_code() -> None:
    assert learned(judged(1, "a", "bad"), judged(2, "a", "good", weak=True)) == []
    assert learned(judged(1, "a", "good", weak=True), judged(2, "b", "bad")) == []
    assert learned(judged(1, "a", "good"), judged(2, "b", "bad", weak=True)) == [("a", "x")]


def test_a_rejected_text_does_not_come_back_under_another_answer() -> None:
    no = judged(1, "a", "bad", "return  None\n")
    assert learned(judged(0, "b", "good", "return None"), no) == []
    assert learned(judged(0, "b", "bad", "else", correction="return None"), no) == []
    assert learned(no, judged(2, "b", "good", "else")) == [("b", "else")]


def test_a_rejected_text_that_somebody_took_to_later_is_learned() -> None:
    no = judged(1, "a", "bad", "return None")
    assert learned(no, judged(2, "b", "good", "return None")) == [("b", "return None")]
    assert learned(no, judged(2, "b", "bad", "y", correction="return None")) == [
        ("b", "return None")
    ]


def test_an_answer_judged_again_is_judged_at_the_later_time() -> None:
    first = judged(1, "b", "good", "return None")
    no = judged(2, "a", "bad", "return None")
    again = judged(3, "b", "good", "return None")
    assert learned(first, no) == []
    assert learned(first, no, again) == [("b", "return None")]
