"""Texts as sparse rows of counts: of a tokenizer's pieces, or of whole words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array, vstack

from gardenerd.index.embedding.pieces import Pieces
from gardenerd.index.embedding.words import Words, as_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer

Rows = Any
"""A two-dimensional float32 `scipy.sparse.csr_array`, whose types say neither."""


class Counts:
    """Turns texts into rows of piece counts."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._pieces = Pieces(tokenizer)
        self._width = tokenizer.get_vocab_size()

    def __call__(self, texts: Sequence[str], *, block: int = 256) -> Rows:
        """(texts, vocabulary) float32, how often each piece occurs in each text."""
        rows: list[Rows] = []
        for first in range(0, len(texts), block):
            words = Words([as_bytes(text) for text in texts[first : first + block]])
            ids, bounds = self._pieces.of(words)
            shape = (len(bounds) - 1, self._width)
            row = csr_array((np.ones(len(ids), np.float32), ids, bounds), shape=shape)
            row.sum_duplicates()
            rows.append(row)
        if not rows:
            return csr_array((0, self._width), dtype=np.float32)
        return csr_array(vstack(rows, format="csr"))


def word_counts(texts: Sequence[str], vocabulary: dict[str, int]) -> Rows:
    """(texts, len(vocabulary)) counts of whole words (the rule of `words`); fills `vocabulary`."""
    words = Words([as_bytes(text) for text in texts])
    ids = [
        vocabulary.setdefault(words.read(index).decode("utf-8", "replace"), len(vocabulary))
        for index in range(len(words.starts))
    ]
    shape = (len(texts), len(vocabulary))
    rows = csr_array((np.ones(len(ids), np.float32), np.array(ids), words.first), shape=shape)
    rows.sum_duplicates()
    return rows
