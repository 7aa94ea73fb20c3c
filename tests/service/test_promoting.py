"""What serves changes in one step or not at all, whatever goes wrong around it."""

from __future__ import annotations

import asyncio
import resource
import time

import msgspec
import pytest

from gardenerd.core.evidence import Day
from gardenerd.errors import RefusedError, StorageError
from gardenerd.models.card import Card, write_card
from gardenerd.paths import Home
from gardenerd.service import promoting, versions
from gardenerd.store.examples import Stored
from gardenerd.store.stores import Stores
from gardenerd.workers.jobs import AdapterRef
from gardenerd.workers.train_jobs import (
    Example,
    FreshScore,
    Hyperparameters,
    PairedScore,
    RunReport,
    TrainAdapter,
)
from tests.service.conftest import PROJECT


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
    serving, standing = stores.adapters.serving(PROJECT), stores.adapters.challenger(PROJECT)
    previous = stores.adapters.previous(PROJECT)
    incumbent = _ref(home, serving)
    job = TrainAdapter(
        run=run,
        project=PROJECT,
        folder=str(folder),
        base="seedling",
        incumbent=incumbent,
        parent=_ref(home, standing.version) if standing else incumbent,
        previous=_ref(home, previous),
        on_probation=serving is not None,
        judged_after=serving is None and standing is None,
        hyperparameters=Hyperparameters(),
    )
    (folder / "job.json").write_bytes(msgspec.json.encode(job))
    example = Example(id="e1", path="a.py", kind="function", language="python", text="x = 1")
    (folder / "train.jsonl").write_bytes(msgspec.json.encode(example) + b"\n")
    stores.runs.begin(run, PROJECT, time.time(), {})
    stores.runs.frozen(run)


def _ref(home: Home, version: str | None) -> AdapterRef | None:
    if version is None:
        return None
    return AdapterRef(version=version, folder=str(home.adapter(PROJECT, version)))


def days(first: int, count: int, *, gain: float, previous: float | None = None) -> list[FreshScore]:
    """Days on which the challenger needed ``gain`` bits per byte less than the incumbent, and
    what served before needed ``previous``."""
    return [
        FreshScore(
            day=f"2026-01-{first + i:02}",
            bytes=2_000,
            base=2.1,
            incumbent=2.0,
            challenger=2.0 - gain,
            previous=previous,
        )
        for i in range(count)
    ]


