"""Two processes on the one processor stand for two devices."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from gardenerd.errors import CancelledError, TrainingError
from gardenerd.models import adapters
from gardenerd.train import ranks, run
from gardenerd.workers.train_jobs import TrainProgress
from tests.train.runs import make_run

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def followers() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "gardenerd.train.follower" in child.cmdline()
    ]


def metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "useful", lambda _device, _rows_per_step: 2)
    # As the trainer's own threads: sums in one order.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.usefixtures("two_devices")
def test_two_ranks_learn_what_one_does(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()

    def report(progress: TrainProgress) -> None:
        if progress.phase == "training" and progress.step:
            seen.update(child.pid for child in followers())

    together = run.run(make_run(tmp_path / "two", llama), report=report)
    assert len(seen) == 1
    assert followers() == []
    assert not {"RANK", "LOCAL_RANK", "WORLD_SIZE"} & os.environ.keys()
    monkeypatch.setattr(ranks, "useful", lambda _device, _rows_per_step: 1)
    alone = run.run(make_run(tmp_path / "one", llama), report=lambda _: None)
    assert (together.steps, together.tokens, together.seen) == (
        alone.steps,
        alone.tokens,
        alone.seen,
    )
    # Sums in another order, in bfloat16 where the processor has it.
    for one, two in zip(metrics(tmp_path / "one"), metrics(tmp_path / "two"), strict=True):
        assert (two["loss"], two["norm"]) == pytest.approx((one["loss"], one["norm"]), rel=5e-3)
    first, second = (
        adapters.load_weights(tmp_path / name / "candidate") for name in ("one", "two")
    )
    for name, value in first.items():
        assert (second[name] - value).norm() < 0.1 * value.norm(), name


@pytest.mark.usefixtures("two_devices")
def test_cancelled_no_rank_is_left(llama: Path, tmp_path: Path) -> None:
    def check() -> None:
        if followers():
            raise CancelledError("cancelled")

    with pytest.raises(CancelledError):
        run.run(make_run(tmp_path / "run", llama), report=lambda _: None, check=check)
    assert followers() == []


@pytest.mark.usefixtures("two_devices")
def test_a_rank_that_dies_ends_the_run_with_a_reason(llama: Path, tmp_path: Path) -> None:
    def report(progress: TrainProgress) -> None:
        if progress.step == 2:
            for child in followers():
                os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(TrainingError, match="another device has ended"):
        run.run(make_run(tmp_path / "run", llama), report=report)
    assert followers() == []
