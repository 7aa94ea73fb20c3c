"""Making the index equal to files: the work behind :class:`IndexFiles`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pyarrow as pa

from gardenerd.index.embed import Embedder
from gardenerd.index.embedding.passage import passage
from gardenerd.index.languages import language_of
from gardenerd.index.parsing import Piece, Rows
from gardenerd.index.pool import parse_pieces
from gardenerd.index.rows import COLUMNS, record_batch
from gardenerd.index.table import ChunkTable
from gardenerd.workers.jobs import FileResult, Indexed, IndexFiles, IndexProgress

log = logging.getLogger(__name__)

_PIECE_FILES = 40
# Rows are written together: each write makes a version of the table and is synced.
_WRITE_FILES = 200
_WRITE_ROWS = 10_000
_WRITE_SECONDS = 0.5
# A search scans rows outside the full-text index one by one; beyond this it is felt.
_MAX_UNINDEXED_ROWS = 1_000

Known = dict[str, tuple[str, list[str]]]


def index_files(
    table: ChunkTable,
    embedder: Embedder,
    job: IndexFiles,
    update: Callable[[IndexProgress], None],
    check: Callable[[], None],
) -> Indexed:
    """Bring the index up to date with ``job.paths``; results go out by ``update`` once durable.

    ``check`` is called between pieces and raises when the job is cancelled: what was told by then
    stays indexed.
    """
    started = time.perf_counter()
    paths = list(dict.fromkeys(job.paths))
    fresh = len(paths) > _WRITE_FILES and not table.count(job.project)
    known: Known = {} if fresh else table.known_digests(job.project, paths)
    parsed = parse_pieces(_cut(job, paths, known), len(paths))
    writer = _Writer(table, embedder, job.project, known, len(paths), update)
    try:
        for rows in parsed:
            check()
            writer.take(rows)
    finally:
        close = getattr(parsed, "close", None)
        if close is not None:
            close()
    writer.write()
    if job.remove:
        table.replace(job.project, job.remove, None)
        gone = [FileResult(path=path, state="gone") for path in job.remove]
        update(
            IndexProgress(
                results=gone, done=len(paths), total=len(paths), generation=table.generation
            )
        )
    if table.unindexed_rows() > _MAX_UNINDEXED_ROWS or not table.has_text_index:
        table.index_text()
    return Indexed(files=len(paths), seconds=time.perf_counter() - started)


def _cut(job: IndexFiles, paths: list[str], known: Known) -> Iterator[Piece]:
    for at in range(0, len(paths), _PIECE_FILES):
        part = paths[at : at + _PIECE_FILES]
        yield Piece(
            root=job.root,
            paths=part,
            max_file_bytes=job.max_file_bytes,
            known={path: known[path][0] for path in part if path in known},
        )


class _Writer:
    """Collects rows and writes them together."""

    def __init__(
        self,
        table: ChunkTable,
        embedder: Embedder,
        project: str,
        known: Known,
        total: int,
        update: Callable[[IndexProgress], None],
    ) -> None:
        self._table = table
        self._embedder = embedder
        self._project = project
        self._known = known
        self._total = total
        self._update = update
        self._done = 0
        self._waiting: list[Rows] = []
        self._last = time.monotonic()

    def take(self, rows: Rows) -> None:
        self._waiting.append(rows)
        files = sum(len(each.results) for each in self._waiting)
        count = sum(len(each.start_line) for each in self._waiting)
        late = time.monotonic() - self._last >= _WRITE_SECONDS
        if files >= _WRITE_FILES or count >= _WRITE_ROWS or late:
            self.write()

    def write(self) -> None:
        """Write what waits, then tell of it."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        unchanged = {path for rows in waiting for path in rows.unchanged}
        stale = [
            result.path
            for rows in waiting
            for result in rows.results
            if result.path in self._known and result.path not in unchanged
        ]
        batch = self._batch(waiting)
        if stale or batch is not None:
            self._table.replace(self._project, stale, batch)
        results = [result for rows in waiting for result in self._counted(rows)]
        self._done += len(results)
        self._last = time.monotonic()
        self._update(
            IndexProgress(
                results=results,
                done=self._done,
                total=self._total,
                generation=self._table.generation,
            )
        )

    def _batch(self, waiting: list[Rows]) -> pa.RecordBatch | None:
        columns: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, "start_line", "end_line")}
        for rows in waiting:
            for name, values in rows.columns.items():
                columns[name] += values
            columns["start_line"] += rows.start_line
            columns["end_line"] += rows.end_line
            for result in rows.results:
                columns["path"] += [result.path] * result.chunks
                columns["digest"] += [result.digest] * result.chunks
                columns["language"] += [language_of(result.path)] * result.chunks
        texts = [
            passage(symbol, text, docstring)
            for symbol, docstring, text in zip(
                columns["symbol"], columns["docstring"], columns["text"], strict=True
            )
        ]
        if not texts:
            return None
        columns["project"] = [self._project] * len(texts)
        return record_batch(columns, self._embedder.encode(texts))

    def _counted(self, rows: Rows) -> Iterator[FileResult]:
        """The results with their counts, which only this side knows."""
        at = 0
        for result in rows.results:
            _, before = self._known.get(result.path, ("", []))
            fresh = rows.columns["chunk_digest"][at : at + result.chunks]
            at += result.chunks
            if result.path in rows.unchanged:
                yield msgspec.structs.replace(result, chunks=len(before))
            else:
                new = len(set(fresh) - set(before)) if before else len(fresh)
                yield msgspec.structs.replace(result, new_chunks=new)
