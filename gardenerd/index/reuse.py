"""What need not be made again: files whose contents the index knows, from wherever it knows them.

Files are read and digested first. If the same bytes stand in the table, under another path or in
another project (a rename, a second checkout), or in the store of contents that left it (a branch
that is back), their rows are copied; only the words of the path are put together anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from gardenerd.index.chunk import Chunk
from gardenerd.index.contents import Content, Kept, content_of
from gardenerd.index.parsing import append, no_rows
from gardenerd.index.table import PATHS_IN_FILTER, ChunkTable, Held
from gardenerd.index.text import FileText, digest_file
from gardenerd.watch.filters import RULE_FILES, Filter
from gardenerd.workers.jobs import FileResult, IndexFiles

T = TypeVar("T")

# Fetched at once: bounds the memory. A file has a dozen rows mostly.
_FILES_AT_ONCE = 200
_ROWS_AT_ONCE = 5_000
_ROW_BYTES = 2_000

# For each row of the table the store may take this, about half of the source: together they stay
# under three times the source.
_KEPT_FOR_A_ROW = 256
_LEAST_KEPT = 4 << 20
_MOST_KEPT = 256 << 20


class Copied(NamedTuple):
    """Files that are neither parsed nor embedded, and all rows of those that are new here."""

    results: list[FileResult]
    rows: list[pa.RecordBatch]
    taken: list[Content]
    """What came out of the store."""


@dataclass(slots=True)
class Plan:
    """Where the rows of each file of a job come from."""

    reader: Any
    """The table as it was when it was looked into."""
    held: dict[str, Held] = field(default_factory=dict[str, Held])
    """Path → what the table holds of it."""
    unchanged: list[FileText] = field(default_factory=list[FileText])
    elsewhere: list[tuple[FileText, Held]] = field(default_factory=list[tuple[FileText, Held]])
    """The table has the contents under another path."""
    kept: list[tuple[FileText, Content, int]] = field(
        default_factory=list[tuple[FileText, Content, int]]
    )
    """The store has them; and how many bytes their rows take."""
    rest: list[str] = field(default_factory=list[str])
    """To be parsed."""


def plan(
    table: ChunkTable, job: IndexFiles, paths: Sequence[str], check: Callable[[], None]
) -> Plan:
    """Digest the files and find what is known of them. An empty index knows nothing, and nothing
    is read then."""
    made = Plan(table.reader())
    if not table.count() and not table.contents.bytes:
        made.rest = list(paths)
        return made
    files: list[FileText] = []
    for path in paths:
        check()
        files.append(digest_file(Path(job.root), path, job.max_file_bytes))
    # Used now, so that what this job makes room for is not what it is about to take.
    stored = table.contents.touch([content_of(file.path, file.digest) for file in files])
    for at in range(0, len(files), PATHS_IN_FILTER):
        check()
        _look(made, table, job.project, files[at : at + PATHS_IN_FILTER], stored)
    return made


def _look(
    made: Plan, table: ChunkTable, project: str, files: list[FileText], stored: dict[Content, int]
) -> None:
    paths = {file.path for file in files}
    digests = {file.digest for file in files if file.state == "read"}
    by_content: dict[Content, Held] = {}
    for held in table.held(project, list(paths), list(digests)):
        if held.project == project and held.path in paths:
            made.held[held.path] = held
        by_content.setdefault(content_of(held.path, held.digest), held)
    for file in files:
        content = content_of(file.path, file.digest)
        before = made.held.get(file.path)
        if file.state != "read":
            made.rest.append(file.path)
        elif before is not None and before.digest == file.digest:
            made.unchanged.append(file)
        elif content in by_content:
            made.elsewhere.append((file, by_content[content]))
        elif content in stored:
            made.kept.append((file, content, stored[content]))
        else:
            made.rest.append(file.path)


def copies(table: ChunkTable, project: str, made: Plan) -> Iterator[Copied]:
    """The files of a plan that need no parsing, some at a time. What the store has lost meanwhile
    joins ``made.rest``."""
    for part in _some(made.unchanged, lambda _: 1):
        found = [_result(file, len(made.held[file.path].chunks)) for file in part]
        yield Copied(found, [], [])
    for part in _some(made.elsewhere, lambda each: len(each[1].chunks)):
        rows = _by_file(table.rows_with(made.reader, [held.digest for _, held in part]))
        yield _copied(
            project, made, [(file, rows[held.project, held.path]) for file, held in part], []
        )
    last = {content: file.path for file, content, _ in made.kept}
    for part in _some(made.kept, lambda each: each[2] // _ROW_BYTES):
        contents = table.contents.rows(content for _, content, _ in part)
        made.rest += [file.path for file, content, _ in part if content not in contents]
        found = [(file, contents[content]) for file, content, _ in part if content in contents]
        taken = [content for file, content, _ in part if last[content] == file.path]
        yield _copied(project, made, found, taken)


def _copied(
    project: str, made: Plan, found: list[tuple[FileText, pa.RecordBatch]], taken: list[Content]
) -> Copied:
    results: list[FileResult] = []
    for file, rows in found:
        before = made.held.get(file.path)
        digests: list[str] = rows["chunk_digest"].to_pylist()
        new = len(set(digests) - set(before.chunks)) if before else len(digests)
        results.append(_result(file, rows.num_rows, new_chunks=new, reused=True))
    return Copied(results, [_moved(rows, project, file.path) for file, rows in found], taken)


def _result(
    file: FileText, chunks: int, *, new_chunks: int = 0, reused: bool = False
) -> FileResult:
    return FileResult(
        path=file.path,
        state="indexed",
        size=file.size,
        mtime_ns=file.mtime_ns,
        digest=file.digest,
        chunks=chunks,
        new_chunks=new_chunks,
        reused=reused,
    )


def _moved(rows: pa.RecordBatch, project: str, path: str) -> pa.RecordBatch:
    """The rows of one file as they are for the same contents elsewhere."""
    changed: dict[str, list[str]] = {"project": [project] * rows.num_rows}
    if rows["path"][0].as_py() != path:
        names = ("symbol", "kind", "start_line", "end_line", "text", "signature", "docstring")
        columns = [rows[name].to_pylist() for name in names]
        made = no_rows()
        append(made, path, [Chunk(*values) for values in zip(*columns, strict=True)])
        changed |= made.columns | {"path": [path] * rows.num_rows}
    arrays = [
        pa.array(changed[name], rows.schema.field(name).type) if name in changed else rows[name]
        for name in rows.schema.names
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=rows.schema)


def keep(
    table: ChunkTable,
    reader: Any,
    taken: Collection[Content],
    left: Collection[Held],
    written: Collection[FileResult],
) -> None:
    """Keep the rows of files that ``left`` the table since ``reader`` was got from it, unless the
    same contents still stand there, or were ``written``; let go of what was ``taken``."""
    if not left and not taken:
        return
    store = table.contents
    limit = min(_MOST_KEPT, max(_LEAST_KEPT, table.count() * _KEPT_FOR_A_ROW))
    if taken:
        store.exchange(taken, [], limit)
    gone = {(held.project, held.path) for held in left}
    standing = {content_of(result.path, result.digest) for result in written}
    for part in _some(list(left), lambda held: len(held.chunks)):
        rows = _by_file(table.rows_with(reader, [held.digest for held in part]))
        standing |= {
            content_of(path, rows[project, path]["digest"][0].as_py())
            for project, path in rows.keys() - gone
        }
        kept = [
            Kept(held.project, held.path, held.digest, rows[held.project, held.path])
            for held in part
            if content_of(held.path, held.digest) not in standing
        ]
        store.exchange([], kept, limit)


def leave_out(table: ChunkTable, job: IndexFiles) -> None:
    """Drop from the store what the project's rules leave out now. Its rules may have changed if a
    file of rules did, or if a file leaves the index that is there."""
    root = Path(job.root)
    there = [path for path in job.remove if os.path.lexists(root / path)]
    table.contents.forget(job.project, there)
    ruled = any(path.rpartition("/")[2] in RULE_FILES for path in (*job.paths, *job.remove))
    if there or ruled or job.project not in table.contents.ruled:
        rules = Filter(root, job.max_file_bytes)
        out = [path for path in table.contents.origins(job.project) if rules.explain(path)]
        table.contents.forget(job.project, out)
        table.contents.ruled.add(job.project)


def _by_file(rows: pa.Table) -> dict[tuple[str, str], pa.RecordBatch]:
    """(project, path) → its rows."""
    places: dict[tuple[str, str], list[int]] = {}
    files = zip(rows["project"].to_pylist(), rows["path"].to_pylist(), strict=True)
    for number, file in enumerate(files):
        places.setdefault(file, []).append(number)
    whole = rows.combine_chunks().to_batches()
    return {file: whole[0].take(pa.array(numbers)) for file, numbers in places.items()}


def _some(items: Sequence[T], rows: Callable[[T], int]) -> Iterator[list[T]]:
    """The items in runs of some files and some thousand rows."""
    part: list[T] = []
    count = 0
    for item in items:
        if part and (len(part) >= _FILES_AT_ONCE or count + rows(item) > _ROWS_AT_ONCE):
            yield part
            part, count = [], 0
        part.append(item)
        count += rows(item)
    if part:
        yield part
