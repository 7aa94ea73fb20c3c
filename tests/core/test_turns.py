from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gardenerd.core.turns import Turn, Waiting, next_turn

NOW = 1_000_000.0


def waits(project: str, new: int, ago: float | None = None, failures: int = 0) -> Waiting:
    ended = None if ago is None else NOW - ago
    return Waiting(project=project, new_examples=new, last_ended=ended, failures=failures)


def test_without_projects_there_is_no_turn() -> None:
    assert next_turn([], 50, NOW) == Turn("", 0)


def test_the_one_that_waits_longest_comes_first_not_the_one_with_most() -> None:
    found = next_turn([waits("large", 900, ago=60), waits("small", 50, ago=3_600)], 50, NOW)
    assert found == Turn("small", 50)
    assert next_turn([waits("old", 90, ago=9_999), waits("new", 60)], 50, NOW).project == "new"


def test_without_enough_the_nearest_is_told_of() -> None:
    assert next_turn([waits("a", 3), waits("b", 40)], 50, NOW) == Turn("b", 40)


def test_one_that_fails_waits_longer_each_time_and_holds_up_no_other() -> None:
    failing = waits("a", 100, ago=20 * 60, failures=1)
    assert next_turn([failing], 50, NOW) == Turn("a", 100)
    again = waits("a", 100, ago=20 * 60, failures=2)
    assert "tried in 10 min" in next_turn([again], 50, NOW).reason
    assert next_turn([again, waits("b", 50, ago=1)], 50, NOW) == Turn("b", 50)


def test_no_failure_waits_longer_than_a_day() -> None:
    assert not next_turn([waits("a", 100, ago=86_401, failures=500)], 50, NOW).reason


@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.floats(0, 1e6), st.integers(0, 9)), min_size=1, max_size=9
    )
)
def test_some_project_is_named_and_a_reason_only_where_none_may_go(
    drawn: list[tuple[int, float, int]],
) -> None:
    waiting = [waits(str(i), *each) for i, each in enumerate(drawn)]
    turn = next_turn(waiting, 50, NOW)
    assert turn.project in {each.project for each in waiting}
    ready = [each for each in waiting if each.new_examples >= 50 and not each.failures]
    if ready:
        assert not turn.reason
