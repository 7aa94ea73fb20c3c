"""How long a first index takes, against parsing the same files with tree-sitter on one core.

    python -m bench.first_index [FOLDER]

Both in the same run, on the source of the standard library by default. The index is built by the
real worker process, from the job to its answer, the worker being ready; the parse is the bare one.
"""

from __future__ import annotations

import json
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.index_worker import worker
from gardenerd.index.languages import parser_for
from gardenerd.workers.jobs import Checked, CheckIndex, Indexed, IndexFiles

LIMIT = 2.0
"""At most this many times the bare parse."""


def sources(root: Path) -> list[str]:
    """The Python files under ``root``, site-packages left out, relative."""
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "site-packages" not in path.relative_to(root).parts and path.stat().st_size <= 1_000_000
    )


def measure(root: Path | None = None) -> dict[str, Any]:
    """Seconds of both, their ratio, and what was indexed."""
    root = root or Path(sysconfig.get_paths()["stdlib"])
    paths = sources(root)
    data = [(root / path).read_bytes() for path in paths]
    parser = parser_for("python")
    started, before = time.perf_counter(), time.process_time()
    for source in data:
        parser.parse(source)
    parse_s, parse_cpu = time.perf_counter() - started, time.process_time() - before
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        home = Path(folder)
        with worker(home) as process:
            job = IndexFiles(project="bench", root=str(root), paths=paths)
            process.ask(CheckIndex(), Checked)  # its imports are done
            started, before = time.perf_counter(), process.cpu_seconds()
            process.ask(job, Indexed)
            index_s, index_cpu = time.perf_counter() - started, process.cpu_seconds() - before
            peak = process.peak_rss()
    return {
        "files": len(paths),
        "megabytes": round(sum(map(len, data)) / 1e6, 1),
        "parse_s": round(parse_s, 2),
        "index_s": round(index_s, 2),
        "ratio": round(index_s / parse_s, 2),
        "limit": LIMIT,
        "within": index_s / parse_s <= LIMIT,
        # On a machine with other work the wall clock says little; this is what is spent.
        "parse_cpu_s": round(parse_cpu, 2),
        "index_cpu_s": round(index_cpu, 2),
        "peak_rss_mb": round(peak / 1e6),
    }


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]) if len(sys.argv) > 1 else None), indent=2))
