"""Which adapters are in memory, and which one goes when there are too many. Pure data."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LeastRecentlyUsed(Generic[K, V]):
    """Keys and values in the order of their last use, the oldest first.

    It drops nothing by itself: :meth:`excess` names what must go, and the owner, who holds the
    real memory, calls :meth:`pop` once it is freed.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[K]:
        return iter(self._kept)

    def get(self, key: K) -> V | None:
        """The value, and from now on the most recently used one; None when it is not kept."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]

    def put(self, key: K, value: V) -> None:
        self._kept[key] = value
        self._kept.move_to_end(key)

    def pop(self, key: K) -> V:
        return self._kept.pop(key)

    def excess(self, limit: int) -> list[K]:
        """The keys to drop so that at most ``limit`` stay, the least recently used first."""
        return list(self._kept)[: max(0, len(self._kept) - limit)]

    def clear(self) -> None:
        self._kept.clear()
