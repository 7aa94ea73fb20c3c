"""Hybrid search: full text over split identifiers and vectors, ordered by all that was found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from gardenerd.index.embed import Embedder
from gardenerd.index.marks import marks_asked
from gardenerd.index.query import Query
from gardenerd.index.ranking import Aspect, Candidate, rank
from gardenerd.index.table import ChunkTable, match, project_filter, reading
from gardenerd.workers.jobs import Hit, Hits, SearchIndex

# Candidates of each search by words, and by vectors.
_TEXT_DEPTH = 400
_VECTOR_DEPTH = 200
_MAX_DEPTH = 1_000

_COLUMNS = ["project", "path", "symbol", "kind", "start_line"]
_DETAILS = ["end_line", "signature", "docstring", "text", "digest"]


def search(table: ChunkTable, embedder: Embedder, job: SearchIndex) -> Hits:
    """The best ``job.k`` chunks for a query of any characters and length; [] if none fits."""
    started = time.perf_counter()
    query = Query.of(job.query)
    hits: list[Hit] = []
    if query.title_words and job.k > 0 and job.projects != []:
        with reading():
            hits = _Search(table, embedder, job).run(query, job.k)
    return Hits(hits=hits, seconds=time.perf_counter() - started)


class _Search:
    def __init__(self, table: ChunkTable, embedder: Embedder, job: SearchIndex) -> None:
        self._reader = table.reader()
        self._has_text_index = table.has_text_index
        self._embedder = embedder
        self._where = project_filter(job.projects)
        self._least = min(2 * job.k, _MAX_DEPTH)
        self._found: dict[int, Candidate] = {}

    def run(self, query: Query, k: int) -> list[Hit]:
        self._by_text("title", query.title_words)
        self._by_text("words", query.words)
        self._by_text(None, marks_asked(query))
        self._by_vector(query.title)
        return self._hits(rank(query, list(self._found.values()), k))

    def _by_text(self, aspect: Aspect | None, words: Sequence[str]) -> None:
        if not words or not self._has_text_index:
            return
        query = self._reader.search(match(" ".join(words)), query_type="fts")
        rows = self._rows(query, "_score", _TEXT_DEPTH)
        self._take(aspect, rows, [row["_score"] for row in rows])

    def _by_vector(self, text: str) -> None:
        vector = self._embedder.encode([text])[0]
        if not np.any(vector):
            return
        query = self._reader.search(vector.astype(np.float16), query_type="vector")
        rows = self._rows(query.distance_type("dot"), "_distance", _VECTOR_DEPTH)
        likeness = [1.0 - row["_distance"] for row in rows]
        # All are somewhat alike: what counts is by how much one is more so.
        floor = max(min(likeness, default=0.0), 0.0) / 2
        self._take("vector", rows, [each - floor for each in likeness])

    def _rows(self, query: Any, measure: str, depth: int) -> list[dict[str, Any]]:
        if self._where is not None:
            query = query.where(self._where, prefilter=True)
        chosen = query.select([*_COLUMNS, measure]).with_row_id(True)
        return chosen.limit(max(depth, self._least)).to_arrow().to_pylist()

    def _take(
        self, aspect: Aspect | None, rows: list[dict[str, Any]], scores: Sequence[float]
    ) -> None:
        for row, score in zip(rows, scores, strict=True):
            key = row["_rowid"]
            if key not in self._found:
                columns = {name: row[name] for name in _COLUMNS}
                self._found[key] = Candidate(key=key, **columns)
            if aspect is not None and score > 0:
                self._found[key].scores[aspect] = score

    def _hits(self, best: Sequence[tuple[Candidate, float]]) -> list[Hit]:
        if not best:
            return []
        wanted = [candidate.key for candidate, _ in best]
        taken = self._reader.take_row_ids(wanted).select(_DETAILS).with_row_id().to_arrow()
        details = {row.pop("_rowid"): row for row in taken.to_pylist()}
        return [
            Hit(
                project=candidate.project,
                path=candidate.path,
                start_line=candidate.start_line,
                symbol=candidate.symbol,
                kind=candidate.kind,
                score=score,
                **details[candidate.key],
            )
            for candidate, score in best
        ]
