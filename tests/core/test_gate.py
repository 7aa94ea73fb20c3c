from __future__ import annotations

import math
import random
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gardenerd.core.evidence import Day, wealth
from gardenerd.core.gate import BAR as DAYS_BAR
from gardenerd.core.gate import BAR_OF_FILES as BAR
from gardenerd.core.gate import MIN_DAYS, Decision, decide
from gardenerd.workers.train_jobs import PairedScore, RunReport

Slice = Literal["recent", "older", "general"]


def scored(
    gain: float, *, count: int = 12, slice: Slice = "older", size: int = 5_000, base: float = 2.0
) -> list[PairedScore]:
    return [
        PairedScore(
            path=f"{slice}{i}.py",
            slice=slice,
            bytes=size,
            base=base,
            incumbent=base,
            candidate=base - gain,
        )
        for i in range(count)
    ]


def report(scores: list[PairedScore], **changes: Any) -> RunReport:
    whole = RunReport(
        scores=scores,
        finite=True,
        trained_parameters=1_000,
        planned_parameters=1_000,
        base_unchanged=True,
        steps=10,
        tokens=10_000,
        examples=100,
        dropped={},
        loss_first=3.0,
        loss_last=2.0,
        tokens_per_second=1.0,
        seconds={},
    )
    return msgspec.structs.replace(whole, **changes)


def judged(scores: list[PairedScore], **changes: Any) -> Decision:
    return decide(report(scores, **changes))


def test_a_clear_gain_is_promoted_and_the_figures_are_named() -> None:
    decision = judged(scored(0.1) + scored(0.0, slice="general", count=5))
    assert decision.outcome == "promoted"
    assert "2.000 → 1.900" in decision.reason
    assert "12 of 12" in decision.reason
    assert decision.scores["older"] == pytest.approx(
        {"base": 2.0, "incumbent": 2.0, "candidate": 1.9}
    )
    assert decision.evidence >= BAR


@pytest.mark.parametrize(
    ("scores", "changes", "words"),
    [
        (scored(0.1), {"finite": False}, "not finite"),
        (scored(math.nan), {}, "not finite"),
        (scored(0.1), {"trained_parameters": 2_000}, "2,000 parameters"),
        (scored(0.1), {"base_unchanged": False}, "base model's weights changed"),
        (scored(0.1), {"base_variety": 0.8, "variety": 0.02}, "collapsed into repetition"),
        (scored(-0.01), {}, "no better"),
        (scored(0.0), {}, "no better"),
        (scored(0.1) + scored(-0.2, slice="general"), {}, "general code got worse"),
        (scored(0.3, slice="recent") + scored(-0.1), {}, "older code got worse"),
        (scored(0.3) + scored(-0.1, slice="recent"), {}, "recent code got worse"),
    ],
)
def test_what_is_rolled_back(
    scores: list[PairedScore], changes: dict[str, Any], words: str
) -> None:
    decision = judged(scores, **changes)
    assert decision.outcome == "rolled_back"
    assert words in decision.reason


def test_a_lineage_may_begin_a_little_worse_but_not_go_on_so() -> None:
    scores = scored(-0.005)  # of 2.0
    begun = decide(report(scores), first=False)
    assert (begun.outcome, begun.kept) == ("abstained", True)
    day = Day(day="001", bytes=2_000, gain=0.05)
    for refused in (
        decide(report(scored(-0.02)), first=False),
        decide(report(scores), [day], first=False),
        decide(report(scores), first=True),
    ):
        assert (refused.outcome, refused.kept) == ("rolled_back", False)


def test_older_code_is_also_compared_with_the_incumbent() -> None:
    older = [msgspec.structs.replace(score, incumbent=1.5, candidate=1.6) for score in scored(0.0)]
    decision = judged(older + scored(0.5, slice="recent", count=40))
    assert decision.outcome == "rolled_back"
    assert "under the incumbent" in decision.reason


@pytest.mark.parametrize("scores", [[], scored(0.1, count=2), scored(0.1, size=100)])
def test_too_little_to_judge_by(scores: list[PairedScore]) -> None:
    assert judged(scores).outcome == "abstained"


def test_fewer_days_than_needed_never_suffice() -> None:
    assert wealth([1.0] * (MIN_DAYS - 1)) < DAYS_BAR <= wealth([1.0] * MIN_DAYS)


def test_one_great_gain_cannot_outvote_many_losses() -> None:
    decision = judged([*scored(-0.005, count=11), *scored(1.9, count=1, slice="recent")])
    assert decision.outcome != "promoted"


@pytest.mark.parametrize("gain", [0.0004, 0.009])
def test_what_one_night_may_share_is_no_evidence_but_the_candidate_goes_on(gain: float) -> None:
    decision = judged(scored(gain, count=40))
    assert (decision.outcome, decision.kept) == ("abstained", True)
    assert "not proven better yet" in decision.reason


@given(st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=40))
def test_never_promoted_when_worse_on_the_whole(gains: list[float]) -> None:
    scores = [scored(gain, count=1)[0] for gain in gains]
    if sum(gains) <= 0:
        assert judged(scores).outcome != "promoted"


@given(st.lists(st.floats(-3, 3), max_size=60), st.integers(0, 59), st.floats(0, 3))
def test_evidence_grows_with_any_gain_and_needs_no_order(
    gains: list[float], place: int, more: float
) -> None:
    assert wealth(reversed(gains)) == pytest.approx(wealth(gains))
    if place < len(gains):
        better = [g + more if i == place else g for i, g in enumerate(gains)]
        assert wealth(better) >= wealth(gains) * (1 - 1e-9)


def test_evidence_of_thousands_of_files_is_finite() -> None:
    assert math.isfinite(wealth([1.0] * 50_000))
    assert wealth([-1.0] * 50_000) >= 0


def test_a_learner_that_learns_nothing_is_promoted_once_in_a_hundred_runs_at_most() -> None:
    draw = random.Random(20_261_120)
    runs, promoted = 3_000, 0
    for _ in range(runs):
        gains = [draw.gauss(0.0, 0.02) for _ in range(20)]
        promoted += wealth(gains) >= BAR
    assert promoted / runs <= 0.01


def test_a_learner_that_learns_is_nearly_always_promoted() -> None:
    draw = random.Random(20_261_121)
    gains = [[draw.gauss(0.05, 0.02) for _ in range(15)] for _ in range(200)]
    promoted = sum(wealth(files) >= BAR for files in gains)
    assert promoted >= 180


@pytest.mark.parametrize(("gain", "outcome"), [(0.004, "promoted"), (0.0025, "abstained")])
def test_a_gain_that_one_night_can_undo_is_not_worth_a_change(gain: float, outcome: str) -> None:
    days = [Day(day=f"{i:03}", bytes=2_000, gain=gain) for i in range(60)]
    assert wealth(day.gain for day in days) >= DAYS_BAR
    decision = decide(report(scored(0.1)), days, first=False)
    assert decision.outcome == outcome


def test_nor_is_one_that_the_last_day_did_not_show() -> None:
    days = [Day(day=f"{i:03}", bytes=2_000, gain=0.02) for i in range(20)]
    late = [*days, Day(day="020", bytes=2_000, gain=-0.001)]
    assert decide(report(scored(0.1)), days, first=False).outcome == "promoted"
    assert decide(report(scored(0.1)), late, first=False).outcome == "abstained"
