"""Settling: nothing lost, nothing early, nothing later than promised, in any order of events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gardenerd.core.batch import Batcher

SETTLE, MAX = 0.05, 2.0
EVENTS = st.lists(
    st.tuples(
        st.floats(0, 0.5), st.sampled_from("ab"), st.sets(st.sampled_from("xyz"), min_size=1)
    ),
    max_size=40,
)


@given(EVENTS)
def test_every_change_comes_out_once_it_is_quiet_and_never_early(
    happened: list[tuple[float, str, set[str]]],
) -> None:
    batcher, now = Batcher(SETTLE, MAX), 0.0
    waiting: dict[str, set[str]] = {}
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for pause, project, paths in happened:
        now += pause
        for batch in batcher.due(now):
            assert batch.paths == waiting.pop(batch.project)
            quiet = now - last[batch.project] >= SETTLE - 1e-9
            late = now - first.pop(batch.project) >= MAX - 1e-9
            assert quiet or late
        batcher.add(project, paths, now)
        first.setdefault(project, now)
        last[project] = now
        waiting.setdefault(project, set()).update(paths)
        rest = batcher.next_due(now)
        assert rest is not None
        assert rest <= SETTLE + 1e-9
    for batch in batcher.due(now + MAX):
        assert batch.paths == waiting.pop(batch.project)
    assert waiting == {}
    assert not batcher.waiting()


def test_a_stream_that_never_pauses_is_still_handed_on() -> None:
    batcher = Batcher(SETTLE, MAX)
    handed = []
    for tick in range(300):
        now = tick * 0.01
        batcher.add("p", [f"f{tick}"], now)
        handed += [now for _ in batcher.due(now)]
    assert handed
    assert handed[0] <= MAX + 0.02


def test_dropping_forgets_one_project_alone() -> None:
    batcher = Batcher(SETTLE, MAX)
    batcher.add("a", ["x"], 0.0)
    batcher.add("b", ["y"], 0.0)
    batcher.drop("a")
    assert not batcher.waiting("a")
    assert [batch.project for batch in batcher.due(1.0)] == ["b"]


def test_impossible_times_are_refused() -> None:
    with pytest.raises(ValueError, match="settle"):
        Batcher(3.0, 2.0)
