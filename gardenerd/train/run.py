"""One training run, from frozen inputs to a candidate and a report. It decides nothing."""

from __future__ import annotations

import contextlib
import hashlib
import resource
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
import torch
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

from gardenerd import durable
from gardenerd.core import gate
from gardenerd.errors import ModelError, StorageError, TrainingError
from gardenerd.models import card as cards
from gardenerd.models.load import load_base
from gardenerd.train import anchor, dataset, evaluate, examples, loop
from gardenerd.train import model as adapted
from gardenerd.train.track import Tracker, tracked
from gardenerd.train.validate import Validation, validate
from gardenerd.workers.jobs import (
    SEEN,
    AdapterRef,
    Example,
    FreshScore,
    FreshText,
    HeldOutText,
    RunReport,
    TrainAdapter,
    TrainProgress,
)

T = TypeVar("T")

# Shares of the whole, for progress: preparing, training, validating.
_PREPARED, _TRAINED = 10.0, 75.0
_FRESH = "fresh.json"
_FIRMER, _LOOSER, _HOLD_RANGE = 2.0, 0.8, 16.0


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
        return _run(job, tracker, report=report, leave=leave, check=check)


def _run(
    job: TrainAdapter,
    tracker: Tracker,
    *,
    report: Callable[[TrainProgress], None],
    leave: Callable[[], bool],
    check: Callable[[], None],
) -> RunReport:
    folder, chosen = Path(job.folder), job.hyperparameters
    seconds: dict[str, float] = {}

    def pause() -> None:
        check()
        if leave():
            raise loop.Left

    # Preparing
    clock = _Clock(seconds)
    report(TrainProgress(phase="preparing", percent=0.0))
    heldout = evaluate.bound(read_lines(folder / "heldout.jsonl", HeldOutText))
    heldout += evaluate.bound(evaluate.general_texts(evaluate.general_modules()[0]))
    # A run that was frozen by an earlier version has none.
    written = folder / "fresh.jsonl"
    fresh = read_lines(written, FreshText) if written.exists() else []
    offered = read_lines(folder / "train.jsonl", Example)
    kept, dropped = examples.clean(offered, heldout)
    if kept:
        kept += examples.clean(anchor.anchors(len(kept), chosen.seed), heldout)[0]
    if not kept:
        raise TrainingError(
            f"none of the {len(offered)} examples can be learned from: {_words(dropped)}",
            hint="add code to the project, or wait for more changes",
        )
    pause()
    fresh_scores: list[FreshScore] = []
    if not job.judged_after:
        # Before anything trains on it, and once: a run that is resumed has trained since.
        fresh_scores = _judge_fresh(job, fresh, challenger=job.parent, pause=pause, report=report)
    base = load_base(Path(job.base), dtype=training_dtype())
    parent = adapted.continued(base, chosen, job.parent)
    chosen = msgspec.structs.replace(chosen, hold=_hold(chosen.hold, parent))
    model = adapted.prepare(base, chosen, parent)
    trained, planned = adapted.count(model, chosen.rank)
    rows = dataset.Rows(
        base,
        kept,
        max_length=chosen.max_length,
        rows_per_step=max(1, chosen.batch_tokens // chosen.max_length),
        fim_rate=chosen.fim_rate,
        seed=chosen.seed,
    )
    data_digest = _digest(msgspec.json.encode(kept))
    identity = _digest(data_digest, base.info.fingerprint, msgspec.json.encode(chosen))
    clock.lap("preparing")

    # Training
    def trained_progress(progress: TrainProgress) -> None:
        share = _PREPARED + progress.percent / 100 * (_TRAINED - _PREPARED)
        report(msgspec.structs.replace(progress, percent=share))
        tracker.step(
            progress.step,
            {"loss": progress.loss or 0.0, "tokens_per_second": progress.tokens_per_second},
        )

    tracker.parameters(
        {
            **msgspec.to_builtins(chosen),
            "project": job.project,
            "examples": len(kept),
            "trainable_parameters": trained,
            "lora_parameters": planned,
            "frozen_parameters": base.info.parameters,
        }
    )
    report(TrainProgress(phase="training", percent=_PREPARED))
    result = loop.train(
        base,
        model,
        rows,
        chosen,
        folder,
        identity=identity,
        report=trained_progress,
        leave=leave,
        check=check,
    )
    unchanged = adapted.base_digest(model) == result.base_digest
    seen = rows.seen(result.steps)
    durable.write_file(folder / SEEN, msgspec.json.encode(seen))
    candidate = folder / "candidate"
    _save_adapter(model, candidate)
    clock.lap("training")

    # Validating
    del model, base
    card = cards.Card(
        base=Path(job.base).name if Path(job.base).name != "model" else "seedling",
        fingerprint="",
        rank=chosen.rank,
        alpha=chosen.alpha,
        target_modules=chosen.target_modules,
        parent=job.parent.version if job.parent else None,
        run=job.run,
        data_digest=data_digest,
        steps=result.steps,
        hold=chosen.hold,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    found: Validation | None = None
    if result.finite:

        def validated(share: float) -> None:
            pause()
            percent = _TRAINED + share * (100.0 - _TRAINED)
            report(TrainProgress(phase="validating", percent=percent))

        # It predicts numbers that are not finite: the gate says so.
        with contextlib.suppress(ModelError):
            found = validate(
                Path(job.base),
                candidate,
                card,
                heldout,
                parent=parent,
                incumbent=job.incumbent,
                check=validated,
            )
            if job.judged_after:
                itself = AdapterRef(version="", folder=str(candidate))
                fresh_scores = _judge_fresh(job, fresh, challenger=itself, pause=pause)
    if found is not None:
        card = cards.read_card(candidate)
        cards.write_card(
            candidate, msgspec.structs.replace(card, scores=gate.by_slice(found.scores))
        )
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
        seen=len(seen),
        dropped=dropped,
        loss_first=_mean(result.losses[:3]),
        loss_last=_mean(result.losses[-3:]),
        tokens_per_second=result.tokens / result.seconds if result.seconds else 0.0,
        seconds=seconds,
        peak_rss_bytes=_peak_memory(),
        fresh=fresh_scores,
    )
    if found is not None:
        answer = msgspec.structs.replace(answer, **msgspec.structs.asdict(found))
    tracker.result(_metrics(answer))
    durable.write_file(folder / "report.json", msgspec.json.encode(answer))
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return answer


def _metrics(answer: RunReport) -> dict[str, float]:
    found = {
        f"{slice_}_{model}_bits_per_byte": value
        for slice_, scores in gate.by_slice(answer.scores).items()
        for model, value in scores.items()
    }
    return {**found, "strength": answer.strength, "distance": answer.distance}


def _judge_fresh(
    job: TrainAdapter,
    fresh: list[FreshText],
    *,
    challenger: AdapterRef | None,
    pause: Callable[[], None],
    report: Callable[[TrainProgress], None] = lambda _progress: None,
) -> list[FreshScore]:
    """The day's code under all contenders; kept in the folder, for a run that is resumed."""
    kept = Path(job.folder) / _FRESH
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=list[FreshScore])
    if not fresh:
        return []

    def judged(share: float) -> None:
        pause()
        report(TrainProgress(phase="preparing", percent=share * _PREPARED))

    def folder(adapter: AdapterRef | None) -> Path | None:
        return None if adapter is None else Path(adapter.folder)

    scores = evaluate.compare_fresh(
        load_base(Path(job.base), dtype=torch.float32),
        fresh,
        incumbent=folder(job.incumbent),
        challenger=folder(challenger),
        previous=folder(job.previous),
        on_probation=job.on_probation,
        check=judged,
    )
    durable.write_file(kept, msgspec.json.encode(scores))
    return scores