def report(*, gain: float, fresh: list[FreshScore] | None = None) -> RunReport:
    return RunReport(
        fresh=fresh or [],
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


def test_what_a_version_has_learned_from_outlasts_its_examples(home: Home, stores: Stores) -> None:
    stores.examples.add(
        [
            Stored(
                id="e1", project=PROJECT, path="a.py", symbol="", kind="function",
                language="python", text="x = 1", weight=1.0, source="code", created=1.0, used=0,
            )
        ]
    )  # fmt: skip
    finished_run(home, stores, "r1")
    judge("r1", report(gain=-0.1), home, stores)
    assert stores.lessons.first(PROJECT, ["a.py"]) is None  # its weights are gone
    for run in ("r2", "r3"):
        finished_run(home, stores, run)
        judge(run, report(gain=0.1), home, stores)
    stores.examples.delete(["e1"])
    assert stores.lessons.first(PROJECT, ["b.py", "a.py"]) == 1
    assert stores.lessons.first(PROJECT, ["b.py"]) is None


def test_a_worse_candidate_changes_nothing(home: Home, stores: Stores) -> None:
    finished_run(home, stores, "r1")
    judge("r1", report(gain=0.1), home, stores)
    finished_run(home, stores, "r2")
    verdict = judge("r2", report(gain=-0.1), home, stores)
    assert (verdict.outcome, verdict.version) == ("rolled_back", None)
    assert stores.adapters.serving(PROJECT) == "v1"
    assert not home.adapter(PROJECT, "v2").exists()


def test_a_challenger_gathers_its_evidence_by_the_day_and_then_serves(
    home: Home, stores: Stores
) -> None:
    finished_run(home, stores, "r1")
    judge("r1", report(gain=0.1), home, stores)
    # However good on the night's held-out files: what serves is replaced by evidence from days.
    finished_run(home, stores, "r2")
    assert judge("r2", report(gain=0.1), home, stores).outcome == "abstained"
    finished_run(home, stores, "r3")
    third = judge("r3", report(gain=0.1, fresh=days(1, 3, gain=0.05)), home, stores)
    assert (third.outcome, stores.adapters.serving(PROJECT)) == ("abstained", "v1")
    standing = stores.adapters.challenger(PROJECT)
    assert standing is not None
    assert (standing.version, standing.lineage, standing.parent) == ("v3", "r2", "v2")
    assert {path.name for path in (home.adapters / PROJECT).iterdir()} == {"v1", "v3"}
    finished_run(home, stores, "r4")
    fourth = judge("r4", report(gain=0.1, fresh=days(4, 4, gain=0.05)), home, stores)
    assert (fourth.outcome, fourth.version) == ("promoted", "v4")
    assert "7 of 7 days" in fourth.reason
    assert stores.adapters.serving(PROJECT) == "v4"
    assert stores.adapters.challenger(PROJECT) is None


def test_a_challenger_that_loses_is_given_up(home: Home, stores: Stores) -> None:
    for run, fresh in (("r1", []), ("r2", []), ("r3", days(1, 7, gain=-0.05))):
        finished_run(home, stores, run)
        verdict = judge(run, report(gain=0.1, fresh=fresh), home, stores)
    assert verdict.outcome == "rolled_back"
    assert "worse than what serves" in verdict.reason
    assert stores.adapters.serving(PROJECT) == "v1"
    assert stores.adapters.challenger(PROJECT) is None
    assert {path.name for path in (home.adapters / PROJECT).iterdir()} == {"v1"}


def test_an_adapter_that_becomes_worse_than_the_base_leaves(home: Home, stores: Stores) -> None:
    finished_run(home, stores, "r1")
    judge("r1", report(gain=0.1), home, stores)
    finished_run(home, stores, "r2")
    worse = [
        msgspec.structs.replace(day, incumbent=day.base + 0.05) for day in days(1, 6, gain=0.0)
    ]
    verdict = judge("r2", report(gain=0.1, fresh=worse), home, stores)
    assert verdict.outcome == "rolled_back"
    assert "base serves again" in verdict.reason
    assert stores.adapters.serving(PROJECT) is None


def test_an_adapter_that_writes_nothing_but_loops_leaves(home: Home, stores: Stores) -> None:
    finished_run(home, stores, "r1")
    judge("r1", report(gain=0.1), home, stores)
    finished_run(home, stores, "r2")
    found = msgspec.structs.replace(report(gain=0.1), base_variety=0.8, incumbent_variety=0.01)
    verdict = judge("r2", found, home, stores)
    assert verdict.outcome == "rolled_back"
    assert "v1 writes nothing but loops now: base serves again" in verdict.reason
    assert (stores.adapters.serving(PROJECT), stores.adapters.challenger(PROJECT)) == (None, None)


def test_on_probation_what_served_before_comes_back(home: Home, stores: Stores) -> None:
    for run, fresh in (("r1", []), ("r2", []), ("r3", days(1, 7, gain=0.05))):
        finished_run(home, stores, run)
        judge(run, report(gain=0.1, fresh=fresh), home, stores)
    assert stores.adapters.serving(PROJECT) == "v3"
    finished_run(home, stores, "r4")
    fresh = days(8, 6, gain=0.0, previous=1.95)
    verdict = judge("r4", report(gain=0.1, fresh=fresh), home, stores)
    assert (verdict.outcome, stores.adapters.serving(PROJECT)) == ("rolled_back", "v1")
    assert "v1 serves again" in verdict.reason


def test_the_bets_of_a_challenger_of_another_base_count_for_nothing(
    home: Home, stores: Stores
) -> None:
    finished_run(home, stores, "r1")
    judge("r1", report(gain=0.0005), home, stores)
    stores.evidence.add(
        PROJECT, "r1", [Day(day=f"2026-01-{i:02}", bytes=100, gain=0.05) for i in range(1, 8)]
    )
    finished_run(home, stores, "r2")
    path = home.run_folder("r2") / "job.json"
    job = msgspec.json.decode(path.read_bytes(), type=TrainAdapter)
    # As it is prepared after a change of the base: there is nothing to go on from.
    path.write_bytes(
        msgspec.json.encode(msgspec.structs.replace(job, parent=None, judged_after=True))
    )
    assert judge("r2", report(gain=0.0005), home, stores).outcome == "abstained"
    standing = stores.adapters.challenger(PROJECT)
    assert standing is not None
    assert standing.lineage == "r2"


def test_a_challenger_does_not_serve_by_request(home: Home, stores: Stores) -> None:
    for run in ("r1", "r2"):
        finished_run(home, stores, run)
        judge(run, report(gain=0.1), home, stores)
    project = stores.projects.get(PROJECT)
    with pytest.raises(RefusedError, match="has not passed the gate"):
        versions.roll_back(project, "v2", stores)
    # Nor does it outlive a rollback of what it grew from.
    versions.roll_back(project, "base", stores)
    assert stores.adapters.challenger(PROJECT) is None


def test_old_versions_go_and_pinned_ones_stay(home: Home, stores: Stores) -> None:
    project = stores.projects.get(PROJECT)
    for number in range(1, 7):
        finished_run(home, stores, f"r{number}")
        judge(f"r{number}", report(gain=0.1), home, stores)
        if number == 1:
            stores.adapters.pin(PROJECT, "v1", True)
        versions.roll_back(project, "base", stores)  # the next is a first night again
    finished_run(home, stores, "r7")
    asyncio.run(promoting.judge("r7", report(gain=0.1), home=home, stores=stores, keep=2))
    left = {adapter.version for adapter in stores.adapters.all(PROJECT)}
    assert left == {"v1", "v5", "v6", "v7"} == {p.name for p in (home.adapters / PROJECT).iterdir()}

    for version, why in (("v1", "pinned"), ("v7", "serves"), ("v2", "no adapter")):
        with pytest.raises(RefusedError, match=why):
            versions.remove(project, version, home, stores)
    stores.adapters.pin(PROJECT, "v1", False)
    versions.remove(project, "v1", home, stores)
    assert not home.adapter(PROJECT, "v1").exists()
    assert stores.adapters.next_number(PROJECT) == 8


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
    # With room again the same candidate goes on.
    assert judge("r2", report(gain=0.1), home, stores).outcome == "abstained"
    assert home.adapter(PROJECT, "v2").is_dir()


def test_what_a_crash_left_half_done_is_swept(home: Home, stores: Stores) -> None:
    finished_run(home, stores, "r1")
    judge("r1", report(gain=0.1), home, stores)
    orphan = home.adapter(PROJECT, "v2")  # written whole, but the flip never came
    orphan.mkdir()
    (orphan / "adapter_model.safetensors").write_bytes(b"x")
    versions.sweep(home, stores)
    assert not orphan.exists()
    assert stores.adapters.serving(PROJECT) == "v1"


def test_an_adapter_that_lost_its_files_is_known_as_damaged(home: Home, stores: Stores) -> None:
    finished_run(home, stores, "r1")
    judge("r1", report(gain=0.1), home, stores)
    (home.adapter(PROJECT, "v1") / "adapter_model.safetensors").unlink()
    versions.sweep(home, stores)
    assert stores.adapters.get(PROJECT, "v1").state == "damaged"


def test_an_ended_run_keeps_its_report_and_drops_its_weight(home: Home, stores: Stores) -> None:
    finished_run(home, stores, "r1")
    (home.run_folder("r1") / "report.json").write_text("{}")
    promoting.tidy("r1", home)
    left = {path.name for path in home.run_folder("r1").iterdir()}
    assert left == {"job.json", "report.json"}
