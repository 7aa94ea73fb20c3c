from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gardenerd.core.replay import Item, compose, evict


def items(prefix: str, count: int, *, folders: int = 4) -> list[Item]:
    return [
        Item(
            id=f"{prefix}{i}",
            path=f"folder{i % folders}/m{i}.py",
            kind=("function", "class")[i % 2],
        )
        for i in range(count)
    ]


SIZES = st.integers(0, 60)


@given(SIZES, SIZES, st.integers(0, 80), st.floats(0, 0.95), st.integers())
def test_as_many_as_asked_or_all_and_none_twice(
    new: int, old: int, size: int, share: float, seed: int
) -> None:
    chosen = compose(items("n", new), items("o", old), size, share, seed)
    assert len(chosen) == len(set(chosen)) == min(size, new + old)


@given(st.integers(0, 80), st.integers())
def test_the_share_of_old_examples(size: int, seed: int) -> None:
    chosen = compose(items("n", 100), items("o", 100), size, 0.5, seed)
    assert sum(key.startswith("o") for key in chosen) == round(size * 0.5)


def test_an_example_on_both_sides_counts_as_new() -> None:
    both = items("n", 10)
    assert sorted(compose(both, both, 20, 0.5, 0)) == sorted(item.id for item in both)


def test_the_choice_is_the_seeds_and_not_the_orders() -> None:
    new, old = items("n", 50), items("o", 50)
    first = compose(new, old, 30, 0.5, 7)
    assert first == compose(new[::-1], old[::-1], 30, 0.5, 7)
    assert first != compose(new, old, 30, 0.5, 8)


def test_folders_are_represented_in_proportion() -> None:
    large = [Item(id=f"a{i}", path=f"large/{i}.py", kind="function") for i in range(900)]
    small = [Item(id=f"b{i}", path=f"small/{i}.py", kind="function") for i in range(100)]
    chosen = compose(large + small, [], 100, 0.5, 3)
    assert sum(key.startswith("b") for key in chosen) == 10


def test_months_are_represented_in_proportion() -> None:
    month = 30 * 86_400.0
    old = [
        Item(id=f"{age}-{i}", path="a.py", kind="function", created=age * month + i)
        for age, count in enumerate((60, 30, 10))
        for i in range(count)
    ]
    chosen = compose([], old, 20, 0.5, seed=3)
    assert Counter(key[0] for key in chosen) == {"0": 12, "1": 6, "2": 2}


@given(SIZES, st.integers(0, 70), st.integers())
def test_the_buffer_keeps_to_its_bound(count: int, bound: int, seed: int) -> None:
    held = items("x", count)
    dropped = evict(held, bound, seed)
    assert len(dropped) == len(set(dropped)) == max(0, count - bound)
    assert set(dropped) <= {item.id for item in held}


def test_the_fullest_folder_gives_way_first() -> None:
    large = [Item(id=f"a{i}", path=f"large/{i}.py", kind="function") for i in range(90)]
    small = [Item(id=f"b{i}", path=f"small/{i}.py", kind="function") for i in range(10)]
    dropped = evict(large + small, 50, 1)
    assert Counter(key[0] for key in dropped) == {"a": 50}


def test_evicting_little_by_little_keeps_what_evicting_at_once_keeps() -> None:
    held = items("x", 100, folders=1)
    alive = {item.id: item for item in held[:40]}
    for item in held[40:]:
        alive[item.id] = item
        for key in evict(alive.values(), 40, 5):
            del alive[key]
    assert set(alive) == {item.id for item in held} - set(evict(held, 40, 5))


def test_half_of_what_is_replayed_still_tells_something_and_the_rest_is_any() -> None:
    costs = [msgspec.structs.replace(item, cost=i / 100) for i, item in enumerate(items("c", 200))]
    unknown = items("u", 200)
    chosen = set(compose([], costs + unknown, 40, 0.5, 3))
    telling = {item.id for item in costs[100:190]}
    assert 20 <= len(chosen & telling) < 35  # the half, and some of the rest by chance
    assert any(key.startswith("u") for key in chosen)
    rarely = {item.id for item in costs[:100] + costs[190:]}
    assert len(chosen & rarely) <= 15
