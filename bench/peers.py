"""A first index and searches of one folder of Python, beside what others take for the same.

    python -m bench.peers FOLDER [--semble PYTHON]

In one run: the bare parse by tree-sitter over all cores; gardener's index and search workers;
semble with gardener's own vectors, if a Python that has it installed is named; and ripgrep, if it
is there, counting lines with a word of the query in each file. Queries are first lines of
docstrings.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.first_index import sources
from bench.index_worker import SEARCHER, worker
from bench.search_latency import make_queries
from gardenerd.index.embed import FOLDER
from gardenerd.index.languages import parser_for
from gardenerd.workers.jobs import Checked, CheckIndex, Hits, Indexed, IndexFiles, SearchIndex

LIMIT = 1.5
"""The first index, against the bare parse over all cores."""
MEMORY_LIMIT_MB = 600

_QUERIES = 60

# Run by the Python that has semble, in a home of its own so that nothing is cached.
_SEMBLE = """
import json, resource, sys, time
from semble import SembleIndex
root, model, queries = sys.argv[1], sys.argv[2], json.load(sys.stdin)
started = time.perf_counter()
index = SembleIndex.from_path(root, model_path=model)
built = time.perf_counter() - started
index.search(queries[0])
times = []
for query in queries:
    started = time.perf_counter()
    index.search(query)
    times.append(time.perf_counter() - started)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"index_s": built, "times": times, "peak": peak * 1024}))
"""


def measure(source: Path, semble: str | None) -> dict[str, Any]:
    """Seconds, milliseconds and megabytes of each, over the Python files of ``source`` alone."""
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        root = Path(folder)
        for path in sources(source):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, root / path)
        return _measure(root, semble)


def _measure(root: Path, semble: str | None) -> dict[str, Any]:
    paths = sources(root)
    queries = make_queries([(root, path) for path in paths], _QUERIES)["line"]
    data = [(root / path).read_bytes() for path in paths]
    parse_s = _parse_over_all_cores(data)
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        found: dict[str, Any] = {
            "files": len(paths),
            "megabytes": round(sum(map(len, data)) / 1e6, 1),
            "cores": os.cpu_count(),
            "parse_s": round(parse_s, 2),
            "gardener": _gardener(root, paths, queries, Path(folder), parse_s),
        }
    if semble is not None:
        found["semble"] = _semble(semble, root, queries, parse_s)
    if rg := shutil.which("rg"):
        found["rg"] = _summary([_timed(lambda q=q: _ripgrep(rg, root, q)) for q in queries])
    return found


def _parse_over_all_cores(data: list[bytes]) -> float:
    cores = os.cpu_count() or 1
    with get_context("spawn").Pool(cores) as pool:
        pool.map(_parse, [b"x = 1\n"] * cores, chunksize=1)  # the processes have started
        started = time.perf_counter()
        pool.map(_parse, data, chunksize=16)
        return time.perf_counter() - started


def _parse(source: bytes) -> int:
    return parser_for("python").parse(source).root_node.end_byte


def _gardener(
    root: Path, paths: list[str], queries: list[str], home: Path, parse_s: float
) -> dict[str, Any]:
    with worker(home) as indexer, worker(home, SEARCHER) as searcher:
        indexer.ask(CheckIndex(), Checked)  # its imports are done
        job = IndexFiles(project="bench", root=str(root), paths=paths)
        index_s = _timed(lambda: indexer.ask(job, Indexed))
        searcher.ask(SearchIndex(query=queries[0]), Hits)
        times = [_timed(lambda q=q: searcher.ask(SearchIndex(query=q), Hits)) for q in queries]
        peak = indexer.peak_rss() / 1e6
        return {
            "index_s": round(index_s, 2),
            "ratio": round(index_s / parse_s, 2),
            "limit": LIMIT,
            "peak_rss_mb": round(peak),
            "memory_limit_mb": MEMORY_LIMIT_MB,
            "within": index_s / parse_s <= LIMIT and peak <= MEMORY_LIMIT_MB,
            "searcher_peak_rss_mb": round(searcher.peak_rss() / 1e6),
            **_summary(times),
        }


def _semble(python: str, root: Path, queries: Sequence[str], parse_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as home:
        done = subprocess.run(
            [python, "-c", _SEMBLE, str(root), str(FOLDER)],
            input=json.dumps(queries),
            env={**os.environ, "HOME": home, "HF_HUB_OFFLINE": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    return {
        "index_s": round(answer["index_s"], 2),
        "ratio": round(answer["index_s"] / parse_s, 2),
        "peak_rss_mb": round(answer["peak"] / 1e6),
        **_summary(answer["times"]),
    }


def _ripgrep(rg: str, root: Path, query: str) -> list[str]:
    """Files by how many of their lines hold a word of the query."""
    words = "|".join(re.findall(r"\w{3,}", query)) or re.escape(query)
    command = [rg, "--count", "--ignore-case", "--type", "py", words, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    counts = (line.rpartition(":") for line in done.stdout.splitlines())
    return [path for path, _, _ in sorted(counts, key=lambda each: -int(each[2]))]


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _summary(times: Sequence[float]) -> dict[str, float]:
    cut = statistics.quantiles(times, n=100, method="inclusive")
    return {"query_p50_ms": round(cut[49] * 1e3, 1), "query_p99_ms": round(cut[98] * 1e3, 1)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.peers")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--semble", help="a Python that has semble installed")
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.folder.resolve(), chosen.semble), indent=2))
