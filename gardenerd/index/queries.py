"""How the queries to each project are embedded: by rows tuned on it, where there are any."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gardenerd.errors import ModelError
from gardenerd.index.embed import Embedder, StaticEmbedder
from gardenerd.index.embedding.tuned import TunedRows, load
from gardenerd.workers.tuned import TunedRef

log = logging.getLogger(__name__)

EncodeQuery = Callable[[str], NDArray[np.float32]]
"""A text to its (dimensions,) of length one."""

_KEPT = 8
"""Files in memory, some megabytes each."""


class TunedQueries:
    """Keeps what it loaded. For one thread."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._loaded: dict[str, TunedRows] = {}

    def of(self, refs: Sequence[TunedRef]) -> tuple[dict[str, EncodeQuery], dict[str, str]]:
        """By project how its queries are embedded; and why not so, of those that cannot be."""
        embedder = self._embedder
        if not isinstance(embedder, StaticEmbedder):
            return {}, {}
        found: dict[str, EncodeQuery] = {}
        unusable: dict[str, str] = {}
        for ref in refs:
            try:
                found[ref.project] = partial(embedder.encode_query, tuned=self._rows(embedder, ref))
            except ModelError as error:
                log.error("a tuned embedding is not used", extra={"cause": error.message})
                unusable[ref.project] = error.message
        return found, unusable

    def _rows(self, embedder: StaticEmbedder, ref: TunedRef) -> TunedRows:
        rows = self._loaded.pop(ref.fingerprint, None)
        if rows is None:
            rows = load(Path(ref.file), ref.fingerprint, embedder.fingerprint, embedder.dimensions)
        self._loaded[ref.fingerprint] = rows  # the one used last is last
        for least in list(self._loaded)[:-_KEPT]:
            del self._loaded[least]
        return rows
