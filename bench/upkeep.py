"""Whether the index stays small and quick over thousands of updates, and its worker lean.

    python -m bench.upkeep [--files N] [--updates N] [--optimizations N]

A part of the standard library is copied and indexed by the real worker, and compacted in quiet
times, with the waits that the daemon makes. Then one file after the other is edited and indexed, as
fast as it goes, with the upkeep that the daemon gives to one who never rests; processes that are
worn are replaced. At last one process makes one update and one compaction after the other. Limits:

- the index folder, after quiet upkeep, is at most 3 times the source text;
- an update, and a search, takes at most 1.5 times as long in the last tenth as in the first, by
  the processor time of the worker, compactions counted in: so other work here does not count;
- over the compactions memory grows by at most a tenth from the first fifth to the last, and the
  descriptors by at most 5.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import zmq.asyncio

from bench.first_index import sources
from gardenerd.paths import Home
from gardenerd.service.upkeep import Upkeep
from gardenerd.workers.child import MODULES, Child
from gardenerd.workers.jobs import Done, Hits, Indexed, IndexFiles, OptimizeIndex, SearchIndex

FILES, UPDATES, OPTIMIZATIONS = 400, 10_000, 500
SIZE_LIMIT, SLOWER_LIMIT, GROWTH_LIMIT, DESCRIPTOR_LIMIT = 3.0, 1.5, 1.1, 5

_SEARCH_EVERY = 25
_MAX_EDITED_BYTES = 20_000


@dataclass
class _Costs:
    """One figure of each step: processor seconds of its worker, and seconds by the clock."""

    cpu: list[float] = field(default_factory=list[float])
    wall: list[float] = field(default_factory=list[float])

    def summary(self) -> dict[str, float]:
        """Mean milliseconds of the first and the last tenth, and how much slower the last is."""
        part = max(1, len(self.cpu) // 10)
        first, last = (statistics.fmean(each) for each in (self.cpu[:part], self.cpu[-part:]))
        return {
            "first_cpu_ms": round(first * 1e3, 1),
            "last_cpu_ms": round(last * 1e3, 1),
            "times": round(last / first, 2),
            "first_ms": round(statistics.median(self.wall[:part]) * 1e3, 1),
            "last_ms": round(statistics.median(self.wall[-part:]) * 1e3, 1),
        }


class _Growth:
    """Memory and descriptors of a worker's process over many steps."""

    def __init__(self, worker: Child) -> None:
        self.kind = worker.kind
        self._worker = worker
        self._memory: list[int] = []
        self._descriptors: list[int] = []

    def look(self) -> None:
        process = psutil.Process(self._worker.pid)
        self._memory.append(process.memory_info().rss)
        self._descriptors.append(process.num_fds())

    def __str__(self) -> str:
        return f"{self.kind} worker {self._memory[-1] / 1e6:.0f} MB"

    def summary(self) -> dict[str, Any]:
        """Means of the first and the last fifth, and whether they are within the limits."""
        part = max(1, len(self._memory) // 5)
        early, late = statistics.fmean(self._memory[:part]), statistics.fmean(self._memory[-part:])
        more = self._descriptors[-1] - self._descriptors[0]
        return {
            "early_rss_mb": round(early / 1e6),
            "late_rss_mb": round(late / 1e6),
            "rss_times": round(late / early, 2),
            "descriptors": [self._descriptors[0], self._descriptors[-1]],
            "within": late / early <= GROWTH_LIMIT and more <= DESCRIPTOR_LIMIT,
        }


class _Bench:
    def __init__(
        self, home: Home, root: Path, paths: list[str], index: Child, search: Child
    ) -> None:
        self._home = home
        self._root = root
        self._paths = paths
        self._index = index
        self._search_worker = search
        self._upkeep = Upkeep(index, float("inf"))
        self._edited = [p for p in paths if (root / p).stat().st_size <= _MAX_EDITED_BYTES]
        self._edits = 0

    async def fill(self) -> None:
        for at in range(0, len(self._paths), 1_000):
            await self._job(self._paths[at : at + 1_000])

    async def quiet(self) -> dict[str, float]:
        """The passes of a quiet time, with their waits; the sizes after it."""
        while (wait := self._upkeep.due_in(time.monotonic())) is not None:
            await asyncio.sleep(wait)
            await self._upkeep.run()
        source = sum((self._root / path).stat().st_size for path in self._paths)
        return {
            "source_mb": round(source / 1e6, 2),
            "index_mb": round(_size(self._home.index) / 1e6, 2),
            "times": round(_size(self._home.index) / source, 2),
        }

    async def updates(self, count: int) -> dict[str, Any]:
        costs, searches = _Costs(), _Costs()
        pids: set[int | None] = set()
        most = 0
        for n in range(count):
            await self._cost(costs, self._index, self._update)
            pids.add(self._index.pid)
            if n % _SEARCH_EVERY == 0:
                await self._cost(searches, self._search_worker, self._search)
                most = max(most, _size(self._home.index))
                _tell(f"update {n}", costs)
            await self._index.reap_when_idle(time.monotonic())  # the worn one leaves
        return {
            "updates": count,
            "update": costs.summary(),
            "search": searches.summary(),
            "processes": len(pids - {None}),
            "most_index_mb": round(most / 1e6, 2),
        }

    async def optimizations(self, count: int) -> dict[str, Any]:
        """Updates, compactions and searches in turn, in processes that are not replaced."""
        growths = [_Growth(self._index), _Growth(self._search_worker)]
        costs = _Costs()
        for n in range(count):
            await self._index.call(self._edit(), Indexed)
            await self._cost(costs, self._index, self._optimize)
            await self._search()
            for growth in growths:
                growth.look()
            if n % _SEARCH_EVERY == 0:
                _tell(f"compaction {n}, {growths[0]}, {growths[1]}", costs)
        return {
            "optimizations": count,
            "optimization": costs.summary(),
            "growth": {growth.kind: growth.summary() for growth in growths},
        }

    async def _cost(
        self, costs: _Costs, worker: Child, step: Callable[[], Awaitable[None]]
    ) -> None:
        pid = worker.pid
        cpu, wall = _cpu(pid), time.perf_counter()
        await step()
        if pid is not None and pid == worker.pid:  # a new one's start is no cost of a step
            costs.cpu.append(_cpu(pid) - cpu)
            costs.wall.append(time.perf_counter() - wall)

    async def _update(self) -> None:
        await self._job(self._edit())
        if self._upkeep.due_in(time.monotonic()) == 0.0:
            await self._upkeep.run()

    async def _job(self, job: IndexFiles | Sequence[str]) -> None:
        if not isinstance(job, IndexFiles):
            job = IndexFiles(project="bench", root=str(self._root), paths=list(job))
        await self._index.call(job, Indexed)
        self._upkeep.worked()

    def _edit(self) -> IndexFiles:
        """One function is other than before, at the end of one file after the other."""
        self._edits += 1
        path = self._edited[self._edits % len(self._edited)]
        text = (self._root / path).read_bytes().partition(b"\n\ndef edited_")[0]
        edit = b"\n\ndef edited_%d(seed):\n    return seed + %d\n" % (self._edits, self._edits)
        (self._root / path).write_bytes(text + edit)
        return IndexFiles(project="bench", root=str(self._root), paths=[path])

    async def _search(self) -> None:
        await self._search_worker.call(SearchIndex(query="parse the header of a message"), Hits)

    async def _optimize(self) -> None:
        await self._index.call(OptimizeIndex(), Done)


def measure(
    files: int = FILES, updates: int = UPDATES, optimizations: int = OPTIMIZATIONS
) -> dict[str, Any]:
    """Sizes, costs and growth; what each means is told above."""
    return asyncio.run(_measure(files, updates, optimizations))


async def _measure(files: int, updates: int, optimizations: int) -> dict[str, Any]:
    standard = Path(sysconfig.get_paths()["stdlib"])
    paths = sources(standard)[:files]
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        home, root = Home(Path(folder) / "home"), Path(folder) / "source"
        home.create()
        for path in paths:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(standard / path, root / path)
        context = zmq.asyncio.Context()
        index, search = (
            Child(kind, MODULES[kind], home, context, keep_alive=float("inf"))
            for kind in ("index", "search")
        )
        try:
            bench = _Bench(home, root, paths, index, search)
            await bench.fill()
            found: dict[str, Any] = {"files": len(paths), "filled": await bench.quiet()}
            found |= await bench.updates(updates)
            found["after_updates"] = await bench.quiet()
            found |= await bench.optimizations(optimizations)
        finally:
            await asyncio.gather(index.stop(), search.stop())
            context.destroy(linger=0)
    found["limits"] = {
        "size": SIZE_LIMIT,
        "slower": SLOWER_LIMIT,
        "growth": GROWTH_LIMIT,
        "descriptors": DESCRIPTOR_LIMIT,
    }
    found["within"] = (
        max(found["filled"]["times"], found["after_updates"]["times"]) <= SIZE_LIMIT
        and max(found["update"]["times"], found["search"]["times"]) <= SLOWER_LIMIT
        and all(growth["within"] for growth in found["growth"].values())
    )
    return found


def _size(folder: Path) -> int:
    """Bytes of all files; one that goes meanwhile counts as none."""
    found = 0
    for at, _, names in os.walk(folder):
        for name in names:
            try:
                found += os.stat(f"{at}/{name}").st_size  # noqa: PTH116 - thousands of times
            except FileNotFoundError:
                continue
    return found


def _cpu(pid: int | None) -> float:
    return 0.0 if pid is None else sum(psutil.Process(pid).cpu_times()[:2])


def _tell(what: str, costs: _Costs) -> None:
    if costs.wall:
        print(f"{what}: {costs.wall[-1] * 1e3:.0f} ms", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.upkeep")
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--updates", type=int, default=UPDATES)
    parser.add_argument("--optimizations", type=int, default=OPTIMIZATIONS)
    given = parser.parse_args()
    found = measure(given.files, given.updates, given.optimizations)
    print(json.dumps(found, indent=2))
    raise SystemExit(0 if found["within"] else 1)


if __name__ == "__main__":
    main()
