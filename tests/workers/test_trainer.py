"""The training process as the supervisor sees it: progress, the report, leaving and coming back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import psutil
import pytest
import zmq.asyncio

from gardenerd.errors import AdapterError, WorkerError
from gardenerd.models import card
from gardenerd.models.info import file_digest
from gardenerd.paths import Home
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import AdapterRef
from gardenerd.workers.train_jobs import RunReport, TrainProgress
from tests.tiny_models import make_base
from tests.train.runs import FAST, make_run

REPOSITORY = Path(__file__).parents[2]
Drive = Callable[[Callable[[Child], Awaitable[None]]], None]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drive:
    """Run a coroutine with the trainer of a temporary home; it is stopped afterwards."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the last bit depends on the number of threads
    home = Home(tmp_path / "home")
    home.create()

    def run(scenario: Callable[[Child], Awaitable[None]]) -> None:
        async def main() -> None:
            context = zmq.asyncio.Context()
            child = Child("train", "gardenerd.workers.trainer", home, context, keep_alive=60)
            try:
                await scenario(child)
            finally:
                await child.stop()
                context.destroy(linger=0)

        asyncio.run(main())

    return run


def test_it_leaves_when_told_and_another_process_goes_on(
    drive: Drive, base: Path, tmp_path: Path
) -> None:
    chosen = msgspec.structs.replace(FAST, steps=30)
    job = make_run(tmp_path / "run", base, chosen=chosen)

    async def scenario(child: Child) -> None:
        updates: list[TrainProgress] = []
        nice: list[int] = []

        def first(raw: msgspec.Raw) -> None:
            updates.append(msgspec.json.decode(raw, type=TrainProgress))
            if updates[-1].step > 0 and not nice:
                assert child.pid is not None
                nice.append(psutil.Process(child.pid).nice())
                child.terminate()

        with pytest.raises(WorkerError, match="75"):
            await child.call(job, RunReport, on_update=first)
        assert nice == [19]
        assert updates[0].phase == "preparing"
        again: list[TrainProgress] = []
        report = await child.call(
            job,
            RunReport,
            on_update=lambda raw: again.append(msgspec.json.decode(raw, type=TrainProgress)),
        )
        assert report.steps == 30
        assert min(update.step for update in again if update.step) > 1
        assert again[-1].phase == "validating"
        # Left idle, it goes at once when told.
        child.terminate()

    drive(scenario)
    assert (tmp_path / "run" / "report.json").is_file()
    assert card.read_card(tmp_path / "run" / "candidate").run == "run-1"
    assert file_digest(tmp_path / "run" / "candidate" / card.WEIGHTS)


def test_a_refusal_travels_with_its_type_and_the_process_lives(
    drive: Drive, base: Path, tmp_path: Path
) -> None:
    missing = AdapterRef(version="v1", folder=str(tmp_path / "nothing"))
    job = make_run(tmp_path / "run", base, incumbent=missing, parent=missing)

    async def scenario(child: Child) -> None:
        with pytest.raises(AdapterError, match="cannot be read"):
            await child.call(job, RunReport)
        assert child.pid is not None
        assert psutil.Process(child.pid).is_running()
        with pytest.raises(AdapterError):
            await child.call(job, RunReport)

    drive(scenario)


def test_killed_it_is_reported_and_the_next_one_goes_on(
    drive: Drive, base: Path, tmp_path: Path
) -> None:
    job = make_run(tmp_path / "run", base)

    async def scenario(child: Child) -> None:
        def kill(raw: msgspec.Raw) -> None:
            if msgspec.json.decode(raw, type=TrainProgress).phase == "training":
                assert child.pid is not None
                psutil.Process(child.pid).send_signal(signal.SIGKILL)

        with pytest.raises(WorkerError):
            await child.call(job, RunReport, on_update=kill)
        assert (await child.call(job, RunReport)).finite

    drive(scenario)
