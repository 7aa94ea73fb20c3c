"""Texts that were read before: who begins like one of them reads only what is new.

A completion goes on from the same lines, a conversation from the same turns. Kept are the states of
whole texts; the longest common beginning counts, to the token. States belong to the adapter that
computed them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gardenerd.answer.local.lora import Adapter
    from gardenerd.answer.local.rows import States

# A text of this model's first bytes costs less to read than to look after.
_LEAST_TOKENS = 16
MAX_BYTES = 256_000_000
"""Of states that are kept: about 20,000 tokens of the seedling or of a model of half a billion."""


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    adapter: Adapter | None
    tokens: np.ndarray[tuple[int], np.dtype[np.int64]]
    states: States


class Prefixes:
    """States by text, the least recently used ones dropped first.

    Texts come and are looked for in the model's thread; any thread may make room.
    """

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._known: OrderedDict[int, _Known] = OrderedDict()
        self._numbers = count()
        self._lock = Lock()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._known)

    def find(self, adapter: Adapter | None, ids: list[int]) -> tuple[States | None, int]:
        """States of the text that begins most like ``ids``, and in how many tokens: less than all
        of them, since something must be read to know what comes next."""
        wanted = np.array(ids[:-1])
        best, most = None, _LEAST_TOKENS - 1
        with self._lock:
            for number, known in self._known.items():
                if known.adapter is adapter and (same := _common(known.tokens, wanted)) > most:
                    best, most = number, same
            if best is None:
                return None, 0
            self._known.move_to_end(best)
            return self._known[best].states, most

    def keep(self, adapter: Adapter | None, ids: list[int], states: States) -> None:
        """Keep the states of the text ``ids``; shorter beginnings of it are dropped."""
        tokens = np.array(ids)
        size = states.bytes
        if len(tokens) < _LEAST_TOKENS or size > self._limit:
            return
        with self._lock:
            for number, known in list(self._known.items()):
                if known.adapter is not adapter:
                    continue
                same = _common(known.tokens, tokens)
                if same == len(tokens):
                    self._known.move_to_end(number)
                    return
                if same == len(known.tokens):
                    self._drop(number)
            while self._known and self.bytes + size > self._limit:
                self._drop(next(iter(self._known)))
            self._known[next(self._numbers)] = _Known(adapter, tokens, states)
            self.bytes += size

    def drop_oldest(self) -> bool:
        """Give up the text that was used least recently; False when there is none."""
        with self._lock:
            if not self._known:
                return False
            self._drop(next(iter(self._known)))
            return True

    def forget(self, adapter: Adapter) -> None:
        """Drop what was computed with an adapter."""
        with self._lock:
            for number, known in list(self._known.items()):
                if known.adapter is adapter:
                    self._drop(number)

    def _drop(self, number: int) -> None:
        self.bytes -= self._known.pop(number).states.bytes


def _common(one: np.ndarray, other: np.ndarray) -> int:
    """How many tokens both begin with."""
    length = min(len(one), len(other))
    differ = one[:length] != other[:length]
    return int(differ.argmax()) if differ.any() else length
