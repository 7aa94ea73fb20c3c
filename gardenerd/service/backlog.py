"""What waits to be learned, by project."""

from __future__ import annotations

from gardenerd.core.turns import Waiting
from gardenerd.service.base import CHANGED
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


def owes_fresh(project: str, stores: Stores) -> bool:
    """Whether weights were deleted, or another base came, since the last run began, and nothing
    has taken their place."""
    return _owes_fresh(project, stores, stores.runs.last_ended(project))


def notes(project: str, stores: Stores) -> list[str]:
    """What is being forgotten, and what comes of it, in words; empty when nothing is."""
    found: list[str] = []
    if pending := stores.forgotten.pending(project):
        found.append(f"{len(pending)} being forgotten")
    if owes_fresh(project, stores):
        why = "weights were forgotten"
        if _changed(stores) > (stores.projects.get(project).unlearned or 0.0):
            why = "it is another one than before"
        found.append(f"the base serves, since {why}; a run from the base is due")
    return found


def _owes_fresh(project: str, stores: Stores, last: Run | None) -> bool:
    unlearned = stores.projects.get(project).unlearned
    deleted = unlearned is not None and (last is None or last.started < unlearned)
    left = last is not None and last.started < _changed(stores)
    return (
        (deleted or left)
        and stores.adapters.serving(project) is None
        and stores.adapters.challenger(project) is None
    )


def _changed(stores: Stores) -> float:
    """When another base came, in seconds since the epoch."""
    return float(stores.meta.get(CHANGED) or 0.0)


def _new_examples(project: str, stores: Stores, last: Run | None) -> int:
    count = stores.files.counts(project).new_chunks
    count += stores.feedback.count_unharvested(project)
    unsuccessful = last is not None and last.outcome in ("failed", "skipped")
    if unsuccessful or _owes_fresh(project, stores, last):
        count += stores.examples.count_new(project)
    return count
