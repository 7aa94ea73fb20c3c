"""Adapters that really are damaged are measured to be, and refused; a sane one passes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from gardenerd.core import guards
from gardenerd.core.gate import Decision, decide
from gardenerd.errors import AdapterError
from gardenerd.models import adapters
from gardenerd.models.load import load_base
from gardenerd.seedling import MODEL_DIR
from gardenerd.train import canary, run
from gardenerd.workers.jobs import AdapterRef
from gardenerd.workers.train_jobs import Example, Hyperparameters, RunReport
from tests.tiny_models import make_adapter
from tests.train.runs import example, make_run

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

SANE = Hyperparameters(
    rank=8,
    alpha=16,
    learning_rate=2e-3,
    max_length=256,
    batch_tokens=512,
    steps=12,
    warmup_steps=2,
    fim_rate=0.25,
)


# As they are; a fixture puts the first in their place.
PROMPTS = canary._PROMPTS


@pytest.fixture
def much_to_write(monkeypatch: pytest.MonkeyPatch, little_to_write: None) -> None:
    monkeypatch.setattr(canary, "_PROMPTS", PROMPTS)


def trained(folder: Path, examples: list[Example] | None = None, **changes: Any) -> RunReport:
    """A run of the seedling, a real model, on a small project."""
    chosen = msgspec.structs.replace(SANE, **changes)
    job = make_run(folder, MODEL_DIR, chosen=chosen, examples=examples)
    return run.run(job, report=lambda _progress: None)


def judged(report: RunReport) -> Decision:
    """The gate's decision as if the project's own held-out code were clearly better."""
    scores = [
        msgspec.structs.replace(score, candidate=score.base - 0.2, bytes=5_000)
        if score.slice != "general"
        else score
        for score in report.scores
    ]
    more = [msgspec.structs.replace(scores[0], path=f"more/{i}.py") for i in range(20)]
    return decide(msgspec.structs.replace(report, scores=[*scores, *more]))


@pytest.mark.usefixtures("much_to_write")
def test_a_sane_night_is_near_its_base_and_passes(tmp_path: Path) -> None:
    report = trained(tmp_path / "run")
    assert 0 < report.distance < 0.1
    assert len(report.filling) >= 5
    assert report.adapter_bytes is not None
    assert report.adapter_bytes >= 4 * report.planned_parameters
    assert report.load_seconds > 0
    assert judged(report).outcome == "promoted", judged(report).reason


def test_a_rate_ten_times_too_high_is_seen_by_the_distance(tmp_path: Path) -> None:
    report = trained(tmp_path / "run", learning_rate=5e-2)
    assert report.distance > 2 * guards.DISTANCE_LIMIT
    assert judged(report).outcome == "rolled_back"


def test_what_learned_shuffled_words_fills_in_worse_or_has_gone_far(tmp_path: Path) -> None:
    draw = random.Random(0)
    examples: list[Example] = []
    for number in range(40):
        words = (example(number).text * 3).split()
        draw.shuffle(words)
        lines = [" ".join(words[i : i + 6]) for i in range(0, len(words), 6)]
        examples.append(example(number, text="\n".join(lines) + "\n"))
    report = trained(tmp_path / "run", examples, steps=40, learning_rate=1e-2, fim_rate=0.0)
    assert judged(report).outcome == "rolled_back"


@pytest.mark.usefixtures("much_to_write")
def test_what_serves_is_let_write_again(tmp_path: Path) -> None:
    served = make_adapter(MODEL_DIR, tmp_path / "served")
    job = make_run(
        tmp_path / "run",
        MODEL_DIR,
        chosen=msgspec.structs.replace(SANE, steps=2),
        incumbent=AdapterRef(version="v1", folder=str(served)),
    )
    report = run.run(job, report=lambda _progress: None)
    base = load_base(MODEL_DIR, dtype=torch.float32)
    model = adapters.attach(base, served, name="served")
    model.set_adapter("served")
    assert report.incumbent_variety == canary.variety(base, model, lambda: None)
    assert report.incumbent_variety != report.base_variety


def test_an_incumbent_that_was_cut_short_is_refused_by_name(llama: Path, tmp_path: Path) -> None:
    served = make_adapter(llama, tmp_path / "served")
    weights = served / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1_000])
    job = make_run(
        tmp_path / "run",
        llama,
        chosen=msgspec.structs.replace(SANE, steps=2),
        incumbent=AdapterRef(version="v1", folder=str(served)),
    )
    with pytest.raises(AdapterError, match="not the file that was saved"):
        run.run(job, report=lambda _progress: None)
