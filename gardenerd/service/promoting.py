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
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gardenerd import durable
from gardenerd.core import gate, guards, ledger, probation
from gardenerd.core.evidence import Day
from gardenerd.models.card import read_card
from gardenerd.paths import Home
from gardenerd.service import versions
from gardenerd.service.preparing import read_job, read_set
from gardenerd.store.adapters import Adapter
from gardenerd.store.stores import Stores
from gardenerd.workers.train_jobs import SEEN, FreshScore, RunReport, TrainAdapter

log = logging.getLogger(__name__)

# Their reports and metrics stay in the ledger; the folders are for looking into.
_KEPT_RUNS = 20
_HEAVY = ("checkpoint", "candidate", "train.jsonl", "heldout.jsonl", SEEN)


class Verdict(msgspec.Struct, kw_only=True, frozen=True):
    outcome: str
    reason: str
    version: str | None
    scores: dict[str, dict[str, float]]


async def judge(
    run: str,
    report: RunReport,
    *,
    home: Home,
    stores: Stores,
    keep: int = 5,
    joules: float | None = None,
) -> Verdict:
    """Decide on the candidate of ``run``, publish it if it may go on, and close the ledger.

    Args:
        keep: versions that served before, beside those that are pinned.
        joules: what the processor used meanwhile, where it can be told.

    Raises:
        StorageError: the adapter could not be written; what served goes on serving.
    """
    folder = home.run_folder(run)
    job = read_job(folder)
    seen = _seen(folder)
    learned = await asyncio.to_thread(_learned, seen, stores)
    decision = _demoted(job, report, stores) or _decided(job, report, stores)
    version: str | None = None
    digest = read_card(folder / "candidate").data_digest if report.finite else ""
    if decision.outcome == "promoted" or decision.kept:
        adapter = await _publish(job, decision, home, stores)
        now = time.time()
        with stores.database.transaction():
            if decision.outcome == "promoted":
                version = adapter.version
                stores.adapters.promote(adapter, now)
                stores.adapters.prune(job.project, keep)
            else:
                stores.adapters.challenge(adapter)
            stores.examples.mark_used(seen)
            _remember(adapter, seen, stores)
    elif decision.ended:
        stores.adapters.drop_challenger(job.project)
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
        report={
            **msgspec.to_builtins(report),
            "learned": msgspec.to_builtins(learned),
            "data_digest": digest,
            "joules": joules,
        },
    )
    versions.sweep(home, stores)
    return verdict


def _decided(job: TrainAdapter, report: RunReport, stores: Stores) -> gate.Decision:
    """The gate's decision; the bets of a challenger are recorded, whatever it is."""
    standing = _challenger(job, stores)
    # Without a challenger there is no contest: the incumbent would meet itself.
    days: list[Day] = []
    if standing is not None:
        stores.evidence.add(job.project, standing.lineage, gate.challenged(report.fresh))
        days = stores.evidence.days(job.project, standing.lineage)
    elif job.judged_after:
        days = gate.challenged(report.fresh)
    return gate.decide(report, days, first=job.judged_after)


def _challenger(job: TrainAdapter, stores: Stores) -> Adapter | None:
    """The challenger that the run went on from; one of another base has no part in it."""
    standing = stores.adapters.challenger(job.project)
    if standing is None or job.parent is None or job.parent.version != standing.version:
        return None
    return standing


def _demoted(job: TrainAdapter, report: RunReport, stores: Stores) -> gate.Decision | None:
    """Roll back what serves if a rival is proven better on the days since, or if it has collapsed;
    None if not."""
    if job.incumbent is None or stores.adapters.serving(job.project) != job.incumbent.version:
        return None
    version = job.incumbent.version
    if guards.collapsed(report.incumbent_variety, report.base_variety):
        return _gives_way(job, f"{version} writes nothing but loops now", None, report, stores)
    rivals: list[tuple[str, str | None, list[Day]]] = [
        ("base", None, [_day(score, score.base) for score in report.fresh])
    ]
    if job.on_probation and job.previous is not None:
        before = [_day(s, s.previous) for s in report.fresh if s.previous is not None]
        rivals.insert(0, (job.previous.version, job.previous.version, before))
    for name, rival, days in rivals:
        contest = f"{version} over {name}"
        stores.evidence.add(job.project, contest, days)
        if probation.overtaken(stores.evidence.days(job.project, contest)):
            said = f"{version} has been worse than {name} on new code"
            return _gives_way(job, said, rival, report, stores)
    return None


def _gives_way(
    job: TrainAdapter, said: str, to: str | None, report: RunReport, stores: Stores
) -> gate.Decision:
    versions.fall_back(job.project, to, stores, time.time())
    reason = f"{said}: {to or 'base'} serves again"
    log.warning("rolled back", extra={"project": job.project, "reason": reason})
    return gate.Decision(
        outcome="rolled_back", reason=reason, scores=gate.by_slice(report.scores), evidence=1.0
    )


def _seen(folder: Path) -> dict[str, float | None]:
    """What the run learned from: a run whose time ends leaves some of its set for later ones."""
    try:
        return msgspec.json.decode((folder / SEEN).read_bytes(), type=dict[str, float | None])
    except FileNotFoundError:  # a run that was frozen by an earlier version
        return {example.id: None for example in read_set(folder)}


def _learned(seen: Iterable[str], stores: Stores) -> ledger.Learned:
    found = stores.examples.get(seen)
    return ledger.learned([(each.path, each.kind, each.used > 0) for each in found])


def _remember(adapter: Adapter, seen: Iterable[str], stores: Stores) -> None:
    """Write down what the version has learned from: its examples may go before it does."""
    paths = [example.path for example in stores.examples.get(seen)]
    stores.lessons.add(adapter.project, paths, adapter.number)


def _day(score: FreshScore, rival: float) -> Day:
    return Day(day=score.day, bytes=score.bytes, gain=rival - score.incumbent)


async def _publish(
    job: TrainAdapter, decision: gate.Decision, home: Home, stores: Stores
) -> Adapter:
    """The candidate as the folder of a new version; no row names it yet."""
    number = stores.adapters.next_number(job.project)
    version = f"v{number}"
    target = home.adapter(job.project, version)
    await asyncio.to_thread(durable.publish_folder, Path(job.folder) / "candidate", target)
    standing = _challenger(job, stores)
    return Adapter(
        project=job.project,
        version=version,
        number=number,
        state="candidate",
        parent=job.parent.version if job.parent else None,
        run=job.run,
        created=time.time(),
        scores=decision.scores,
        fingerprint=read_card(target).fingerprint,
        lineage=standing.lineage if standing is not None else job.run,
    )


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
