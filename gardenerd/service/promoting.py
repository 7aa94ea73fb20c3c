"""After a run: judge the candidate and, if it is better, let it serve. Nothing else flips adapters.

The order makes a crash harmless at every point: the version's folder is written whole and synced
first; the flip, one transaction, comes last; a folder that no row names is removed at start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from pathlib import Path

import msgspec

from gardenerd import durable
from gardenerd.core import gate
from gardenerd.errors import RefusedError
from gardenerd.models.card import read_card
from gardenerd.paths import Home
from gardenerd.service.preparing import read_job, read_set
from gardenerd.store.adapters import Adapter
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.workers.jobs import RunReport

log = logging.getLogger(__name__)

# Their reports and metrics stay in the ledger; the folders are for looking into.
_KEPT_RUNS = 20
_HEAVY = ("checkpoint", "candidate", "train.jsonl", "heldout.jsonl")


class Verdict(msgspec.Struct, kw_only=True, frozen=True):
    outcome: str
    reason: str
    version: str | None
    scores: dict[str, dict[str, float]]


async def judge(run: str, report: RunReport, *, home: Home, stores: Stores) -> Verdict:
    """Decide on the candidate of ``run``, publish it if it is better, and close the ledger.

    Raises:
        StorageError: the adapter could not be written; what served goes on serving.
    """
    folder = home.run_folder(run)
    job = read_job(folder)
    decision = gate.decide(report)
    version: str | None = None
    if decision.outcome == "promoted":
        number = stores.adapters.next_number(job.project)
        version = f"v{number}"
        target = home.adapter(job.project, version)
        await asyncio.to_thread(durable.publish_folder, folder / "candidate", target)
        now = time.time()
        adapter = Adapter(
            project=job.project,
            version=version,
            number=number,
            state="candidate",
            parent=job.parent.version if job.parent else None,
            run=run,
            created=now,
            scores=decision.scores,
            fingerprint=read_card(target).fingerprint,
        )
        with stores.database.transaction():
            stores.adapters.promote(adapter, now)
            stores.examples.mark_used([example.id for example in read_set(folder)])
    verdict = Verdict(
        outcome=decision.outcome, reason=decision.reason, version=version, scores=decision.scores
    )
    stores.runs.end(
        run,
        outcome=verdict.outcome,
        reason=verdict.reason,
        now=time.time(),
        version=version,
        scores=decision.scores,
        report=msgspec.to_builtins(report),
    )
    return verdict


def roll_back(project: Project, version: str | None, stores: Stores) -> dict[str, str]:
    """Serve ``version`` (``base`` for none; None: what served before), at once.

    Raises:
        NotFoundError: no such version.
        RefusedError: it is damaged, or the base serves already.
    """
    serving = stores.adapters.serving(project.id)
    if version is None and serving is None:
        raise RefusedError(
            f"the base serves {project.name}; there is nothing to roll back",
            hint="see `gardenerctl adapters`",
        )
    target = stores.adapters.previous(project.id) if version is None else version
    stores.adapters.serve(project.id, None if target == "base" else target, time.time())
    now, before = target or "base", serving or "base"
    log.info("rolled back", extra={"project": project.id, "from": before, "to": now})
    return {
        "message": f"{project.name} is served by {now} (before: {before})",
        "version": now,
        "previous": before,
    }


def tidy(run: str, home: Home) -> None:
    """Remove what an ended run no longer needs, and the folders of runs long past."""
    folder = home.run_folder(run)
    for name in _HEAVY:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    past = sorted(path for path in home.runs.iterdir() if path.is_dir())
    for old in past[:-_KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)


def sweep_adapters(home: Home, stores: Stores) -> None:
    """At start: remove adapter folders that no row names, mark rows whose folder is gone."""
    named = {(a.project, a.version) for a in stores.adapters.all()}
    for folder in home.adapters.glob("*/*"):
        if (folder.parent.name, folder.name) not in named:
            log.info("removing an unfinished adapter", extra={"folder": folder.name})
            shutil.rmtree(folder, ignore_errors=True)
    for project, version in named:
        if not _complete(home.adapter(project, version)):
            log.error("an adapter is missing", extra={"version": version})
            stores.adapters.mark_damaged(project, version)


def _complete(folder: Path) -> bool:
    return (folder / "adapter_model.safetensors").is_file() and (folder / "card.json").is_file()
