"""Which examples a run learns from, and which the buffer keeps. Pure and seeded."""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

Stratum = tuple[str, str, int]

TELLING_SHARE = 0.5
"""Of what is replayed, so much is chosen by what it cost; the floor for all the rest is as much."""
_BAND = 0.5, 0.95  # of the examples by cost
_MONTH = 30 * 86_400.0


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an example when one chooses among many."""

    id: str
    path: str
    """Of the file it comes from, with ``/``."""
    kind: str
    created: float = 0.0
    """When it came into the buffer, in seconds since the epoch."""
    cost: float | None = None
    """Nats a token, when a run last came to it; None if none did, or it is not known."""

    @property
    def stratum(self) -> Stratum:
        """Its folder, kind and age: each is represented in proportion."""
        return self.path.rpartition("/")[0], self.kind, int(self.created // _MONTH)


def compose(
    new: Sequence[Item],
    old: Sequence[Item],
    size: int,
    replay_share: float,
    seed: int,
    *,
    since: float = 0.0,
    telling_share: float = TELLING_SHARE,
) -> list[str]:
    """Choose a training set: ids of ``size`` examples, or of all when there are fewer.

    ``replay_share`` of them are old ones; where either side has too few, the other fills up.
    Each side is spread over folders, kinds and months in proportion. The order is seeded too.

    Args:
        new: examples not trained on yet. Those that came ``since`` go before those left over from
            earlier runs, which a project has for as long as it is larger than what runs have taken.
        old: examples for replay; one that is also new counts as new.
        telling_share: of what is replayed, so much is chosen by what it cost.
    """
    fresh = {item.id: item for item in new}
    rest = {item.id: item for item in old if item.id not in fresh}
    replayed = min(round(size * replay_share), len(rest))
    learned = min(size - replayed, len(fresh))
    replayed = min(size - learned, len(rest))
    came = [item for item in fresh.values() if item.created > since]
    left = [item for item in fresh.values() if item.created <= since]
    ranked = _spread(came, seed) + _spread(left, seed)
    chosen = ranked[:learned] + _replayed(list(rest.values()), replayed, seed, telling_share)
    return sorted((item.id for item in chosen), key=lambda key: rank(seed + 1, key))


def evict(items: Iterable[Item], bound: int, seed: int) -> list[str]:
    """The ids to drop so that ``bound`` examples stay.

    They come from the fullest folder, kind and month, by a rank that depends on the seed and the id
    alone: within each stratum what stays is a uniform sample of all that ever came.
    """
    strata: dict[Stratum, list[Item]] = defaultdict(list)
    for item in items:
        strata[item.stratum].append(item)
    for members in strata.values():
        members.sort(key=lambda item: rank(seed, item.id))
    excess = sum(map(len, strata.values())) - bound
    fullest = [(-len(members), stratum) for stratum, members in strata.items()]
    heapq.heapify(fullest)
    dropped: list[str] = []
    while len(dropped) < excess:
        _, stratum = heapq.heappop(fullest)
        dropped.append(strata[stratum].pop().id)
        heapq.heappush(fullest, (-len(strata[stratum]), stratum))
    return dropped


def _replayed(old: list[Item], count: int, seed: int, telling_share: float) -> list[Item]:
    """So many from among those that still tell something, the rest from all others."""
    telling = _spread(_telling(old), seed)[: round(count * telling_share)]
    rest = _spread(set(old) - set(telling), seed)
    return telling + rest[: count - len(telling)]


def _telling(old: list[Item]) -> list[Item]:
    """Those between the middle and the dearest twentieth by what they cost: what is known well
    teaches nothing, and what costs most is data and chance."""
    known = sorted((item for item in old if item.cost is not None), key=_cost)
    return known[int(len(known) * _BAND[0]) : int(len(known) * _BAND[1])]


def _cost(item: Item) -> tuple[float, str]:
    return item.cost or 0.0, item.id


def _spread(items: Iterable[Item], seed: int) -> list[Item]:
    """An order whose every beginning holds the strata in proportion."""
    strata: dict[Stratum, list[Item]] = defaultdict(list)
    for item in items:
        strata[item.stratum].append(item)
    placed: list[tuple[float, bytes, Item]] = []
    for members in strata.values():
        members.sort(key=lambda item: rank(seed, item.id))
        placed += [
            ((place + 0.5) / len(members), rank(seed, item.id), item)
            for place, item in enumerate(members)
        ]
    placed.sort(key=lambda entry: entry[:2])
    return [item for _, _, item in placed]


def rank(seed: int, key: str) -> bytes:
    """Where the seed puts ``key`` in its order of all keys."""
    return hashlib.blake2b(f"{seed}\0{key}".encode(), digest_size=12).digest()
