"""The steps of a run: forward, backward, clip, update; checkpoints on the way.

The loss of a step is the sum of its tokens' costs (:mod:`gardenerd.train.objective`) divided by
their number, however the rows are spread over micro-batches. Nothing in a step depends on the clock
or on a random state, so a run that was killed and resumed ends with the same bits (on the same kind
of processor).
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from gardenerd.core import memory
from gardenerd.models.load import Base
from gardenerd.train import attention, checkpoint, costs, dataset, lora, objective, ranks, selftest
from gardenerd.train import model as adapted
from gardenerd.workers.train_jobs import Hyperparameters, TrainProgress

CHECKPOINT_SECONDS = 60.0
"""A crash costs at most this much learning."""
_PASSES = 2
_BETAS = (0.9, 0.95)
# After so many steps their speed tells how many fit the time limit; the first are the slowest.
_PLAN_AFTER = (4, 16, 64)
_CUDA_BUDGET = 8 * memory.ACTIVATIONS  # an accelerator has its memory for this alone
_FROZEN_FACTOR = 10.0  # a step so many times slower than usual was not running all that time


class Left(Exception):
    """The run stopped at a checkpoint, as it was asked to: no error, and it can be resumed."""


@dataclass(slots=True)
class Result:
    """What training came to."""

    finite: bool = True
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    base_digest: str = ""
    costs: dict[int, float] = field(default_factory=dict)
    """Nats a token of an example, by its number, when a step last came to it: before that step. Of
    the steps since the run was last resumed."""


def train(
    base: Base,
    model: Any,
    rows: dataset.Rows,
    chosen: Hyperparameters,
    folder: Path,
    *,
    identity: str,
    report: Callable[[TrainProgress], None],
    leave: Callable[[], bool],
    check: Callable[[], None],
) -> Result:
    """Train the adapter on ``model`` and leave it there.

    Args:
        identity: names data, base and hyperparameters; only a checkpoint of the same is resumed.
        report: given progress after each step.
        leave: asked after each micro-batch; when true, a checkpoint is written first.
        check: called after each micro-batch; it may raise to cancel the run.

    Raises:
        Left: after the checkpoint that ``leave`` asked for.
        TrainingError: the device does not compute what it should.
    """
    run = _Run(base, model, rows, chosen, folder, identity)
    selftest.require_sound(base, model)
    run.resume()
    saved_at = time.monotonic()
    with lora.fused(model, adapted.NAME):
        while run.ordered(run.result.finite and not run.out_of_time()):
            began = time.monotonic()
            if not run.step(leave, check):
                run.save()
                raise Left
            run.account(time.monotonic() - began)
            report(run.progress())
            if time.monotonic() - saved_at >= CHECKPOINT_SECONDS:
                run.save()
                saved_at = time.monotonic()
    if run.result.finite:
        run.save()
    return run.result


def follow(
    base: Base, model: Any, rows: dataset.Rows, chosen: Hyperparameters, folder: Path, identity: str
) -> None:
    """Take this rank's part of each step that rank 0's :func:`train` orders, until it orders none.

    Raises:
        TrainingError: rank 0 has ended, or the device does not compute what it should.
    """
    run = _Run(base, model, rows, chosen, folder, identity)
    selftest.require_sound(base, model)
    run.resume()
    with lora.fused(model, adapted.NAME):
        while run.ordered(True):
            run.step(leave=lambda: False, check=lambda: None)


class _Run:
    """A run's state between steps."""

    def __init__(
        self,
        base: Base,
        model: Any,
        rows: dataset.Rows,
        chosen: Hyperparameters,
        folder: Path,
        identity: str,
    ) -> None:
        self._base, self._model, self._rows = base, model, rows
        self._chosen, self._folder, self._identity = chosen, folder, identity
        self._parameters = adapted.trainable(model)
        self._accelerator = Accelerator(
            mixed_precision="bf16" if base.model.dtype == torch.bfloat16 else "no",
            cpu=base.device.type == "cpu",
        )
        self._group = ranks.Group(self._accelerator)
        self._optimizer = torch.optim.AdamW(
            list(self._parameters.values()),
            lr=chosen.learning_rate,
            betas=_BETAS,
            weight_decay=chosen.weight_decay,
            fused=base.device.type in {"cpu", "cuda"},
        )
        apart = attention.use(base, chosen.max_length)
        self._micro_tokens = _micro_tokens(base, chosen) if apart else chosen.max_length
        self._durations: list[float] = []
        self._wanted = chosen.steps or rows.steps_in(_PASSES)
        self.steps = self._wanted
        self.result = Result()

    def resume(self) -> None:
        """Take up the newest checkpoint of this very run."""
        metrics = self._folder / "metrics.jsonl"
        standing = checkpoint.load(
            self._folder / "checkpoint", self._identity, self._parameters, self._optimizer
        )
        if standing is None:
            if self._group.leads:
                metrics.unlink(missing_ok=True)
            self.result.base_digest = adapted.base_digest(self._model)
            return
        self.steps = standing.steps
        self.result = Result(
            steps=standing.step,
            tokens=standing.tokens,
            seconds=standing.seconds,
            losses=list(standing.losses),
            base_digest=standing.base_digest,
        )
        if self._group.leads and metrics.exists():  # lines of steps that will be done again
            lines = metrics.read_text().splitlines(keepends=True)[: standing.step]
            metrics.write_text("".join(lines))

    def save(self) -> None:
        """Write a checkpoint of where the run stands."""
        if self.result.steps == 0:
            return  # nothing to keep: the run begins again from its seed
        checkpoint.save(
            self._folder / "checkpoint",
            checkpoint.Standing(
                identity=self._identity,
                step=self.result.steps,
                steps=self.steps,
                tokens=self.result.tokens,
                seconds=self.result.seconds,
                losses=self.result.losses,
                base_digest=self.result.base_digest,
            ),
            self._parameters,
            self._optimizer,
        )

    def ordered(self, able: bool) -> bool:
        """Whether another step is to be done: rank 0 says so, and of how many in all."""
        more, self.steps = self._group.told((able and self.result.steps < self.steps, self.steps))
        return more

    def step(self, leave: Callable[[], bool], check: Callable[[], None]) -> bool:
        """One update of the adapter; False if it was left undone because the run shall leave."""
        number, chosen = self.result.steps, self._chosen
        if chosen.dropout > 0:
            # A function of the step, as the data is.
            torch.manual_seed(chosen.seed * 1_000_003 + number)
        rows = self._rows.step(number)
        share = math.ceil(len(rows) / self._group.size)
        size = max(1, min(self._micro_tokens // chosen.max_length, share))
        parts = [rows[i : i + size] for i in range(0, len(rows), size)]
        parts = parts[self._group.rank :: self._group.size]
        # Filled up to a fixed shape: every new one costs a processor the making of its kernels (a
        # tenth of the speed, measured), and Apple's GPU memory that it keeps.
        batches = [
            dataset.collate(
                part,
                padding=self._base.end_token,
                device=self._base.device,
                size=len(part) * chosen.max_length,
            )
            for part in parts
        ]
        total = dataset.predicted(rows)
        plain: list[torch.Tensor] = []
        for part, batch in zip(parts, batches, strict=True):
            with self._accelerator.autocast():
                wanted, losses = objective.costs(
                    self._base, self._model, part, batch, self._chosen.hold
                )
            plain.append(losses)
            self._accelerator.backward(wanted.sum() / total)
            check()
            if leave():
                self._optimizer.zero_grad()
                return False
        parameters = list(self._parameters.values())
        self._group.add_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, chosen.max_grad_norm, foreach=True)
        found = self._group.gathered(costs.measured(parts, batches, plain))
        self.result.costs |= costs.by_example(found)
        loss = sum(each.nats for each in found) / total
        rate = learning_rate(number, self.steps, chosen)
        if math.isfinite(loss) and bool(torch.isfinite(norm)):
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._optimizer.step()
        else:
            self.result.finite = False
        self._optimizer.zero_grad()
        self.result.steps += 1
        self.result.tokens += total
        self.result.losses.append(loss)
        if self._group.leads:
            told = {"step": number + 1, "loss": loss, "lr": rate, "norm": float(norm)}
            with (self._folder / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({**told, "tokens": total}) + "\n")
        return True

    def account(self, seconds: float) -> None:
        """Count a step's time, and once the speed is known, plan as many steps as time allows."""
        self._durations = [*self._durations[-15:], seconds]
        usual = statistics.median(self._durations)
        # The supervisor freezes a run while the user works; that time is not the run's.
        self.result.seconds += usual if seconds > _FROZEN_FACTOR * usual else seconds
        if self.result.steps in _PLAN_AFTER:
            left = self._chosen.minutes * 60 - self.result.seconds
            self.steps = min(self._wanted, self.result.steps + max(1, int(left / usual)))

    def out_of_time(self) -> bool:
        """Whether the run is well over its limit, the machine having become slower than planned."""
        return self.result.seconds > self._chosen.minutes * 60 * 1.25

    def progress(self) -> TrainProgress:
        result = self.result
        recent = result.losses[-10:]
        return TrainProgress(
            phase="training",
            percent=100 * result.steps / self.steps,
            step=result.steps,
            steps=self.steps,
            loss=sum(recent) / len(recent),
            tokens_per_second=result.tokens / result.seconds if result.seconds else 0.0,
            seconds_left=result.seconds / result.steps * (self.steps - result.steps),
        )


def _micro_tokens(base: Base, chosen: Hyperparameters) -> int:
    shape = memory.shape_of(base.model.config.to_dict(), base.info.parameters)
    return memory.micro_tokens(
        shape,
        chosen.max_length,
        bytes_each=base.model.dtype.itemsize,
        budget=_CUDA_BUDGET if base.device.type == "cuda" else memory.ACTIVATIONS,
    )


def learning_rate(step: int, steps: int, chosen: Hyperparameters) -> float:
    """Linear warm-up, then half a cosine down to a twentieth of the peak.

    Args:
        step: from 0. The warm-up takes a fifth of the steps at most.
    """
    warmup = min(chosen.warmup_steps, steps // 5)
    if step < warmup:
        return chosen.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - warmup)
    return chosen.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
