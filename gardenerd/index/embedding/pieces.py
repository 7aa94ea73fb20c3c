"""Remembers which pieces each word has, so that the tokenizer sees a word only once."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from gardenerd.index.embedding.words import Words, hashes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

_WORDS = 1 << 18
"""Words remembered; beyond it the memory starts anew. The standard library has about 100,000."""

_BITS = 19
"""Slots of the hash table, as a power of two: twice the words, so that probes stay short."""


class Pieces:
    """Remembers which pieces (token ids) each word has, by the word's hash."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._vocabulary: list[tuple[bytes, int]] = [
            (piece.encode(), token)
            for piece, token in tokenizer.get_vocab().items()
            if piece.isascii() and (piece.isdigit() or (piece.isalpha() and piece.islower()))
        ]
        self._forget()

    def _forget(self) -> None:
        """Start with the vocabulary alone: each whole word in it is one piece, itself."""
        self._keys = np.zeros(1 << _BITS, dtype=np.uint64)
        self._places = np.zeros(1 << _BITS, dtype=np.int32)
        self._firsts = np.zeros(_WORDS, dtype=np.int32)
        self._counts = np.zeros(_WORDS, dtype=np.int32)
        self._ids = np.zeros(4 * _WORDS, dtype=np.int32)
        self._words = self._used = 0
        hashes = hashes_of([word for word, _ in self._vocabulary])
        self._learn(hashes, [[token] for _, token in self._vocabulary])

    def of(self, words: Words) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The pieces of all `words` in a row, and (texts + 1,) where each text's begin."""
        places = self._find(words.hashes)
        missing = np.flatnonzero(places < 0)
        if len(missing):
            hashes, index = np.unique(words.hashes[missing], return_index=True)
            fresh = [words.read(int(missing[i])).decode("utf-8", "replace") for i in index]
            encoded = self._tokenizer.encode_batch_fast(fresh, add_special_tokens=False)
            pieces = [encoding.ids for encoding in encoded]
            total = sum(map(len, pieces))
            if self._words + len(hashes) > _WORDS or self._used + total > len(self._ids):
                self._forget()
                return self.of(words)
            self._learn(hashes, pieces)
            places = self._find(words.hashes)
        counts = self._counts[places]
        ends = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
        firsts = self._firsts[places]
        if ends[-1] == len(places):  # each word is one piece: the common case in plain prose
            return self._ids[firsts], words.first
        shift = np.repeat(firsts - ends[:-1], counts)
        return self._ids[shift + np.arange(ends[-1])], ends[words.first]

    def _slots(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (hashes >> np.uint64(64 - _BITS)).astype(np.int64)

    def _find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
        """(n,) place of each hash, -1 where it is not known. Open addressing, linear probes."""
        slots = self._slots(hashes)
        keys = self._keys[slots]
        places = np.where(keys == hashes, self._places[slots], np.int32(-1))
        open_ = np.flatnonzero((keys != hashes) & (keys != 0))
        while len(open_):
            slots[open_] = (slots[open_] + 1) & ((1 << _BITS) - 1)
            keys = self._keys[slots[open_]]
            hit = keys == hashes[open_]
            places[open_[hit]] = self._places[slots[open_[hit]]]
            open_ = open_[~hit & (keys != 0)]
        return places

    def _learn(self, hashes: NDArray[np.uint64], pieces: Sequence[Sequence[int]]) -> None:
        """Remember the `pieces` of words whose `hashes` are new and differ from each other."""
        number, total = len(pieces), sum(map(len, pieces))
        counts = np.fromiter(map(len, pieces), dtype=np.int32, count=number)
        new = slice(self._words, self._words + number)
        self._counts[new] = counts
        self._firsts[new] = self._used + np.cumsum(counts) - counts
        self._ids[self._used : self._used + total] = list(chain.from_iterable(pieces))
        places = np.arange(new.start, new.stop, dtype=np.int32)
        slots = self._slots(hashes)
        left = np.arange(number)
        while len(left):  # each round, one of those that want the same free slot gets it
            wanted, first = np.unique(slots[left], return_index=True)
            winners = left[first[self._keys[wanted] == 0]]
            self._keys[slots[winners]] = hashes[winners]
            self._places[slots[winners]] = places[winners]
            left = np.setdiff1d(left, winners, assume_unique=True)
            slots[left] = (slots[left] + 1) & ((1 << _BITS) - 1)
        self._words += number
        self._used += total
