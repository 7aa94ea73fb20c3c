"""The days' new code under all contenders, once a run: it is judged before anything learns it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import torch

from gardenerd import durable
from gardenerd.models.load import load_base
from gardenerd.train import evaluate
from gardenerd.train.lines import read_lines
from gardenerd.workers.jobs import AdapterRef, FreshText
from gardenerd.workers.train_jobs import FreshScore, TrainAdapter

_SCORES = "fresh.json"


def judge(
    job: TrainAdapter, challenger: AdapterRef | None, check: Callable[[float], None]
) -> list[FreshScore]:
    """Score them, or give what was found before the run was interrupted: it has trained since.

    Args:
        check: called often with the share done, 0 to 1; it may raise to cancel.

    Raises:
        AdapterError: an adapter is damaged or of another base.
        ModelError: a score was not finite.
    """
    found, frozen = Path(job.folder) / _SCORES, Path(job.folder) / "fresh.jsonl"
    if found.exists():
        return msgspec.json.decode(found.read_bytes(), type=list[FreshScore])
    # A run that was frozen by an earlier version has none.
    texts = read_lines(frozen, FreshText) if frozen.exists() else []
    if not texts:
        return []
    scores = evaluate.compare_fresh(
        load_base(Path(job.base), dtype=torch.float32),
        texts,
        incumbent=_folder(job.incumbent),
        challenger=_folder(challenger),
        previous=_folder(job.previous),
        on_probation=job.on_probation,
        check=check,
    )
    durable.write_file(found, msgspec.json.encode(scores))
    return scores


def _folder(adapter: AdapterRef | None) -> Path | None:
    return None if adapter is None else Path(adapter.folder)
