"""How long a search takes over 100,000 chunks, at rest and while files are indexed.

    python -m bench.search_latency [CHUNKS]

The real index worker holds the Python sources of this environment, the standard library and as
many installed packages as it takes. Queries are of three shapes: a name that is defined somewhere,
the first line of a docstring, and a report (a docstring with code below it). Each is timed from the
job to the search worker's answer, which includes the socket; the first of each shape are not
counted. Beside indexing they come ten a second, as from an editor, and as fast as they can; the
index worker is held for half of them, as the daemon holds it
(``gardenerd/service/precedence.py``), and what it gets done meanwhile is told.
"""

from __future__ import annotations

import ast
import json
import random
import statistics
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bench.first_index import sources
from bench.index_worker import SEARCHER, WorkerProcess, worker
from gardenerd.service.precedence import Allowance
from gardenerd.workers.jobs import Done, Hits, Indexed, IndexFiles, OptimizeIndex, SearchIndex

P50_LIMIT_MS = 25.0
P99_LIMIT_MS = 80.0
CHUNKS = 100_000

_JOB_FILES = 1_000
_QUERIES = 150  # of each shape
_PAUSE = 0.1


def measure(chunks: int = CHUNKS) -> dict[str, Any]:
    """Milliseconds at rest and beside indexing, by shape of query."""
    roots = [Path(sysconfig.get_paths()[name]) for name in ("stdlib", "purelib")]
    files = [(root, path) for root in roots for path in sources(root)]
    with (
        tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder,
        worker(Path(folder)) as indexer,
        worker(Path(folder), SEARCHER) as searcher,
    ):
        left = _fill(indexer, files, chunks)
        indexer.ask(OptimizeIndex(), Done)
        held = indexer.chunks
        queries = make_queries(files[: len(files) - len(left)], _QUERIES)
        found: dict[str, Any] = {"chunks": held}
        found |= {f"rest, {shape}": _timed(searcher, asked) for shape, asked in queries.items()}
        mixed = [query for shape in zip(*queries.values(), strict=True) for query in shape]
        found["rest"] = _timed(searcher, mixed)
        for pace, pause in (("ten a second", _PAUSE), ("without a pause", 0.0)):
            found[f"indexing, {pace}"] = _beside_indexing(
                indexer, searcher, left or files, mixed, pause
            )
        found["peak_rss_mb"] = {
            "index worker": round(indexer.peak_rss() / 1e6),
            "search worker": round(searcher.peak_rss() / 1e6),
        }
    found["limit_ms"] = {"p50": P50_LIMIT_MS, "p99": P99_LIMIT_MS}
    slow = found["indexing, ten a second"]["held"]
    found["within"] = slow["p50"] <= P50_LIMIT_MS and slow["p99"] <= P99_LIMIT_MS
    return found


def _fill(
    indexer: WorkerProcess, files: list[tuple[Path, str]], chunks: int
) -> list[tuple[Path, str]]:
    """Index until there are so many chunks; the files that were not needed."""
    at = 0
    while at < len(files) and indexer.chunks < chunks:
        part = _part(files, at)
        indexer.ask(_job(part), Indexed)
        at += len(part)
    return files[at:]


def _part(files: list[tuple[Path, str]], at: int) -> list[tuple[Path, str]]:
    """Those of the next job: of one root."""
    return [file for file in files[at : at + _JOB_FILES] if file[0] == files[at][0]]


def _job(part: list[tuple[Path, str]]) -> IndexFiles:
    root = part[0][0]
    return IndexFiles(project=root.name, root=str(root), paths=[path for _, path in part])


def make_queries(files: list[tuple[Path, str]], count: int) -> dict[str, list[str]]:
    """So many queries of each shape, by the functions in files of these roots."""
    draw = random.Random(0)
    drawn = list(islice(_documented(draw.sample(files, len(files))), count))
    return {
        "name": [name for name, _, _ in drawn],
        "line": [docstring.split("\n", 1)[0][:200] for _, docstring, _ in drawn],
        "report": [f"{docstring}\n\n{code}" for _, docstring, code in drawn],
    }


def _documented(files: list[tuple[Path, str]]) -> Iterator[tuple[str, str, str]]:
    """One function of each file that has any with a docstring: name, docstring, code."""
    for root, path in files:
        try:
            text = (root / path).read_text(encoding="utf-8")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)
                tree = ast.parse(text)
        except (UnicodeDecodeError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and (docstring := ast.get_docstring(node)):
                yield node.name, docstring, ast.get_source_segment(text, node) or ""
                break


def _timed(searcher: WorkerProcess, queries: list[str]) -> dict[str, float]:
    for query in queries[:3]:
        searcher.ask(SearchIndex(query=query), Hits)
    return _summary([_once(searcher, query) for query in queries])


def _once(searcher: WorkerProcess, query: str) -> float:
    started = time.perf_counter()
    searcher.ask(SearchIndex(query=query), Hits)
    return (time.perf_counter() - started) * 1e3


def _beside_indexing(
    indexer: WorkerProcess,
    searcher: WorkerProcess,
    files: list[tuple[Path, str]],
    queries: list[str],
    pause: float,
) -> dict[str, Any]:
    """The same searches, one each ``pause`` seconds, while one batch after the other is indexed:
    three of them with the index worker held, three without, and so on."""
    times: dict[bool, list[float]] = {True: [], False: []}
    allowance = Allowance()
    began, chunks = time.monotonic(), indexer.chunks
    at = number = 0
    while number < len(queries):
        part = _part(files, at)
        at = (at + len(part)) % len(files)
        job = indexer.start(_job(part))
        while not indexer.ended(job) and number < len(queries):
            due = time.monotonic() + pause
            if holding := number // 3 % 2 == 0 and allowance.begin() > 0:
                indexer.freeze()
            times[holding].append(_once(searcher, queries[number]))
            if holding:
                indexer.thaw()
                allowance.end()
            number += 1
            time.sleep(max(0.0, due - time.monotonic()))
        indexer.answer(job, Indexed)
    seconds = time.monotonic() - began
    return {
        "held": _summary(times[True]),
        "not held": _summary(times[False]),
        "chunks indexed a second": round((indexer.chunks - chunks) / seconds),
    }


def _summary(times: list[float]) -> dict[str, float]:
    cut = statistics.quantiles(times, n=100, method="inclusive")
    return {"p50": round(cut[49], 1), "p99": round(cut[98], 1), "most": round(max(times), 1)}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else CHUNKS), indent=2))
