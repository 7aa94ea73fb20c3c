"""Names a file of tuned rows; see `gardenerd.index.embedding.tuned`."""

from __future__ import annotations

import msgspec


class TunedRef(msgspec.Struct, kw_only=True, frozen=True):
    """What embeds the queries to one project: rows that were tuned on it."""

    project: str
    file: str
    fingerprint: str
    """Of the file: names it in caches, and shows what was damaged."""
