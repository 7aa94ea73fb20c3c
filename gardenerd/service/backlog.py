"""What waits to be learned, by project."""

from __future__ import annotations

from gardenerd.core.turns import Waiting
from gardenerd.store.runs import Run
from gardenerd.store.stores import Stores


def new_examples(project: str, stores: Stores) -> int:
    """What a run of ``project`` would learn from that no run has learned from."""
    return _new_examples(project, stores, stores.runs.last_ended(project))


def waiting(project: str, stores: Stores) -> Waiting:
    """What decides whose turn it is."""
    last = stores.runs.last_ended(project)
    return Waiting(
        project=project,
        new_examples=_new_examples(project, stores, last),
        last_ended=last.finished if last else None,
        failures=stores.runs.failures(project),
    )


def _new_examples(project: str, stores: Stores, last: Run | None) -> int:
    count = stores.files.counts(project).new_chunks
    count += stores.feedback.count_unharvested(project)
    if last is not None and last.outcome in ("failed", "skipped"):
        count += stores.examples.count_new(project)
    return count
