"""Whether the index that a daemon keeps equals one built anew from the same tree.

The fresh one is made in this process by the worker's own functions, in another folder, from the
files that a walk of the whole tree finds now. Compared are all rows (every column, vectors too),
the table of files, what commits said, and what searches bring up, scores too.

Scores follow from counts over the whole table, in which LanceDB keeps deleted rows until the next
optimisation, and over its parts, until they are merged: so both are first brought to rest, that of
the daemon in a copy. And of rows that are as good as each other, which come among the candidates is
chance: it depends on the order of the files. So a query of which two fresh indexes think
differently, by another order, tells nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from gardenerd.host.subjects import head
from gardenerd.index.build import index_files
from gardenerd.index.embed import Embedder, load_embedder
from gardenerd.index.generation import read_generation, subjects_file
from gardenerd.index.history import read_subjects
from gardenerd.index.reader import Snapshot, TableReader
from gardenerd.index.search import search
from gardenerd.index.subjects import Subjects
from gardenerd.index.table import ChunkTable
from gardenerd.paths import Home
from gardenerd.settings import Watch
from gardenerd.store.files import Stat
from gardenerd.watch.filters import Filter
from gardenerd.watch.rescan import Scan, scan
from gardenerd.workers.jobs import (
    FileResult,
    IndexFiles,
    IndexProgress,
    ReadSubjects,
    SearchIndex,
)

_TOLD = 5
_K = 10
_PASSES = 3
_MAX_BYTES = Watch().max_file_bytes
_RESULT = ("state", "reason", "size", "mtime_ns", "digest", "chunks")

Rows = Counter[tuple[str, ...]]


@dataclass
class Comparison:
    """What a comparison found; ``differences`` are in words, and none when all is equal."""

    files: int = 0
    chunks: int = 0
    queries: int = 0
    undecided: int = 0
    """Queries of which two fresh indexes think differently."""
    differences: list[str] = field(default_factory=list[str])


def compare(
    home: Home, project: str, root: Path, queries: Sequence[str], max_file_bytes: int = _MAX_BYTES
) -> Comparison:
    """Compare the index of ``home`` with a fresh one; nothing may change meanwhile.

    Args:
        project: the project's id.
        root: its folder, absolute, links resolved.
        queries: what to search for in both.
    """
    done = Comparison()
    found = scan(Filter(root, max_file_bytes, own=home.root))
    with tempfile.TemporaryDirectory(prefix="gardener-fresh-") as folder:
        _copy(home.index, Path(folder) / "kept")
        kept = _opened(Path(folder) / "kept")
        fresh = _opened(Path(folder) / "fresh")
        job = IndexFiles(
            project=project,
            root=str(root),
            paths=sorted(file.path for file in found.files),
            max_file_bytes=max_file_bytes,
        )
        results = _index(fresh, job)
        _read_subjects(fresh, job)
        if kept.generation != read_generation(home.index):
            done.differences.append("the daemon's table does not open")
        for table in (kept, fresh):
            done.differences += _rested(table)
        kept_now, fresh_now = _snapshot(kept), _snapshot(fresh)
        done.differences += _subjects_that_differ(kept_now, fresh_now, project)
        mine, theirs = _rows(kept_now, project), _rows(fresh_now, project)
        hidden = _hidden(mine, found)
        done.files, done.chunks = len(found.files), theirs.total()
        done.differences += _rows_that_differ(mine - hidden, theirs)
        done.differences += _files_that_differ(home, project, found, results)
        if hidden:
            return done
        wrong = [q for q in queries if _told(kept_now, job, q) != _told(fresh_now, job, q)]
        done.queries = len(queries)
        if wrong:
            other = _opened(Path(folder) / "other")
            _index(other, msgspec.structs.replace(job, paths=job.paths[::-1]))
            _read_subjects(other, job)
            done.differences += _rested(other)
            three = (kept_now, fresh_now, _snapshot(other))
            done.differences += _searches_that_differ(*three, job, wrong, done)
    return done


def _copy(index: Path, target: Path) -> None:
    """Copy the index as it is between two of the worker's own steps of upkeep."""
    while True:
        before = _listed(index)
        with contextlib.suppress(shutil.Error, FileNotFoundError):
            shutil.copytree(index, target)
            if _listed(index) == before:
                return
        shutil.rmtree(target, ignore_errors=True)


def _listed(folder: Path) -> list[tuple[Path, int]]:
    return sorted((file, file.stat().st_size) for file in folder.rglob("*") if file.is_file())


@cache
def _embedder() -> Embedder:
    return load_embedder()


def _opened(folder: Path) -> ChunkTable:
    return ChunkTable(folder, _embedder().fingerprint, _embedder().dimensions)


def _rested(table: ChunkTable) -> list[str]:
    """Compact as often as the daemon does in quiet times; what failed."""
    return [failure for _ in range(_PASSES) for failure in table.optimize()]


def _index(table: ChunkTable, job: IndexFiles) -> dict[str, FileResult]:
    results: list[FileResult] = []

    def note(progress: IndexProgress) -> None:
        results.extend(progress.results)

    index_files(table, _embedder(), job, note, lambda: None)
    return {result.path: result for result in results}


