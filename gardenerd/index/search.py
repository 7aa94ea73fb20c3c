"""Hybrid search: full text over split identifiers and vectors, ordered by all that was found."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from gardenerd.index.embed import Embedder
from gardenerd.index.marks import marks_asked
from gardenerd.index.mirror import Ids
from gardenerd.index.queries import EncodeQuery
from gardenerd.index.query import Query
from gardenerd.index.ranking import Aspect, Candidate, rank
from gardenerd.index.reader import Snapshot
from gardenerd.index.subjects import Told, file_id
from gardenerd.index.table import match, project_filter, reading
from gardenerd.workers.jobs import Hit, Hits, SearchIndex

# Candidates of each search by words, and by vectors.
_TEXT_DEPTH = 400
_VECTOR_DEPTH = 200
_MAX_DEPTH = 1_000
# Files by what commits said of them.
_FILES_TOLD = 10

_DETAILS = ["end_line", "signature", "docstring", "text", "digest"]


_Found = tuple[list[int], list[float]]
"""Row ids and what each of them scores."""


def search(
    snapshot: Snapshot | None,
    embedder: Embedder,
    job: SearchIndex,
    tuned: Mapping[str, EncodeQuery] = MappingProxyType({}),
) -> Hits:
    """The best ``job.k`` chunks for a query of any characters and length; [] if none fits.

    Args:
        tuned: projects to which the query is embedded otherwise.
    """
    started = time.perf_counter()
    query = Query.of(job.query)
    hits: list[Hit] = []
    if snapshot and query.title_words and job.k > 0 and job.projects != []:
        with reading():
            hits = _Search(snapshot, embedder, job, tuned).run(query, job.k)
    return Hits(hits=hits, seconds=time.perf_counter() - started)


class _Search:
    def __init__(
        self,
        snapshot: Snapshot,
        embedder: Embedder,
        job: SearchIndex,
        tuned: Mapping[str, EncodeQuery],
    ) -> None:
        self._table = snapshot.table
        self._mirror = snapshot.mirror
        self._text_index = snapshot.text_index
        self._subjects = snapshot.subjects
        self._embedder = embedder
        self._tuned = tuned
        self._projects = job.projects
        if job.projects is not None and self._mirror.holds_only(job.projects):
            self._projects = None  # a filter reads a column of all rows
        self._least = min(2 * job.k, _MAX_DEPTH)
        self._scores: dict[int, dict[Aspect, float]] = {}

    def run(self, query: Query, k: int) -> list[Hit]:
        asked: list[tuple[Aspect | None, Sequence[str]]] = [
            ("title", query.title_words),
            ("words", query.words),
            (None, marks_asked(query)),
        ]
        with ThreadPoolExecutor(len(asked)) as threads:  # LanceDB's work needs no interpreter
            by_text: list[tuple[Aspect | None, Future[_Found]]] = [
                (aspect, threads.submit(self._by_text, words))
                for aspect, words in asked
                if words and self._text_index != "none"
            ]
            vector = self._embedder.encode([query.title])[0]
            self._take("vector", *self._by_vector(query.title, vector))
            for aspect, found in by_text:
                self._take(aspect, *found.result())
        return self._hits(rank(query, self._candidates(query, vector), k))

    def _by_text(self, words: Sequence[str]) -> _Found:
        query = self._table.search(match(" ".join(words)), query_type="fts")
        if self._projects is not None:
            query = query.where(project_filter(self._projects), prefilter=True)
        if self._text_index == "behind":
            query = query.fast_search()
        chosen = query.select(["_score"]).with_row_id(True)
        found = chosen.limit(max(_TEXT_DEPTH, self._least)).to_arrow()
        return found["_rowid"].to_pylist(), found["_score"].to_pylist()

    def _by_vector(self, text: str, vector: NDArray[np.float32]) -> _Found:
        if not np.any(vector):
            return [], []
        count = max(_VECTOR_DEPTH, self._least)
        ids, likeness = self._nearest(text, vector, count)
        # All are somewhat alike: what counts is by how much one is more so.
        floor = max(float(likeness.min(initial=1.0)), 0.0) / 2
        return ids.tolist(), (likeness - floor).tolist()

    def _nearest(
        self, text: str, vector: NDArray[np.float32], count: int
    ) -> tuple[Ids, NDArray[np.float32]]:
        """The rows most like the query, each as its project embeds it, and how like they are."""
        mirror, table = self._mirror, self._table
        asked = mirror.projects() if self._projects is None else self._projects
        tuned = [project for project in asked if project in self._tuned]
        rest = [project for project in asked if project not in self._tuned] if tuned else None
        if not tuned or rest:
            parts = [mirror.nearest(table, vector, count, rest or self._projects)]
        else:
            parts = []
        for project in tuned:
            ids, likeness = mirror.nearest(table, self._tuned[project](text), count, [project])
            if len(asked) > 1 and len(ids):
                # Tuned rows are likelier or less so as a whole: among other projects' rows they
                # stand where the packaged ones would have put the best of them.
                _, plain = mirror.nearest(table, vector, count, [project])
                likeness = likeness + (plain.mean() - likeness.mean())
            parts.append((ids, likeness))
        if len(parts) == 1:
            return parts[0]
        ids = np.concatenate([part for part, _ in parts])
        likeness = np.concatenate([part for _, part in parts])
        best = np.argsort(-likeness, kind="stable")[:count]
        return ids[best], likeness[best]

    def _take(self, aspect: Aspect | None, ids: Sequence[int], scores: Sequence[float]) -> None:
        for key, score in zip(ids, scores, strict=True):
            own = self._scores.setdefault(key, {})
            if aspect is not None and score > 0:
                own[aspect] = score

    def _candidates(self, query: Query, vector: NDArray[np.float32]) -> list[Candidate]:
        told = Told([self._subjects[name] for name in self._admitted()], query)
        rows = self._mirror.rows(list(self._scores))
        files = [file_id(row.project, row.path) for row in rows]
        if missing := set(told.best(_FILES_TOLD)).difference(files):
            more = self._mirror.nearest_of_files(self._table, vector, sorted(missing))
            rows += self._mirror.rows(more)
            files = [file_id(row.project, row.path) for row in rows]
        return [
            Candidate(*row, self._scores.get(row.key, {}), tells)
            for row, tells in zip(rows, told.of(files), strict=True)
        ]

    def _admitted(self) -> list[str]:
        """The projects searched whose commits said something."""
        return [name for name in self._subjects if self._projects is None or name in self._projects]

    def _hits(self, best: Sequence[tuple[Candidate, float]]) -> list[Hit]:
        if not best:
            return []
        wanted = [candidate.key for candidate, _ in best]
        taken = self._table.take_row_ids(wanted).select(_DETAILS).with_row_id().to_arrow()
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