def _hold(first: float, parent: AdapterRef | None) -> float:
    """How firmly general code is held: as set in a first run; twice as firmly as in the parent's if
    that had to be lowered in strength, and a fifth less if not.

    So it settles where the weights need not be lowered afterwards, by which more is lost than by
    holding on while they are learned (a dual ascent on the limit, one step a night).
    """
    if parent is None:
        return first
    card = cards.read_card(Path(parent.folder))
    wanted = card.hold * (_FIRMER if card.strength < 1 else _LOOSER)
    return min(max(wanted, first / _HOLD_RANGE), first * _HOLD_RANGE)


def training_dtype() -> torch.dtype:
    """bfloat16 where matrix products are faster in it, else float32."""
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if torch.backends.mps.is_available():
        return torch.bfloat16
    able = torch.cpu.get_capabilities()
    fast = able.get("avx512_bf16") or able.get("amx_bf16")
    return torch.bfloat16 if fast else torch.float32


def read_lines(file: Path, kind: type[T]) -> list[T]:
    """The objects of a file with one JSON object a line."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise StorageError(
            f"cannot read {file}: {error.strerror}", hint="start a new run with `gardenerctl train`"
        ) from error
    try:
        return msgspec.json.Decoder(kind).decode_lines(data)
    except msgspec.DecodeError as error:
        raise TrainingError(
            f"{file} is damaged: {error}", hint="start a new run with `gardenerctl train`"
        ) from error


class _Clock:
    """Wall-clock seconds by phase."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def lap(self, phase: str) -> None:
        now = time.monotonic()
        self._seconds[phase] = round(now - self._last, 3)
        self._last = now


def _save_adapter(model: adapted.PeftModel, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    state = get_peft_model_state_dict(model, adapter_name=adapted.NAME)
    save_file(
        {key: value.detach().float().cpu().contiguous() for key, value in state.items()},
        folder / cards.WEIGHTS,
        metadata={"format": "pt"},
    )
    config = model.peft_config[adapted.NAME]
    config.base_model_name_or_path = None  # a path of this machine says nothing elsewhere
    config.save_pretrained(str(folder))


def _digest(*parts: bytes | str) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode() if isinstance(part, str) else part)
        whole.update(b"\0")
    return whole.hexdigest()


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _peak_memory() -> int:
    # Linux counts kilobytes, macOS bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _words(dropped: dict[str, int]) -> str:
    return (
        ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "none came"
    )
