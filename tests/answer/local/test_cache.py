"""The least recently used adapters go first."""

from hypothesis import given
from hypothesis import strategies as st

from gardenerd.answer.local.cache import LeastRecentlyUsed


def test_what_was_used_last_stays() -> None:
    kept: LeastRecentlyUsed[str, int] = LeastRecentlyUsed()
    for number, key in enumerate("abc"):
        kept.put(key, number)
    assert kept.get("a") == 0
    assert kept.excess(2) == ["b"]
    assert kept.excess(3) == []
    assert kept.pop("b") == 1
    assert kept.get("b") is None
    assert list(kept) == ["c", "a"]


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 5))
def test_the_last_distinct_keys_are_kept(uses: list[int], limit: int) -> None:
    kept: LeastRecentlyUsed[int, str] = LeastRecentlyUsed()
    for key in uses:
        if kept.get(key) is None:
            for old in kept.excess(limit - 1):
                kept.pop(old)
            kept.put(key, str(key))
        assert len(kept) <= limit
    latest = list(dict.fromkeys(reversed(uses)))[:limit]
    assert list(kept) == latest[::-1]