def _read_subjects(table: ChunkTable, job: IndexFiles) -> None:
    commit = asyncio.run(head(Path(job.root)))
    if commit is not None:
        target = subjects_file(table.path.parents[1], job.project, commit, [])
        read_subjects(
            ReadSubjects(
                project=job.project, root=job.root, commit=commit, left_out=[], target=str(target)
            )
        )


def _snapshot(table: ChunkTable) -> Snapshot:
    embedder = _embedder()
    reader = TableReader(table.path.parents[1], embedder.fingerprint, embedder.dimensions)
    found = reader.latest()
    assert found is not None
    return found


def _subjects_that_differ(kept: Snapshot, fresh: Snapshot, project: str) -> list[str]:
    mine, theirs = kept.subjects.get(project), fresh.subjects.get(project)
    if mine is None or theirs is None:
        return [] if mine is theirs else [f"subjects: {mine}, fresh {theirs}"]
    return [
        f"subjects, {name}: {getattr(mine, name)}, fresh {getattr(theirs, name)}"
        for name in Subjects.__slots__
        if not np.array_equal(getattr(mine, name), getattr(theirs, name))
    ]


def _rows(snapshot: Snapshot, project: str) -> Rows:
    found = snapshot.table.to_arrow().to_pylist()
    return Counter(tuple(map(str, row.values())) for row in found if row["project"] == project)


def _hidden(rows: Rows, found: Scan) -> Rows:
    """The rows of folders that cannot be read now: nothing is known of those, they stay."""
    folders = tuple(path for path in found.unreadable if path.endswith("/"))
    return Counter({row: n for row, n in rows.items() if folders and row[1].startswith(folders)})


def _rows_that_differ(mine: Rows, theirs: Rows) -> list[str]:
    def told(row: tuple[str, ...], count: int) -> str:
        project_path_symbol_kind = row[1:4]
        return f"{project_path_symbol_kind} line {row[-3]} ({count} times): {row[7][:60]!r}"

    found = [f"in the index, not in a fresh one: {told(*row)}" for row in (mine - theirs).items()]
    found += [f"in a fresh one, not in the index: {told(*row)}" for row in (theirs - mine).items()]
    return _bounded(found)


def _files_that_differ(
    home: Home, project: str, found: Scan, results: dict[str, FileResult]
) -> list[str]:
    expected = {file.path: _expected(file, results[file.path]) for file in found.files}
    held = _held(home, project)
    folders = tuple(path for path in found.unreadable if path.endswith("/"))
    told: list[str] = []
    for path in sorted(expected.keys() | held.keys()):
        if path not in expected and folders and path.startswith(folders):
            continue
        if held.get(path) != expected.get(path):
            told.append(f"table of files, {path!r}: {held.get(path)}, fresh {expected.get(path)}")
    return _bounded(told)


def _expected(file: Stat, result: FileResult) -> dict[str, Any]:
    stats = {"ctime_ns": file.ctime_ns, "inode": file.inode, "claimed": 0, "remove": 0}
    found = {name: getattr(result, name) for name in _RESULT} | stats
    # A file that could not be opened has only what the scan saw of it.
    return found | {"size": file.size, "mtime_ns": file.mtime_ns}


def _held(home: Home, project: str) -> dict[str, dict[str, Any]]:
    names = (*_RESULT, "ctime_ns", "inode", "claimed", "remove")
    with contextlib.closing(sqlite3.connect(home.database)) as database:
        rows = database.execute(
            f"SELECT path, {', '.join(names)} FROM files WHERE project = ?", (project,)
        ).fetchall()
    return {path: dict(zip(names, values, strict=True)) for path, *values in rows}


def _searches_that_differ(
    kept: Snapshot,
    fresh: Snapshot,
    other: Snapshot,
    job: IndexFiles,
    queries: Sequence[str],
    done: Comparison,
) -> list[str]:
    found: list[str] = []
    for query in queries:
        mine, theirs = _told(kept, job, query), _told(fresh, job, query)
        if _told(other, job, query) != theirs:
            done.undecided += 1
            continue
        at = next(n for n in range(_K) if mine[n : n + 1] != theirs[n : n + 1])
        found.append(
            f"search {query!r}, hit {at + 1}: {mine[at : at + 2]}, fresh {theirs[at : at + 2]}"
        )
    return _bounded(found)


def _told(snapshot: Snapshot, job: IndexFiles, query: str) -> list[tuple[float, str, int]]:
    """Best first; of those that share the last score, which come among the ten is chance."""
    asked = SearchIndex(query=query, k=_K, projects=[job.project])
    hits = search(snapshot, _embedder(), asked).hits
    found = sorted((-round(hit.score, 4), hit.path, hit.start_line) for hit in hits)
    return [hit for hit in found if len(found) < _K or hit[0] < found[-1][0]]


def _bounded(told: Sequence[str]) -> list[str]:
    more = [f"... and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
    return [*told[:_TOLD], *more]
