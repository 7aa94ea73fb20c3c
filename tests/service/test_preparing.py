"""How much of a project a run takes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gardenerd.service.preparing import set_size
from gardenerd.settings import Loop, Settings
from gardenerd.store.runs import Run
from gardenerd.workers.jobs import AdapterRef
from gardenerd.workers.train_jobs import Hyperparameters, TrainAdapter

SETTINGS = Settings(loop=Loop(training_set=500, replay_share=0.5))


def job(*, parent: bool = True, **chosen: Any) -> TrainAdapter:
    return TrainAdapter(
        run="r",
        project="p",
        folder="",
        base="",
        incumbent=None,
        parent=AdapterRef(version="v1", folder="") if parent else None,
        hyperparameters=Hyperparameters(minutes=2.0, **chosen),
    )


def last(report: dict[str, Any]) -> Run:
    return Run(
        id="r0",
        project="p",
        state="ended",
        outcome="promoted",
        reason="",
        started=1.0,
        finished=2.0,
        version="v1",
        parent=None,
        scores={},
        report=report,
        settings={},
    )


TRAINED = {"seen": 900, "seconds": {"training": 60.0}}  # 1,800 in two minutes


@pytest.mark.parametrize(
    ("report", "new", "expected"),
    [
        (TRAINED, 30, 500),  # all of it is known but for a little: the usual set
        (TRAINED, 600, 1_200),  # the rest of the project, and as much to replay
        (TRAINED, 6_000, 1_800),  # as many as there is time for
        ({"seen": 9_000, "seconds": {"training": 60.0}}, 6_000, 5_000),  # but no more than that
        ({}, 6_000, 500),  # a run that failed tells nothing
    ],
)
def test_a_run_that_goes_on_takes_what_is_left_of_the_project_as_time_allows(
    report: dict[str, Any], new: int, expected: int
) -> None:
    assert set_size(job(), last(report), new, SETTINGS) == expected


def test_a_run_from_the_base_takes_the_most() -> None:
    assert set_size(job(parent=False), None, 30, SETTINGS) == 5_000
    assert set_size(job(anew=True), last(TRAINED), 30, SETTINGS) == 5_000
    small = msgspec.structs.replace(SETTINGS, loop=Loop(training_set=50))
    assert set_size(job(parent=False), None, 30, small) == 500
