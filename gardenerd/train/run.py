"""One training run, from frozen inputs to a candidate and a report. It decides nothing."""

from __future__ import annotations

import hashlib
import resource
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gardenerd import durable
from gardenerd.core import gate, memory
from gardenerd.errors import ModelError, TrainingError
from gardenerd.models import card as cards
from gardenerd.models.load import Base, load_base, training_dtype
from gardenerd.train import anchor, dataset, evaluate, examples, fresh, loop, objective, ranks
from gardenerd.train import model as adapted
from gardenerd.train.lines import read_lines
from gardenerd.train.track import Tracker, tracked
from gardenerd.train.validate import Validation, validate
from gardenerd.workers.jobs import AdapterRef, HeldOutText
from gardenerd.workers.train_jobs import (
    SEEN,
    Example,
    FreshScore,
    Hyperparameters,
    RunReport,
    TrainAdapter,
    TrainProgress,
)

# Shares of the whole, for progress: preparing, training, validating.
_PREPARED, _TRAINED = 10.0, 75.0


def run(
    job: TrainAdapter,
    *,
    report: Callable[[TrainProgress], None],
    leave: Callable[[], bool] = lambda: False,
    check: Callable[[], None] = lambda: None,
) -> RunReport:
    """Do the run that ``job`` names; it goes on where a checkpoint stands.

    Args:
        report: given progress, often.
        leave: asked between pieces of work; once true, the run saves and raises.
        check: may raise to cancel.

    Raises:
        loop.Left: it left at a checkpoint, as asked.
        TrainingError: there is nothing to learn from, or the machine cannot do it.
    """
    with tracked(job.mlflow, job.run) as tracker:
        return _Run(job, tracker, report, leave, check).do()


