"""Before a run: gather what is new into the replay buffer, compose the set, freeze it all.

After :func:`prepare` the run folder holds everything that training reads, so that a run can be
stopped, resumed or looked into without asking anyone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gardenerd import durable
from gardenerd.core import probation
from gardenerd.core.holdout import held_out
from gardenerd.core.replay import compose
from gardenerd.core.slices import slices
from gardenerd.errors import ModelError
from gardenerd.models.info import resolve, train_defaults
from gardenerd.paths import Home
from gardenerd.service import fresh
from gardenerd.service.base import BaseInUse
from gardenerd.service.gathering import gather
from gardenerd.settings import Settings
from gardenerd.store.examples import Stored
from gardenerd.store.projects import Project
from gardenerd.store.runs import Run
from gardenerd.store.stores import Stores
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import AdapterRef, Done, ReadTexts
from gardenerd.workers.train_jobs import Example, Hyperparameters, TrainAdapter

MIN_EXAMPLES = 50
"""Fewer teach nothing that a gate could see; the run is skipped."""

# Validation scores every held-out text under three models: this many files of each slice will do.
_HELD_OUT_FILES = 40
# A run from the base may take so many times the examples of one that goes on.
_FROM_BASE = 10
_MAX_EXAMPLES = 5_000
_JOB = "job.json"


class TooLittle(Exception):
    """There is not enough to learn from; says how much there is."""


async def prepare(
    run: str,
    project: Project,
    *,
    base: BaseInUse,
    home: Home,
    settings: Settings,
    stores: Stores,
    index: Child,
) -> TrainAdapter:
    """Freeze the inputs of ``run`` in its folder and return the job that trains on them.

    Raises:
        TooLittle: the buffer holds fewer than ``MIN_EXAMPLES``.
        WorkerError: the index worker died; nothing was lost, it can be tried again.
        StorageError: the run folder cannot be written.
    """
    indexed = dict(stores.files.indexed(project.id))
    kept_out = held_out(list(indexed))
    await gather(project, set(indexed), kept_out, settings, stores, index)
    job = await asyncio.to_thread(_job, run, project, base, home, settings, stores)
    last = stores.runs.last_ended(project.id)
    judged = await fresh.choose(project, stores, last, first=job.judged_after)
    left_out = set(judged) if job.judged_after else set[str]()
    # With nothing to go on from there is all of the project to learn, and no night before it.
    new = [item for item in stores.examples.new(project.id) if item.id not in left_out]
    ids = compose(
        new,
        stores.examples.old(project.id),
        set_size(job, last, len(new), settings),
        settings.loop.replay_share,
        job.hyperparameters.seed,
        since=last.started if last else 0.0,
    )
    chosen = [_example(stored) for stored in stores.examples.get(ids)]
    if len(chosen) < MIN_EXAMPLES:
        raise TooLittle(
            f"{len(chosen)} examples are worth learning from; at least {MIN_EXAMPLES} are needed"
        )
    folder = Path(job.folder)
    await asyncio.to_thread(_write_set, folder, chosen)
    await asyncio.to_thread(_write_lines, folder / "fresh.jsonl", fresh.texts(judged, stores))
    await index.call(
        ReadTexts(
            root=project.path,
            paths=dict(
                slices(
                    {path: indexed[path] for path in kept_out},
                    last.started if last else None,
                    _HELD_OUT_FILES,
                )
            ),
            target=str(folder / "heldout.jsonl"),
            max_file_bytes=settings.watch.max_file_bytes,
        ),
        Done,
    )
    await asyncio.to_thread(durable.write_file, folder / _JOB, msgspec.json.encode(job))
    return job


def set_size(job: TrainAdapter, last: Run | None, new: int, settings: Settings) -> int:
    """How many examples the run takes: ``loop.training_set``, and more while there is code of the
    project that no run has come to yet, as many as the time allows one pass over."""
    usual = settings.loop.training_set
    most = min(usual * _FROM_BASE, _MAX_EXAMPLES)
    if job.parent is None or job.hyperparameters.anew:
        return most
    report = last.report if last is not None else {}
    seconds = report.get("seconds", {}).get("training", 0.0)
    if not seconds or not report.get("seen"):
        return usual
    in_time = int(report["seen"] / seconds * job.hyperparameters.minutes * 60)
    waiting = int(new / (1 - settings.loop.replay_share))
    return max(usual, min(most, in_time, waiting))


def read_job(folder: Path) -> TrainAdapter:
    """The job that :func:`prepare` froze in ``folder``."""
    return msgspec.json.decode((folder / _JOB).read_bytes(), type=TrainAdapter)


def made_for(base: BaseInUse, folder: Path) -> bool:
    """Whether the run in ``folder`` trains for ``base``; one that cannot be read is for the run to
    tell."""
    try:
        return read_job(folder).base == str(base.folder())
    except ModelError:
        return True


def read_set(folder: Path) -> list[Example]:
    """The training set that :func:`prepare` froze in ``folder``."""
    lines = (folder / "train.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Example) for line in lines]


def _example(stored: Stored) -> Example:
    return Example(
        id=stored.id,
        path=stored.path,
        kind=stored.kind,
        language=stored.language,
        text=stored.text,
        weight=stored.weight,
    )


def _job(
    run: str, project: Project, base: BaseInUse, home: Home, settings: Settings, stores: Stores
) -> TrainAdapter:
    info = base.info()
    fingerprint = info.fingerprint
    serving = stores.adapters.serving(project.id)
    # An adapter of another base serves nothing now: the comparison is with the bare base.
    incumbent = _fitting(project, serving, fingerprint, home, stores)
    standing = stores.adapters.challenger(project.id)
    challenger = _fitting(project, standing and standing.version, fingerprint, home, stores)
    since = stores.adapters.serving_since(project.id) or 0.0
    on_probation = incumbent is not None and time.time() - since < probation.SECONDS
    previous = stores.adapters.previous(project.id) if on_probation else None
    parent = challenger or incumbent
    hyperparameters: Hyperparameters = resolve(settings.train, train_defaults(Path(info.folder)))
    # Each night replays, shuffles and is held by others than the last; the same ones every night
    # are what it would learn by heart.
    seed = hyperparameters.seed + stores.runs.number(run)
    return TrainAdapter(
        run=run,
        project=project.id,
        folder=str(home.run_folder(run)),
        base=info.folder,
        incumbent=incumbent,
        parent=parent,
        previous=_fitting(project, previous, fingerprint, home, stores),
        on_probation=on_probation,
        judged_after=challenger is None and incumbent is None,
        hyperparameters=msgspec.structs.replace(hyperparameters, seed=seed),
        mlflow=settings.track.mlflow,
    )


def _fitting(
    project: Project, version: str | None, fingerprint: str, home: Home, stores: Stores
) -> AdapterRef | None:
    """The version if it was made for the base in use."""
    if version is None or stores.adapters.get(project.id, version).fingerprint != fingerprint:
        return None
    return AdapterRef(version=version, folder=str(home.adapter(project.id, version)))


def _write_set(folder: Path, examples: list[Example]) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_lines(folder / "train.jsonl", examples)


def _write_lines(file: Path, items: Sequence[msgspec.Struct]) -> None:
    durable.write_file(file, b"".join(msgspec.json.encode(item) + b"\n" for item in items))
