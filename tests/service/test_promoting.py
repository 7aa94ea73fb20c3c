"""What serves changes in one step or not at all, whatever goes wrong around it."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gardenerd.errors import StorageError
from gardenerd.models.card import Card, write_card
from gardenerd.paths import Home, find_home
from gardenerd.service import promoting
from gardenerd.store.stores import Stores
from gardenerd.workers.jobs import (
    Example,
    Hyperparameters,
    PairedScore,
    RunReport,
    TrainAdapter,
)

PROJECT = "p1"


@pytest.fixture
def home() -> Home:
    found = find_home()
    found.create()
    return found


@pytest.fixture
def stores(home: Home) -> Iterator[Stores]:
    opened = Stores(home.database)
    opened.projects.add(PROJECT, "shop", Path("/somewhere/shop"), 1.0)
    yield opened
    opened.close()


def finished_run(home: Home, stores: Stores, run: str, *, weights: int = 1_000) -> None:
    """The folder that a training run leaves behind, and its row."""
    folder = home.run_folder(run)
    candidate = folder / "candidate"
    candidate.mkdir(parents=True)
    (candidate / "adapter_model.safetensors").write_bytes(b"w" * weights)
    (candidate / "adapter_config.json").write_text("{}")
    write_card(
        candidate,
        Card(
            base="seedling",
            fingerprint="f",
            rank=4,
            alpha=8,
            target_modules="all-linear",
            parent=None,
            run=run,
            data_digest="d",
            created="2026-01-01T00:00:00Z",
        ),
    )
    job = TrainAdapter(
        run=run,
        project=PROJECT,
        folder=str(folder),
        base="seedling",
        incumbent=None,
        parent=None,
        hyperparameters=Hyperparameters(),
    )
    (folder / "job.json").write_bytes(msgspec.json.encode(job))
    example = Example(id="e1", path="a.py", kind="function", language="python", text="x = 1")
    (folder / "train.jsonl").write_bytes(msgspec.json.encode(example) + b"\n")
    stores.runs.begin(run, PROJECT, time.time(), {})
    stores.runs.frozen(run)


def report(*, gain: float) -> RunReport:
    return RunReport(
        scores=[
            PairedScore(
                path=f"{slice_}{number}.py",
                slice=slice_,
                bytes=4_000,
                base=2.0,
                incumbent=2.0,
                candidate=2.0 - gain,
            )
            for slice_ in ("recent", "older", "general")
            for number in range(12)
        ],
        finite=True,
        trained_parameters=10,
        planned_parameters=10,
        base_unchanged=True,
        steps=10,
        tokens=1_000,
        examples=50,
        dropped={},
        loss_first=3.0,
        loss_last=2.0,
        tokens_per_second=100.0,
        seconds={"training": 1.0},
    )


def judge(run: str, found: RunReport, home: Home, stores: Stores) -> promoting.Verdict:
    return asyncio.run(promoting.judge(run, found, home=home, stores=stores))


def test_a_better_candidate_is_published_and_serves(home: Home, stores: Stores) -> None:
    finished_run(home, stores, "r1")
    verdict = judge("r1", report(gain=0.1), home, stores)
    assert (verdict.outcome, verdict.version) == ("promoted", "v1")
    assert stores.adapters.serving(PROJECT) == "v1"
    assert (home.adapter(PROJECT, "v1") / "card.json").is_file()
    assert stores.runs.history(PROJECT, 1)[0].outcome == "promoted"


def test_a_worse_candidate_changes_nothing(home: Home, stores: Stores) -> None:
    finished_run(home, stores, "r1")
    judge("r1", report(gain=0.1), home, stores)
    finished_run(home, stores, "r2")
    verdict = judge("r2", report(gain=-0.1), home, stores)
    assert (verdict.outcome, verdict.version) == ("rolled_back", None)
    assert stores.adapters.serving(PROJECT) == "v1"
    assert not home.adapter(PROJECT, "v2").exists()


def test_a_full_disk_while_an_adapter_is_written(home: Home, stores: Stores) -> None:
    finished_run(home, stores, "r1")
    judge("r1", report(gain=0.1), home, stores)
    finished_run(home, stores, "r2", weights=3_000_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond this: the nearest to a full disk that needs no privileges.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        with pytest.raises(StorageError, match="cannot write") as caught:
            judge("r2", report(gain=0.1), home, stores)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "space" in caught.value.hint
    assert stores.adapters.serving(PROJECT) == "v1"
    assert sorted(path.name for path in (home.adapters / PROJECT).iterdir()) == ["v1"]
    # With room again the same candidate is promoted.
    assert judge("r2", report(gain=0.1), home, stores).version == "v2"


def test_what_a_crash_left_half_done_is_swept(home: Home, stores: Stores) -> None:
    finished_run(home, stores, "r1")
    judge("r1", report(gain=0.1), home, stores)
    orphan = home.adapter(PROJECT, "v2")  # written whole, but the flip never came
    orphan.mkdir()
    (orphan / "adapter_model.safetensors").write_bytes(b"x")
    promoting.sweep_adapters(home, stores)
    assert not orphan.exists()
    assert stores.adapters.serving(PROJECT) == "v1"


def test_an_adapter_that_lost_its_files_is_known_as_damaged(home: Home, stores: Stores) -> None:
    finished_run(home, stores, "r1")
    judge("r1", report(gain=0.1), home, stores)
    (home.adapter(PROJECT, "v1") / "adapter_model.safetensors").unlink()
    promoting.sweep_adapters(home, stores)
    assert stores.adapters.get(PROJECT, "v1").state == "damaged"


def test_an_ended_run_keeps_its_report_and_drops_its_weight(home: Home, stores: Stores) -> None:
    finished_run(home, stores, "r1")
    (home.run_folder("r1") / "report.json").write_text("{}")
    promoting.tidy("r1", home)
    left = {path.name for path in home.run_folder("r1").iterdir()}
    assert left == {"job.json", "report.json"}
