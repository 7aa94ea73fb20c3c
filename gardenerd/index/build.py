"""Making the index equal to files: the work behind :class:`IndexFiles`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from gardenerd.index import reuse
from gardenerd.index.embed import Embedder
from gardenerd.index.embedding.passage import passage
from gardenerd.index.languages import language_of
from gardenerd.index.parsing import Piece, Rows
from gardenerd.index.pool import parse_pieces
from gardenerd.index.reuse import Copied
from gardenerd.index.rows import COLUMNS, record_batch
from gardenerd.index.table import PATHS_IN_FILTER, ChunkTable, Held
from gardenerd.workers.jobs import FileResult, Indexed, IndexFiles, IndexProgress

log = logging.getLogger(__name__)

_PIECE_FILES = 40
# Rows are written together: each write makes a version of the table and is synced.
_WRITE_FILES = 200
_WRITE_ROWS = 10_000
_WRITE_SECONDS = 0.5
# A search scans rows outside the full-text index one by one; beyond this it is felt.
_MAX_UNINDEXED_ROWS = 1_000


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
    plan = reuse.plan(table, job, paths, check)
    writer = _Writer(table, embedder, job.project, plan.held, len(paths), update)
    for copied in reuse.copies(table, job.project, plan):
        check()
        writer.copy(copied)
    parsed = parse_pieces(_cut(job, plan.rest), len(plan.rest))
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
        _remove(table, job)
        gone = [FileResult(path=path, state="gone") for path in job.remove]
        update(
            IndexProgress(
                results=gone, done=len(paths), total=len(paths), generation=table.generation
            )
        )
    reuse.leave_out(table, job)
    upkeep = time.perf_counter()
    if table.unindexed_rows() > _MAX_UNINDEXED_ROWS or not table.has_text_index:
        table.index_text()
    return Indexed(
        files=len(paths),
        seconds=time.perf_counter() - started,
        unchanged=len(plan.unchanged),
        reused=writer.reused,
        parsed=writer.parsed,
        embedded=writer.embedded,
        upkeep=time.perf_counter() - upkeep,
    )


def _cut(job: IndexFiles, paths: list[str]) -> Iterator[Piece]:
    for at in range(0, len(paths), _PIECE_FILES):
        part = paths[at : at + _PIECE_FILES]
        yield Piece(root=job.root, paths=part, max_file_bytes=job.max_file_bytes)


def _remove(table: ChunkTable, job: IndexFiles) -> None:
    """Take files out of the index. What is there all the same is left out now, and not kept."""
    reader = table.reader()
    gone = [path for path in job.remove if not os.path.lexists(Path(job.root) / path)]
    left = [
        held
        for at in range(0, len(gone), PATHS_IN_FILTER)
        for held in table.held(job.project, gone[at : at + PATHS_IN_FILTER], [])
    ]
    table.replace(job.project, job.remove, None)
    reuse.keep(table, reader, [], left, [])


class _Writer:
    """Collects rows and writes them together."""

    def __init__(
        self,
        table: ChunkTable,
        embedder: Embedder,
        project: str,
        held: Mapping[str, Held],
        total: int,
        update: Callable[[IndexProgress], None],
    ) -> None:
        self._table = table
        self._embedder = embedder
        self._project = project
        self._held = held
        self._total = total
        self._update = update
        self._done = 0
        self._waiting: list[Rows] = []
        self._copied: list[Copied] = []
        self._last = time.monotonic()
        self.parsed = self.reused = self.embedded = 0

    def take(self, rows: Rows) -> None:
        """Files that were parsed."""
        self._waiting.append(rows)
        self._write_if_due()

    def copy(self, copied: Copied) -> None:
        """Files whose rows were known."""
        self._copied.append(copied)
        self._write_if_due()

    def _write_if_due(self) -> None:
        files = sum(len(each.results) for each in (*self._waiting, *self._copied))
        count = sum(len(each.start_line) for each in self._waiting)
        count += sum(rows.num_rows for each in self._copied for rows in each.rows)
        late = time.monotonic() - self._last >= _WRITE_SECONDS
        if files >= _WRITE_FILES or count >= _WRITE_ROWS or late:
            self.write()

    def write(self) -> None:
        """Write what waits, tell of it, and keep what it took the place of."""
        waiting, self._waiting = self._waiting, []
        copied, self._copied = self._copied, []
        if not waiting and not copied:
            return
        results = [result for rows in waiting for result in self._counted(rows)]
        moved = [result for each in copied if each.rows for result in each.results]
        new = [*results, *moved]
        self.parsed += sum(result.chunks > 0 for result in results)
        self.reused += len(moved)
        left = [self._held[result.path] for result in new if result.path in self._held]
        made = self._batch(waiting)
        batches = [rows for each in copied for rows in each.rows] + ([made] if made else [])
        before = self._table.reader()
        if left or batches:
            batch = pa.concat_batches(batches) if batches else None
            self._table.replace(self._project, [held.path for held in left], batch)
        results += [result for each in copied for result in each.results]
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
        # Only now: nobody waits for it, and the table as it was can be read still.
        taken = [content for each in copied for content in each.taken]
        reuse.keep(self._table, before, taken, left, new)

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
        self.embedded += len(texts)
        columns["project"] = [self._project] * len(texts)
        return record_batch(columns, self._embedder.encode(texts))

    def _counted(self, rows: Rows) -> Iterator[FileResult]:
        """The results with their counts, which only this side knows."""
        at = 0
        for result in rows.results:
            before = self._held.get(result.path)
            fresh = rows.columns["chunk_digest"][at : at + result.chunks]
            at += result.chunks
            new = len(set(fresh) - set(before.chunks)) if before else len(fresh)
            yield msgspec.structs.replace(result, new_chunks=new)
