"""The index is compacted in quiet times by the real worker, which is replaced when it is worn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import zmq.asyncio

from gardenerd.index.embed import load_embedder
from gardenerd.index.reader import TableReader
from gardenerd.paths import Home
from gardenerd.service import upkeep
from gardenerd.service.upkeep import Upkeep
from gardenerd.workers.child import MODULES, Child
from gardenerd.workers.jobs import Indexed, IndexFiles

Scenario = Callable[[Child, Upkeep], Awaitable[None]]


@pytest.fixture
def drive(home_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario, float], None]:
    """Run a coroutine with an index worker and its upkeep; the worker is stopped afterwards."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    home = Home(home_folder)
    home.create()

    def run(scenario: Scenario, keep_alive: float) -> None:
        async def main() -> None:
            context = zmq.asyncio.Context()
            index = Child("index", MODULES["index"], home, context, keep_alive=keep_alive)
            try:
                await scenario(index, Upkeep(index, keep_alive))
            finally:
                await index.stop()
                context.destroy(linger=0)

        asyncio.run(main())

    return run


def symbols(home_folder: Path) -> list[str]:
    """Of all chunks in the index."""
    embedder = load_embedder()
    index = Home(home_folder).index
    snapshot = TableReader(index, embedder.fingerprint, embedder.dimensions).latest()
    return [] if snapshot is None else snapshot.table.to_arrow()["symbol"].to_pylist()


async def one_job(index: Child, upkeep: Upkeep, root: Path, n: int) -> None:
    (root / "a.py").write_text(f"def plant_{n}():\n    return {n}\n")
    await index.call(IndexFiles(project="p", root=str(root), paths=["a.py"]), Indexed)
    upkeep.worked()


def test_quiet_times_have_three_passes_and_then_there_is_rest(
    drive, home_folder: Path, tmp_path: Path
) -> None:
    async def scenario(index: Child, upkeep: Upkeep) -> None:
        assert upkeep.due_in(0.0) is None
        for n in range(5):
            await one_job(index, upkeep, tmp_path, n)
        waits: list[int] = []
        while (wait := upkeep.due_in(time.monotonic())) is not None:
            waits.append(round(wait))
            await upkeep.run()
        assert waits == [20, 20, 65]
        assert symbols(home_folder) == ["plant_4"]
        assert upkeep.due_in(1e9) is None
        await one_job(index, upkeep, tmp_path, 9)
        assert upkeep.due_in(1e9) == 0.0

    drive(scenario, float("inf"))


def test_one_who_never_rests_is_compacted_while_working(
    drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_MOST_JOBS", 3)

    async def scenario(index: Child, upkeep: Upkeep) -> None:
        for n in range(2):
            await one_job(index, upkeep, tmp_path, n)
        assert upkeep.due_in(0.0) != 0.0
        await one_job(index, upkeep, tmp_path, 3)
        assert upkeep.due_in(0.0) == 0.0
        await upkeep.run()
        assert upkeep.due_in(0.0) != 0.0

    drive(scenario, float("inf"))


def test_a_worker_that_is_not_there_is_not_started_for_it(drive, tmp_path: Path) -> None:
    async def scenario(index: Child, upkeep: Upkeep) -> None:
        await one_job(index, upkeep, tmp_path, 1)
        assert index.state == "absent"
        assert upkeep.due_in(1e9) is None

    drive(scenario, 0.0)


def test_a_worn_worker_is_replaced_between_jobs(
    drive, home_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_WORN_PASSES", 2)

    async def scenario(index: Child, upkeep: Upkeep) -> None:
        pids: list[int | None] = []
        for n in range(5):
            await one_job(index, upkeep, tmp_path, n)
            pids.append(index.pid)
            await upkeep.run()
            await index.reap_when_idle(time.monotonic())
        assert None not in pids
        assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [2, 2, 1]
        assert symbols(home_folder) == ["plant_4"]

    drive(scenario, float("inf"))
