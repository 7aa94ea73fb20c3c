from __future__ import annotations

import pytest

from bench.languages import LANGUAGES, gain, questions, summary


def test_the_halves_are_all_and_share_no_commit() -> None:
    look, held = ({each["commit"] for each in questions(half)} for half in ("look", "held"))
    assert not look & held
    assert look | held == {each["commit"] for each in questions("all")}
    assert len(look) == len(held) == 30


def test_every_question_has_files_and_a_translation() -> None:
    for each in questions("all"):
        assert each["files"] and each["en"] and len(each["before"]) == 40
        assert sum(language in each for language in LANGUAGES) >= 3


def test_ranks_of_the_first_and_of_all_files() -> None:
    found = [
        {"commit": "a", "was": (None, None), "now": (1, 6)},
        {"commit": "b", "was": (2, None), "now": (2, 2)},
    ]
    assert summary(found, "now") == {"mrr": 0.75, "@1": 0.0, "@5": 0.5, "@10": 1.0}
    assert summary(found, "was") == {"mrr": 0.25, "@1": 0.0, "@5": 0.0, "@10": 0.0}


def test_translations_of_one_commit_are_no_independent_evidence() -> None:
    better, same = {"was": (2, 2), "now": (1, 1)}, {"was": (1, 1), "now": (1, 1)}
    one_each = [{"commit": "a", **better}, {"commit": "b", **same}]
    mean, wide = gain(one_each)
    assert mean == pytest.approx(0.25)
    repeated, still_wide = gain(one_each * 8)
    assert repeated == pytest.approx(mean)
    assert still_wide == pytest.approx(wide)
