"""Whole runs on a tiny base: real peft, real steps, real files."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch

from gardenerd.core import gate, memory
from gardenerd.errors import AdapterError, CancelledError, SettingsError, TrainingError
from gardenerd.models import adapters, card
from gardenerd.models.info import file_digest, fingerprint
from gardenerd.models.load import load_base
from gardenerd.train import loop, run
from gardenerd.train import model as adapted
from gardenerd.workers.jobs import AdapterRef
from gardenerd.workers.train_jobs import SEEN, RunReport, TrainAdapter, TrainProgress
from tests.tiny_models import Architecture, make_adapter, make_base
from tests.train.runs import FAST, example, heldout, make_run

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def do(job: TrainAdapter) -> tuple[RunReport, list[TrainProgress]]:
    updates: list[TrainProgress] = []
    return run.run(job, report=updates.append), updates


def weights(job: TrainAdapter) -> str:
    return file_digest(Path(job.folder) / "candidate" / card.WEIGHTS)


def test_a_run_learns_and_hands_over_a_candidate_and_a_report(llama: Path, tmp_path: Path) -> None:
    before = fingerprint(llama)
    chosen = msgspec.structs.replace(FAST, steps=30)
    job = make_run(tmp_path / "run", llama, chosen=chosen)
    report, updates = do(job)

    assert report.finite
    assert report.base_unchanged
    assert fingerprint(llama) == before
    assert report.trained_parameters == report.planned_parameters > 0
    assert memory.LIBRARIES < report.expected_rss_bytes < 1_000_000_000  # the base is tiny
    assert report.loss_last < report.loss_first - 0.1  # the anchors in it stay as they are
    assert report.steps == 30
    assert report.examples == 40 + 10  # a fifth of all is general code
    slices = {score.slice for score in report.scores}
    assert slices == {"recent", "older", "general"}
    held = [score for score in report.scores if score.slice != "general"]
    assert len(held) == len(heldout())
    assert all(score.base == score.incumbent for score in held)
    assert sum(s.candidate for s in held) < sum(s.base for s in held)

    candidate = tmp_path / "run" / "candidate"
    found = card.verify(candidate, before)
    assert (found.rank, found.run, found.parent) == (FAST.rank, "run-1", None)
    assert found.scores == gate.by_slice(report.scores)
    assert str(tmp_path) not in (candidate / card.CONFIG).read_text()
    written = msgspec.json.decode((tmp_path / "run" / "report.json").read_bytes(), type=RunReport)
    assert written == report
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 31))

    percents = [update.percent for update in updates]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert [p for p in ("preparing", "training", "validating") if p in {u.phase for u in updates}]


@pytest.mark.parametrize("architecture", ["gemma2", "gpt_neox"])
def test_a_run_learns_on_other_architectures(architecture: Architecture, tmp_path: Path) -> None:
    """Gemma 2 caps its attention and its logits; GPT-NeoX has its own names for everything."""
    base = make_base(tmp_path / "base", architecture=architecture, width=32)
    job = make_run(tmp_path / "run", base, chosen=msgspec.structs.replace(FAST, steps=20))
    report, _ = do(job)
    assert report.finite
    assert report.base_unchanged
    assert report.trained_parameters == report.planned_parameters > 0
    assert report.loss_last < report.loss_first
    assert card.verify(tmp_path / "run" / "candidate", fingerprint(base)).rank == FAST.rank


def test_what_each_example_cost_is_handed_over(llama: Path, tmp_path: Path) -> None:
    chosen = msgspec.structs.replace(FAST, steps=30)
    job = make_run(tmp_path / "run", llama, chosen=chosen)
    report, _ = do(job)
    costs = json.loads((tmp_path / "run" / SEEN).read_bytes())
    assert len(costs) == report.seen == 40  # the anchors aside
    mean = sum(costs.values()) / len(costs)
    # Of the last pass: below what all cost at first.
    assert min(costs.values()) > 0
    assert mean < report.loss_first


def test_only_the_adapter_trains_and_never_embeddings_or_head(qwen2: Path) -> None:
    base = load_base(qwen2)
    model = adapted.prepare(base, FAST, None)
    trainable = adapted.trainable(model)
    assert trainable
    assert all("lora_" in name for name in trainable)
    assert not [n for n in trainable if "embed" in n or "head" in n]
    config = base.model.config
    h, f, kv = config.hidden_size, config.intermediate_size, config.hidden_size // 2
    by_hand = 2 * FAST.rank * ((h + h) * 2 + (h + kv) * 2 + (h + f) * 3)
    assert adapted.count(model, FAST.rank) == (by_hand, by_hand)


def test_the_incumbent_is_scored_and_training_continues_from_the_parent(
    llama: Path, tmp_path: Path
) -> None:
    first = make_run(tmp_path / "first", llama)
    do(first)
    served = AdapterRef(version="v1", folder=str(tmp_path / "first" / "candidate"))
    second = make_run(tmp_path / "second", llama, incumbent=served, parent=served)
    report, _ = do(second)
    # It begins where the parent ended: not at the loss of the base.
    assert report.loss_first < report.scores[0].base * 10
    assert report.examples == 40 + 27  # two fifths of all is general code
    held = [score for score in report.scores if score.slice != "general"]
    assert all(score.incumbent != score.base for score in held)
    assert card.read_card(tmp_path / "second" / "candidate").parent == "v1"
    anew = make_run(tmp_path / "anew", llama, incumbent=served)
    fresh, _ = do(anew)
    assert report.loss_first < fresh.loss_first


def test_anew_the_parent_is_succeeded_but_its_weights_are_left(llama: Path, tmp_path: Path) -> None:
    first = make_run(tmp_path / "first", llama)
    do(first)
    served = AdapterRef(version="v1", folder=str(tmp_path / "first" / "candidate"))
    chosen = msgspec.structs.replace(FAST, anew=True)
    second = make_run(tmp_path / "second", llama, chosen=chosen, parent=served)
    do(second)
    assert weights(second) == weights(first)
    assert card.read_card(tmp_path / "second" / "candidate").parent == "v1"


@pytest.mark.parametrize(("strength", "factor"), [(1.0, 0.8), (0.6, 2.0)])
def test_general_code_is_held_more_firmly_after_a_run_that_went_too_far(
    llama: Path, tmp_path: Path, strength: float, factor: float
) -> None:
    first = make_run(tmp_path / "first", llama)
    do(first)
    folder = tmp_path / "first" / "candidate"
    made = card.read_card(folder)
    assert made.hold == FAST.hold
    card.write_card(folder, msgspec.structs.replace(made, strength=strength))
    served = AdapterRef(version="v1", folder=str(folder))
    do(make_run(tmp_path / "second", llama, parent=served))
    held = card.read_card(tmp_path / "second" / "candidate").hold
    assert held == pytest.approx(FAST.hold * factor)


def test_a_parent_of_another_rank_is_left_and_the_adapter_starts_anew(
    llama: Path, tmp_path: Path
) -> None:
    old = make_adapter(llama, tmp_path / "old", rank=2)
    job = make_run(tmp_path / "run", llama, parent=AdapterRef(version="v1", folder=str(old)))
    report, _ = do(job)
    assert report.trained_parameters == report.planned_parameters
    first, _ = do(make_run(tmp_path / "first", llama))
    assert report.examples == first.examples  # with as many anchors as from the base


def test_an_incumbent_of_another_base_is_refused(llama: Path, qwen2: Path, tmp_path: Path) -> None:
    other = make_adapter(qwen2, tmp_path / "other")
    ref = AdapterRef(version="v9", folder=str(other))
    with pytest.raises(AdapterError, match="the base in use is another"):
        do(make_run(tmp_path / "run", llama, incumbent=ref))


def test_nothing_to_learn_from_says_why(llama: Path, tmp_path: Path) -> None:
    job = make_run(tmp_path / "run", llama, examples=[example(0, text="x = 1")])
    with pytest.raises(TrainingError, match="1 too short"):
        do(job)


def test_a_projection_that_the_base_does_not_have(llama: Path, tmp_path: Path) -> None:
    chosen = msgspec.structs.replace(FAST, target_modules=("q_proj", "c_fc"))
    with pytest.raises(SettingsError, match="c_fc"):
        do(make_run(tmp_path / "run", llama, chosen=chosen))


def test_a_run_that_diverges_says_so_and_is_rolled_back(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = make_base(tmp_path / "base")
    file = base / "model.safetensors"
    tensors = load_file(file)
    tensors["model.norm.weight"][0] = float("inf")
    save_file(tensors, file, metadata={"format": "pt"})
    report, _ = do(make_run(tmp_path / "run", base))
    assert not report.finite
    assert report.steps == 1
    assert gate.decide(report).outcome == "rolled_back"


def test_cancelled_between_steps(llama: Path, tmp_path: Path) -> None:
    def report(update: TrainProgress) -> None:
        if update.step == 3:
            raise CancelledError("the run was cancelled")

    with pytest.raises(CancelledError):
        run.run(make_run(tmp_path / "run", llama), report=report)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_asked_to_leave_it_saves_and_goes_on_as_if_nothing_had_been(
    llama: Path, tmp_path: Path, dropout: float
) -> None:
    chosen = msgspec.structs.replace(FAST, dropout=dropout)
    whole = make_run(tmp_path / "whole", llama, chosen=chosen)
    expected, _ = do(whole)

    parts = make_run(tmp_path / "parts", llama, chosen=chosen)
    for stop in (2, 5):
        seen: list[int] = []
        with pytest.raises(loop.Left):
            run.run(
                parts,
                report=lambda update, seen=seen: seen.append(update.step),
                leave=lambda seen=seen, stop=stop: bool(seen) and seen[-1] >= stop,
            )
    report, updates = do(parts)
    assert min(update.step for update in updates if update.phase == "training" and update.step) == 6
    assert weights(parts) == weights(whole)
    assert report.scores == expected.scores
    assert (report.loss_first, report.loss_last) == (expected.loss_first, expected.loss_last)
    metrics = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("parts", "whole")]
    assert metrics[0] == metrics[1]


_KILLED = """
import sys, torch, msgspec, warnings
warnings.simplefilter("ignore")
torch.set_num_threads(1)
from gardenerd.train import loop, run
from gardenerd.workers.train_jobs import TrainAdapter
loop.CHECKPOINT_SECONDS = 0.0  # after each step: the worst moments are during a checkpoint
job = msgspec.json.decode(sys.stdin.buffer.read(), type=TrainAdapter)
run.run(job, report=lambda update: print(update.phase, update.step, flush=True))
"""


def test_killed_at_a_random_moment_it_ends_with_the_same_bits(llama: Path, tmp_path: Path) -> None:
    whole = make_run(tmp_path / "whole", llama)
    do(whole)
    job = make_run(tmp_path / "killed", llama)
    draw = random.Random(int(os.environ.get("GARDENER_TEST_SEED", "5")))
    lines = draw.randrange(3, 9)
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(msgspec.json.encode(job))
        child.stdin.close()
        for _ in range(lines):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    _, updates = do(job)
    assert min(u.step for u in updates if u.phase == "training" and u.step) > 1
    assert weights(job) == weights(whole)


def test_a_damaged_checkpoint_is_left_for_the_beginning(llama: Path, tmp_path: Path) -> None:
    whole = make_run(tmp_path / "whole", llama)
    do(whole)
    job = make_run(tmp_path / "run", llama)
    seen: list[int] = []
    with pytest.raises(loop.Left):
        run.run(
            job,
            report=lambda update: seen.append(update.step),
            leave=lambda: bool(seen) and seen[-1] >= 3,
        )
    saved = next((tmp_path / "run" / "checkpoint").glob("*/adapter.safetensors"))
    data = bytearray(saved.read_bytes())
    data[-5] ^= 0xFF
    saved.write_bytes(bytes(data))
    _, updates = do(job)
    assert min(u.step for u in updates if u.phase == "training" and u.step) == 1
    assert weights(job) == weights(whole)


def test_the_weight_of_an_example_counts(llama: Path, tmp_path: Path) -> None:
    chosen = msgspec.structs.replace(FAST, fim_rate=0.0, steps=12)
    plain = make_run(tmp_path / "plain", llama, chosen=chosen)
    heavy = make_run(
        tmp_path / "heavy",
        llama,
        chosen=chosen,
        examples=[example(i, weight=3.0 if i % 2 else 1.0) for i in range(40)],
    )
    do(plain)
    do(heavy)
    one, two = (adapters.load_weights(Path(job.folder) / "candidate") for job in (plain, heavy))
    assert any(not torch.equal(one[key], two[key]) for key in one)


def test_the_time_limit_shortens_the_plan_and_the_rate_still_falls(
    llama: Path, tmp_path: Path
) -> None:
    chosen = msgspec.structs.replace(FAST, steps=100_000, minutes=0.02)
    job = make_run(tmp_path / "run", llama, chosen=chosen)
    report, _ = do(job)
    assert 4 < report.steps < 100_000
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rates = [json.loads(line)["lr"] for line in lines]
    assert rates[-1] < max(rates)


def test_the_learning_rate_warms_up_and_falls() -> None:
    chosen = msgspec.structs.replace(FAST, learning_rate=1e-3, warmup_steps=10)
    rates = [loop.learning_rate(step, 100, chosen) for step in range(100)]
    assert max(rates) == pytest.approx(1e-3)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 1e-4
