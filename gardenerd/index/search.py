"""Hybrid search: full text over split identifiers and vectors, fused and ordered."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from gardenerd.index.embed import Embedder
from gardenerd.index.identifiers import search_words
from gardenerd.index.ranking import Candidate, Query, rank
from gardenerd.index.table import ChunkTable, match, project_filter, reading
from gardenerd.workers.jobs import Hit, Hits, SearchIndex

# Candidates from each of the two searches.
_DEPTH = 100
_MAX_DEPTH = 1_000
# A query's cost grows with its words; beyond this they are noise.
_MAX_TERMS = 64
_MAX_QUERY_CHARS = 20_000
# The vector is a mean of words: more of a long text only blurs it.
_MAX_EMBED_CHARS = 2_000

_COLUMNS = ["project", "path", "symbol", "kind", "language", "start_line"]
_DETAILS = ["end_line", "signature", "docstring", "text", "digest"]


def search(table: ChunkTable, embedder: Embedder, job: SearchIndex) -> Hits:
    """The best ``job.k`` chunks for a query of any characters and length; [] if none fits."""
    started = time.perf_counter()
    text = job.query[:_MAX_QUERY_CHARS]
    terms = _terms(text)
    if not terms or job.k <= 0 or (job.projects is not None and not job.projects):
        return Hits(hits=[], seconds=time.perf_counter() - started)
    depth = min(max(_DEPTH, 4 * job.k), _MAX_DEPTH)
    where = project_filter(job.projects)
    reader = table.reader()
    with reading():
        lists = [
            _by_text(reader, table, terms, where, depth),
            _by_vector(reader, embedder, text, where, depth),
        ]
    candidates: dict[tuple[Any, ...], Candidate] = {}
    for rows in lists:
        for place, row in enumerate(rows):
            key = (row["project"], row["path"], row["start_line"], row["symbol"])
            if key not in candidates:
                candidates[key] = Candidate(
                    key=key,
                    project=row["project"],
                    path=row["path"],
                    symbol=row["symbol"],
                    kind=row["kind"],
                    language=row["language"],
                    start_line=row["start_line"],
                    row=row,
                )
            candidates[key].ranks.append(place)
    best = rank(Query.of(text), list(candidates.values()), job.k)
    return Hits(
        hits=[_hit(candidate, score) for candidate, score in best],
        seconds=time.perf_counter() - started,
    )


def _by_text(
    reader: Any, table: ChunkTable, terms: Sequence[str], where: str | None, depth: int
) -> list[dict[str, Any]]:
    if not table.has_text_index:
        return []
    query = reader.search(match(" ".join(terms)), query_type="fts")
    return _rows(query, "_score", where, depth)


def _by_vector(
    reader: Any, embedder: Embedder, text: str, where: str | None, depth: int
) -> list[dict[str, Any]]:
    vector = embedder.encode([text[:_MAX_EMBED_CHARS]])[0]
    if not np.any(vector):
        return []
    query = reader.search(vector.astype(np.float16), query_type="vector").distance_type("dot")
    return _rows(query, "_distance", where, depth)


def _rows(query: Any, measure: str, where: str | None, depth: int) -> list[dict[str, Any]]:
    if where is not None:
        query = query.where(where, prefilter=True)
    return query.select([*_COLUMNS, *_DETAILS, measure]).limit(depth).to_arrow().to_pylist()


_IDENTIFIER = re.compile(r"_|[a-z0-9][A-Z]|\w\.\w|\(\)")


def _terms(text: str) -> list[str]:
    """The query's words, split as the index's are; of a long text those that say most."""
    words = search_words(text).split()
    counts = Counter(words)
    if len(counts) <= _MAX_TERMS:
        return list(counts)
    # Names tell more than prose, the beginning (a title) more than the end, and what is repeated
    # more than what is said once.
    named = set(search_words(" ".join(w for w in text.split() if _IDENTIFIER.search(w))).split())
    title = set(search_words(text.strip().split("\n", 1)[0][:300]).split())
    first = {word: place for place, word in reversed(list(enumerate(words)))}

    def weight(word: str) -> float:
        value = min(counts[word], 4) + 3 * (word in named) + 6 * (word in title)
        return value * (0.3 if len(word) < 3 or word.isdigit() else 1.0)

    return sorted(counts, key=lambda word: (-weight(word), first[word]))[:_MAX_TERMS]


def _hit(candidate: Candidate, score: float) -> Hit:
    row: dict[str, Any] = candidate.row
    return Hit(
        project=candidate.project,
        path=candidate.path,
        start_line=candidate.start_line,
        end_line=row["end_line"],
        symbol=candidate.symbol,
        kind=candidate.kind,
        score=score,
        signature=row["signature"],
        docstring=row["docstring"],
        text=row["text"],
        digest=row["digest"],
    )
