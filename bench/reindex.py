"""What a branch switch costs, by how many files it changes, in a project of a fixed size.

    python -m bench.reindex [FOLDER]

The project is the source of the standard library in a git repository of its own. For 1, 10, 100
and 1,000 files there is a branch on which each of them has one more function in its middle. The
real worker follows ``git switch`` to the branch, whose contents it has never seen, back, and to the
branch again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.first_index import sources
from bench.index_worker import WorkerProcess, worker
from gardenerd.workers.jobs import Done, Hits, Indexed, IndexFiles, OptimizeIndex, SearchIndex

SIZES = (1, 10, 100, 1_000)
"""Files that differ between two commits."""


def measure(root: Path | None = None) -> dict[str, Any]:
    """Seconds, processor seconds and counts of each switch; and of the first index.

    ``upkeep_s`` of the seconds went to the full-text index, when all that changed could be found.
    """
    root = root or Path(sysconfig.get_paths()["stdlib"])
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        project, home = Path(folder) / "project", Path(folder) / "home"
        paths = sources(root)
        for path in paths:
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, project / path)
        _commit_branches(project, paths)
        with worker(home) as process:
            process.ask(SearchIndex(query="ready"), Hits)  # its imports are done
            first = _follow(process, project, paths)
            process.ask(OptimizeIndex(), Done)  # as the daemon does, now and then
            switches = {size: _switches(process, project, size) for size in SIZES}
            source = sum((project / path).stat().st_size for path in paths)
            kept = sum(p.stat().st_size for p in (home / "index").glob("contents-*"))
    return {
        "files": len(paths),
        "source_mb": round(source / 1e6, 1),
        "kept_mb": round(kept / 1e6, 1),
        "first": first,
        "switches": switches,
    }


def _switches(process: WorkerProcess, project: Path, size: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, to in (("there", f"changed-{size}"), ("back", "main"), ("again", f"changed-{size}")):
        changed = _git(project, "diff", "--name-only", "HEAD", to).splitlines()
        _git(project, "switch", "--quiet", to)
        found[name] = _follow(process, project, changed)
    _git(project, "switch", "--quiet", "main")
    _follow(process, project, changed)
    return found


def _follow(process: WorkerProcess, project: Path, paths: list[str]) -> dict[str, Any]:
    started, before = time.perf_counter(), process.cpu_seconds()
    job = IndexFiles(project="bench", root=str(project), paths=paths)
    answer: Indexed = process.ask(job, Indexed)
    return {
        "seconds": round(time.perf_counter() - started, 3),
        "upkeep_s": round(answer.upkeep, 3),
        "cpu_s": round(process.cpu_seconds() - before, 3),
        "files": answer.files,
        "unchanged": answer.unchanged,
        "reused": answer.reused,
        "parsed": answer.parsed,
        "embedded": answer.embedded,
    }


def _commit_branches(project: Path, paths: list[str]) -> None:
    _git(project, "init", "--quiet", "--initial-branch", "main")
    _git(project, "add", "--all", "--force")
    _git(project, "commit", "--quiet", "--message", "all")
    for size in SIZES:
        _git(project, "switch", "--quiet", "--create", f"changed-{size}", "main")
        # Evenly over the whole, so that a thousand files are of the same kind as ten.
        for number in range(size):
            _change(project / paths[number * len(paths) // size], size)
        _git(project, "commit", "--quiet", "--all", "--message", f"{size} files")
    _git(project, "switch", "--quiet", "main")


def _change(file: Path, size: int) -> None:
    lines = file.read_bytes().split(b"\n")
    tops = [n for n, line in enumerate(lines) if line.startswith((b"def ", b"class ", b"import "))]
    at = tops[len(tops) // 2] if tops else len(lines)
    lines.insert(at, f"def added_on_{size}():\n    return {size}\n".encode())
    file.write_bytes(b"\n".join(lines))


def _git(project: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "gc.auto=0")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=project, capture_output=True, text=True, check=True
    )
    return done.stdout


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]) if len(sys.argv) > 1 else None), indent=2))
