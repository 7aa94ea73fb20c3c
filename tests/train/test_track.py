"""What a run tells MLflow, recorded by a package with the same calls; and that it may fail."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gardenerd.train import run
from gardenerd.workers.train_jobs import RunReport
from tests.train.runs import FAST, make_run

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

# The calls of mlflow 3 that are used, with their parameters' names.
RECORDER = """\
import json, pathlib
_FILE = pathlib.Path(__file__).with_name("calls.jsonl")
def _note(call, /, **values):
    with _FILE.open("a") as file:
        file.write(json.dumps([call, values]) + "\\n")
def set_tracking_uri(uri): _note("set_tracking_uri", uri=uri)
def set_experiment(experiment_name=None): _note("set_experiment", name=experiment_name)
def start_run(run_id=None, experiment_id=None, run_name=None): _note("start_run", name=run_name)
def log_params(params): _note("log_params", params=params)
def log_metrics(metrics, step=None): _note("log_metrics", metrics=metrics, step=step)
def end_run(status="FINISHED"): _note("end_run", status=status)
"""


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path, in which ``mlflow.py`` is to be written."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    return tmp_path / "mlflow.py"


def trained(llama: Path, folder: Path, **changes: Any) -> RunReport:
    chosen = msgspec.structs.replace(FAST, steps=20, **changes)
    job = msgspec.structs.replace(make_run(folder, llama, chosen=chosen), mlflow="file:///runs")
    return run.run(job, report=lambda _progress: None)


def calls(mlflow: Path) -> list[tuple[str, dict[str, Any]]]:
    lines = mlflow.with_name("calls.jsonl").read_text().splitlines()
    return [(name, values) for name, values in map(json.loads, lines)]


def test_parameters_losses_and_results_are_told(llama: Path, mlflow: Path, tmp_path: Path) -> None:
    mlflow.write_text(RECORDER)
    report = trained(llama, tmp_path / "run")
    told = calls(mlflow)
    names = [name for name, _ in told]
    assert names[:4] == ["set_tracking_uri", "set_experiment", "start_run", "log_params"]
    assert told[0][1]["uri"] == "file:///runs"
    params = told[3][1]["params"]
    assert params["rank"] == FAST.rank
    assert params["trainable_parameters"] == params["lora_parameters"] == report.trained_parameters
    assert params["frozen_parameters"] > 0
    steps = {v["step"]: v["metrics"] for n, v in told if n == "log_metrics" and v["step"]}
    assert sorted(steps) == [10, 20]
    assert steps[20]["loss"] > 0
    assert "older_candidate_bits_per_byte" in told[-2][1]["metrics"]
    assert told[-1] == ("end_run", {"status": "FINISHED"})


@pytest.mark.parametrize("broken", ["start_run", "log_params", "log_metrics", "end_run"])
def test_a_tracker_that_fails_never_stops_a_run_and_is_told_once(
    llama: Path, mlflow: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    mlflow.write_text(
        RECORDER + f"def {broken}(*a, **k): raise ConnectionError('no server there')\n"
    )
    with caplog.at_level(logging.WARNING, logger="gardenerd.train.track"):
        report = trained(llama, tmp_path / "run")
    assert report.steps == 20
    said = [record for record in caplog.records if record.name == "gardenerd.train.track"]
    assert [getattr(record, "cause", "") for record in said] == ["ConnectionError: no server there"]


def test_without_mlflow_a_run_says_so_and_goes_on(
    llama: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it were not installed
    with caplog.at_level(logging.WARNING, logger="gardenerd.train.track"):
        assert trained(llama, tmp_path / "run").steps == 20
    (said,) = [record for record in caplog.records if record.name == "gardenerd.train.track"]
    assert getattr(said, "cause", "").startswith("ModuleNotFoundError")
