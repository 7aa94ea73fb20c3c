from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gardenerd.core.holdout import SHARE, held_out, is_held_out

PATHS = st.sets(st.text("abcdef/._", min_size=1, max_size=12), max_size=300)


def many(count: int) -> list[str]:
    return [f"package/module_{i}.py" for i in range(count)]


@given(PATHS)
def test_only_paths_of_the_project_and_always_something_left_to_train_on(paths: set[str]) -> None:
    chosen = held_out(paths)
    assert chosen <= paths
    if len(paths) >= 6:
        assert len(chosen) >= 3
        assert len(chosen - {p for p in paths if is_held_out(p)}) <= len(paths) // 2


@given(PATHS, st.text("xyz", min_size=1))
def test_a_file_held_out_by_its_hash_stays_so_whatever_is_added(paths: set[str], new: str) -> None:
    before = {path for path in held_out(paths) if is_held_out(path)}
    assert before <= held_out(paths | {new})


def test_the_order_of_the_paths_does_not_matter() -> None:
    paths = many(57)
    assert held_out(paths) == held_out(paths[::-1]) == held_out(set(paths))


def test_a_tenth_of_a_large_project() -> None:
    share = len(held_out(many(5_000))) / 5_000
    assert abs(share - SHARE) < 0.02


def test_a_project_of_a_hundred_files_has_enough_for_the_gate() -> None:
    assert len(held_out(many(100))) >= 12


def test_small_projects() -> None:
    assert len(held_out(many(1))) <= 1
    assert 3 <= len(held_out(many(8))) <= 5
    assert held_out([]) == set()


def test_growing_by_one_file_holds_out_at_most_one_that_was_trained_on() -> None:
    for count in range(6, 130):
        before, after = held_out(many(count)), held_out(many(count + 1))
        late = (after - before) - {f"package/module_{count}.py"}
        assert len(late) <= 1
