"""Held-out files are divided into what is new and what must not be forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gardenerd.core.slices import slices

CHANGED = {f"f{number}.py": float(number) for number in range(9)}


def test_before_the_first_run_the_latest_third_is_recent() -> None:
    chosen = slices(CHANGED, None, 40)
    assert {path for path, name in chosen.items() if name == "recent"} == {
        "f8.py",
        "f7.py",
        "f6.py",
    }


def test_after_a_run_what_changed_since_is_recent() -> None:
    chosen = slices(CHANGED, 6.5, 40)
    assert sorted(path for path, name in chosen.items() if name == "recent") == ["f7.py", "f8.py"]


def test_when_nothing_changed_since_there_is_still_something_recent() -> None:
    assert "recent" in slices(CHANGED, 100.0, 40).values()


@given(st.dictionaries(st.text(max_size=5), st.floats(0, 9)), st.integers(0, 5))
def test_the_limit_holds_for_each_slice(changed: dict[str, float], limit: int) -> None:
    chosen = slices(changed, None, limit)
    for name in ("recent", "older"):
        assert sum(value == name for value in chosen.values()) <= limit
    assert set(chosen) <= set(changed)
