"""A night in one sentence."""

from __future__ import annotations

from typing import Any

from gardenerd.core.ledger import learned, sentence

EXAMPLES = [
    ("src/app/a.py", "function", False),
    ("src/app/a.py", "class", False),
    ("src/app/b.py", "function", True),
    ("setup.py", "module", True),
    ("feedback/7", "answer", False),
]
SCORES = {
    "recent": {"base": 2.2, "incumbent": 2.0, "candidate": 1.9},
    "older": {"base": 2.2, "incumbent": 2.0, "candidate": 1.9},
    "general": {"base": 1.0, "incumbent": 1.0, "candidate": 1.0},
}
REPORT: dict[str, Any] = {
    "learned": {"new": 225, "replayed": 230, "answers": 0, "files": 12, "folders": [["src", 90]]},
    "seconds": {"preparing": 10.0, "training": 110.0, "validating": 60.0},
    "joules": None,
}


def said(outcome: str, **changes: Any) -> str:
    whole: dict[str, Any] = {"version": "v7", "reason": "because", "scores": SCORES}
    return sentence(outcome=outcome, **{**whole, "report": REPORT, **changes})


def test_what_was_learned_is_counted_by_where_it_came_from() -> None:
    found = learned(EXAMPLES)
    assert (found.new, found.replayed, found.answers, found.files) == (2, 2, 1, 3)
    assert found.folders == [("src/app", 3), (".", 1)]


def test_a_promotion_is_told_with_its_gain() -> None:
    assert said("promoted") == (
        "learned from 225 new and 230 replayed examples of 12 files, most in src, in 3 min; "
        "v7 serves, 5.0% fewer bits per byte on held-out code"
    )


def test_answers_and_energy_are_named_where_there_are_any() -> None:
    more = {**REPORT, "learned": {**REPORT["learned"], "answers": 3}, "joules": 7_200.0}
    assert "and 3 of your answers examples" in said("abstained", report=more)
    assert "in 3 min and 2.0 Wh; not proven" in said("abstained", report=more)


def test_what_came_to_nothing_says_why() -> None:
    assert said("rolled_back").endswith("; what it learned was discarded (because)")
    assert said("skipped", report={}, reason="too little") == "skipped: too little"
    assert said("failed", report={}, reason="no memory") == "failed: no memory"
