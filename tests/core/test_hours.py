"""The hours in which the user works least."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gardenerd.core import hours
from gardenerd.core.pace import Facts, may_train
from gardenerd.settings import Loop

LEARNED = Loop(window="learned", idle_minutes=0)


def worked(*spans: tuple[int, int], minutes: int = 300) -> list[int]:
    return [minutes if any(a <= h < b for a, b in spans) else 0 for h in range(24)]


def test_who_works_at_night_is_trained_for_in_the_morning() -> None:
    counts = worked((14, 24), (0, 6))
    first, last = hours.window(LEARNED, counts, 20) or (0, 0)
    assert 6 * 60 <= first < last <= 14 * 60


def test_the_quietest_window_may_pass_midnight() -> None:
    assert hours.quietest(worked((2, 22))) == (22 * 60, 2 * 60)


def test_of_equally_quiet_hours_those_nearest_to_two() -> None:
    assert hours.quietest([0] * 24) == hours.DEFAULT
    assert hours.quietest(worked((8, 23))) == hours.DEFAULT


def test_until_a_week_is_known_the_usual_window() -> None:
    counts = worked((14, 24), (0, 6))
    assert hours.window(LEARNED, counts, hours.LEAST_DAYS - 1) == hours.DEFAULT
    assert hours.window(Loop(window="01:00-02:00"), counts, 28) == (60, 120)
    assert hours.window(Loop(window=""), counts, 28) is None


@given(st.lists(st.integers(0, 1_680), min_size=24, max_size=24))
def test_no_four_hours_are_quieter(counts: list[int]) -> None:
    first, last = hours.quietest(counts)
    assert (last - first) % (24 * 60) == 4 * 60

    def inside(begin: int) -> int:
        return sum(counts[(begin + i) % 24] for i in range(4))

    least = min(inside(begin) for begin in range(24))
    # The hours beside count a hundredth each.
    assert inside(first // 60) <= least + 2 * 1_680 / 100


@pytest.mark.parametrize(("hour", "allowed"), [(9, True), (3, False)])
def test_the_pace_follows_them_and_says_so(hour: int, allowed: bool) -> None:
    counts = tuple(worked((14, 24), (0, 6)))
    facts = Facts(minute=hour * 60, new_examples=100, activity=counts, active_days=20)
    verdict = may_train(facts, LEARNED)
    assert verdict.allowed is allowed
    assert "your quietest" in verdict.reason


def test_before_they_are_known_that_is_said() -> None:
    facts = Facts(minute=9 * 60, new_examples=100, active_days=3)
    reason = may_train(facts, LEARNED).reason
    assert reason == "outside the hours 02:00-06:00 (yours are known after 7 days of use)"