class _Run:
    """Prepares, trains, validates, in this order; what one phase made is there for the next."""

    def __init__(
        self,
        job: TrainAdapter,
        tracker: Tracker,
        report: Callable[[TrainProgress], None],
        leave: Callable[[], bool],
        check: Callable[[], None],
    ) -> None:
        self._job, self._tracker = job, tracker
        self._report, self._leave, self._check = report, leave, check
        self._folder = Path(job.folder)
        self._candidate = self._folder / "candidate"
        self._fresh: list[FreshScore] = []

    def do(self) -> RunReport:
        clock = _Clock()
        heldout = self._read_heldout()
        kept, dropped = self._clean(heldout)
        if not self._job.judged_after:
            # Before anything trains on it.
            self._judge_fresh(self._job.parent, until=_PREPARED)
        base = load_base(Path(self._job.base), dtype=training_dtype())
        parent = adapted.continued(base, self._job.hyperparameters, self._job.parent)
        chosen = objective.held(self._job.hyperparameters, parent)
        model = adapted.prepare(base, chosen, parent)
        trained, planned = adapted.count(model, chosen.rank)
        shape = memory.shape_of(base.model.config.to_dict(), base.info.parameters)
        expected = memory.expected(shape, chosen, bytes_each=base.model.dtype.itemsize)
        self._tracker.parameters(
            {
                **msgspec.to_builtins(chosen),
                "project": self._job.project,
                "examples": len(kept),
                "trainable_parameters": trained,
                "lora_parameters": planned,
                "frozen_parameters": base.info.parameters,
            }
        )
        data_digest = _digest(msgspec.json.encode(kept))
        clock.lap("preparing")

        result, seen = self._train(base, model, kept, chosen, parent, data_digest)
        unchanged = adapted.base_digest(model) == result.base_digest
        adapted.save(model, self._candidate)
        del model, base
        clock.lap("training")

        card = self._card(chosen, data_digest, result.steps)
        found = self._validate(card, heldout, parent) if result.finite else None
        clock.lap("validating")

        answer = RunReport(
            scores=[],
            finite=found is not None,
            trained_parameters=trained,
            planned_parameters=planned,
            base_unchanged=unchanged,
            steps=result.steps,
            tokens=result.tokens,
            examples=len(kept),
            seen=seen,
            dropped=dropped,
            loss_first=_mean(result.losses[:3]),
            loss_last=_mean(result.losses[-3:]),
            tokens_per_second=result.tokens / result.seconds if result.seconds else 0.0,
            seconds=clock.seconds,
            peak_rss_bytes=peak_memory(),
            expected_rss_bytes=expected,
            fresh=self._fresh,
        )
        if found is not None:
            answer = msgspec.structs.replace(answer, **msgspec.structs.asdict(found))
        self._tracker.result(_metrics(answer))
        durable.write_file(self._folder / "report.json", msgspec.json.encode(answer))
        shutil.rmtree(self._folder / "checkpoint", ignore_errors=True)
        return answer

    def _read_heldout(self) -> list[HeldOutText]:
        self._report(TrainProgress(phase="preparing", percent=0.0))
        texts = evaluate.bound(read_lines(self._folder / "heldout.jsonl", HeldOutText))
        return texts + evaluate.bound(evaluate.general_texts(evaluate.general_modules()[0]))

    def _clean(self, heldout: list[HeldOutText]) -> tuple[list[Example], dict[str, int]]:
        """What to learn from, anchors among it, and how many were left out, by reason."""
        offered = read_lines(self._folder / "train.jsonl", Example)
        kept, dropped = examples.clean(offered, heldout)
        if kept:
            chosen = self._job.hyperparameters
            goes_on = adapted.continues(chosen, self._job.parent)
            share = anchor.SHARE_FROM_PARENT if goes_on else anchor.SHARE
            anchors = anchor.anchors(len(kept), chosen.seed, share)
            kept += examples.clean(anchors, heldout)[0]
        if not kept:
            raise TrainingError(
                f"none of the {len(offered)} examples can be learned from: {_words(dropped)}",
                hint="add code to the project, or wait for more changes",
            )
        self._pause()
        return kept, dropped

    def _train(
        self,
        base: Base,
        model: adapted.PeftModel,
        kept: list[Example],
        chosen: Hyperparameters,
        parent: AdapterRef | None,
        data_digest: str,
    ) -> tuple[loop.Result, int]:
        """Train; gives how many examples the steps came to, too, and writes which."""
        rows = dataset.rows_of(base, kept, chosen)
        identity = _digest(data_digest, base.info.fingerprint, msgspec.json.encode(chosen))
        shared = ranks.Shared(
            base=self._job.base, parent=parent, hyperparameters=chosen, identity=identity
        )
        self._report(TrainProgress(phase="training", percent=_PREPARED))
        size = ranks.useful(base.device, rows.rows_per_step)
        with ranks.followers(self._folder, shared, kept, size):
            result = loop.train(
                base,
                model,
                rows,
                chosen,
                self._folder,
                identity=identity,
                report=self._trained,
                leave=self._leave,
                check=self._check,
            )
        seen = {kept[number].id: result.costs.get(number) for number in rows.seen(result.steps)}
        durable.write_file(self._folder / SEEN, msgspec.json.encode(seen))
        return result, len(seen)

    def _trained(self, progress: TrainProgress) -> None:
        share = _PREPARED + progress.percent / 100 * (_TRAINED - _PREPARED)
        self._report(msgspec.structs.replace(progress, percent=share))
        self._tracker.step(
            progress.step,
            {"loss": progress.loss or 0.0, "tokens_per_second": progress.tokens_per_second},
        )

    def _card(self, chosen: Hyperparameters, data_digest: str, steps: int) -> cards.Card:
        job = self._job
        return cards.Card(
            base=Path(job.base).name if Path(job.base).name != "model" else "seedling",
            fingerprint="",
            rank=chosen.rank,
            alpha=chosen.alpha,
            target_modules=chosen.target_modules,
            parent=job.parent.version if job.parent else None,
            run=job.run,
            data_digest=data_digest,
            steps=steps,
            hold=chosen.hold,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _validate(
        self, card: cards.Card, heldout: list[HeldOutText], parent: AdapterRef | None
    ) -> Validation | None:
        """None if the candidate predicts numbers that are not finite."""

        def validated(share: float) -> None:
            self._pause()
            percent = _TRAINED + share * (100.0 - _TRAINED)
            self._report(TrainProgress(phase="validating", percent=percent))

        try:
            found = validate(
                Path(self._job.base),
                self._candidate,
                card,
                heldout,
                parent=parent,
                incumbent=self._job.incumbent,
                check=validated,
            )
            if self._job.judged_after:
                self._judge_fresh(AdapterRef(version="", folder=str(self._candidate)))
        except ModelError:
            return None
        card = cards.read_card(self._candidate)
        cards.write_card(
            self._candidate, msgspec.structs.replace(card, scores=gate.by_slice(found.scores))
        )
        return found

    def _judge_fresh(self, challenger: AdapterRef | None, until: float | None = None) -> None:
        def judged(share: float) -> None:
            self._pause()
            if until is not None:
                self._report(TrainProgress(phase="preparing", percent=share * until))

        self._fresh = fresh.judge(self._job, challenger, judged)

    def _pause(self) -> None:
        self._check()
        if self._leave():
            raise loop.Left


def _metrics(answer: RunReport) -> dict[str, float]:
    found = {
        f"{slice_}_{model}_bits_per_byte": value
        for slice_, scores in gate.by_slice(answer.scores).items()
        for model, value in scores.items()
    }
    return {**found, "strength": answer.strength, "distance": answer.distance}


class _Clock:
    """Wall-clock seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, phase: str) -> None:
        now = time.monotonic()
        self.seconds[phase] = round(now - self._last, 3)
        self._last = now


def _digest(*parts: bytes | str) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode() if isinstance(part, str) else part)
        whole.update(b"\0")
    return whole.hexdigest()


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def peak_memory() -> int:
    """Bytes that this process had in memory at most."""
    # Linux counts kilobytes, macOS bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _words(dropped: dict[str, int]) -> str:
    return (
        ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "none came"
    )
