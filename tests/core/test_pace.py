"""May we train now? Every refusal has its reason; unknown never counts as permission."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gardenerd.core.pace import Facts, in_window, may_train
from gardenerd.settings import Loop

NIGHT = Facts(
    minute=3 * 60, now=1_000.0, idle_seconds=7_200.0, on_battery=False, free_memory_mb=8_000,
    new_examples=60,
)  # fmt: skip


def test_a_quiet_night_is_allowed() -> None:
    verdict = may_train(NIGHT, Loop())
    assert verdict.allowed
    assert "02:00-06:00" in verdict.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"new_examples": 12}, "waiting for 38 more examples (12 of 50)"),
        ({"on_battery": True}, "on battery"),
        ({"hot": True}, "hot"),
        ({"free_memory_mb": 300.0}, "memory"),
        ({"paused_until": float("inf")}, "paused by you"),
        ({"paused_until": 1_600.0}, "10 min"),
        ({"idle_seconds": 3.0}, "you are active"),
        ({"busy": 0.9}, "busy"),
        ({"minute": 12 * 60, "idle_seconds": 30.0}, "outside the window"),
        ({"minute": 12 * 60, "idle_seconds": None}, "unknown"),
    ],
)
def test_each_refusal_says_why(change: dict[str, object], words: str) -> None:
    verdict = may_train(replace(NIGHT, **change), Loop())
    assert not verdict.allowed
    assert words in verdict.reason


def test_an_idle_user_is_enough_at_noon() -> None:
    assert may_train(replace(NIGHT, minute=720, idle_seconds=700.0), Loop()).allowed


def test_a_pause_that_is_over_holds_nothing() -> None:
    assert may_train(replace(NIGHT, paused_until=999.0), Loop()).allowed


def test_a_run_under_way_needs_no_more_examples() -> None:
    assert may_train(replace(NIGHT, running=True, new_examples=0), Loop()).allowed


def test_battery_can_be_allowed() -> None:
    assert may_train(replace(NIGHT, on_battery=True), Loop(on_battery=True)).allowed


@given(st.integers(0, 1_439), st.integers(0, 1_439), st.integers(1, 1_439))
def test_windows_pass_midnight(minute: int, start: int, length: int) -> None:
    window = (start, (start + length) % 1_440)
    assert in_window(minute, window) == ((minute - start) % 1_440 < length)


DAY = 86_400.0
# Nine in the morning of a day that began at 10 * DAY; the window ended three hours ago.
MORNING = replace(NIGHT, minute=9 * 60, now=10 * DAY + 9 * 3_600, tending_since=0.0)


@pytest.mark.parametrize(
    ("change", "allowed", "words"),
    [
        ({"idle_seconds": 301.0}, True, "passed in sleep, and you have been away for 5 min"),
        ({"idle_seconds": 200.0}, False, "of 5 min"),
        # It was awake in the night, so what was to do was done, or refused for a reason.
        ({"idle_seconds": 301.0, "awake_in_window": 10 * DAY + 3 * 3_600}, False, "of 10 min"),
        # Awake in the night before the last: that window is another one.
        ({"idle_seconds": 301.0, "awake_in_window": 9 * DAY + 3 * 3_600}, True, "passed in sleep"),
        # The project came after the window.
        ({"idle_seconds": 301.0, "tending_since": 10 * DAY + 7 * 3_600}, False, "of 10 min"),
    ],
)
def test_a_window_that_passed_in_sleep_is_caught_up(
    change: dict[str, Any], allowed: bool, words: str
) -> None:
    verdict = may_train(replace(MORNING, **change), Loop())
    assert verdict.allowed is allowed
    assert words in verdict.reason


def test_it_is_caught_up_also_where_idleness_is_no_trigger() -> None:
    settings = Loop(idle_minutes=0)
    assert may_train(replace(MORNING, idle_seconds=400.0), settings).allowed
    awake = replace(MORNING, idle_seconds=400.0, awake_in_window=10 * DAY + 3 * 3_600)
    assert not may_train(awake, settings).allowed
