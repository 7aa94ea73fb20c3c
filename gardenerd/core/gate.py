"""Does a candidate serve from now on? Evidence, and guards. Pure.

A challenger goes on training night after night beside what serves. Each day's code is scored under
both before the challenger trains on it: one bet a day (:mod:`gardenerd.core.evidence`). When its
evidence suffices, and tonight's candidate, its newest state, passes every guard, it is promoted.

The first night has no challenger yet. Then the newest days of the project's history are left out of
training, and are its bets; a project without such days is judged by its held-out files, against the
base, at a higher bar and less a margin, since the files of one night share what happened in it.

Whatever the evidence, the guards must have nothing against it (:mod:`gardenerd.core.guards`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from gardenerd.core import guards
from gardenerd.core.evidence import Day, wealth
from gardenerd.workers.train_jobs import FreshScore, PairedScore, RunReport

BAR = 20.0
"""Evidence from days that promotes: a challenger that is no better ever passes once in 20."""
BAR_OF_FILES = 100.0
"""... and from the files of a single night."""
SHARED = 0.01
"""Bits per byte that one night's luck may give to all of its files: not counted as their gain."""
MIN_DAYS = 7
"""Fewer days than these cannot reach the bar, however great the gain on each."""
LEAST_GAIN = 0.003
"""Bits per byte on the mean of the days: what promotes is a little further than what was judged, by
one night, and a gain that one night's chance can undo is not worth a change."""
TOLERATED = 0.005
"""How much worse than what serves, relatively, on held-out code, a lineage may begin: a short step
from a parent at the limit of general code is a gain on the mean of many nights, not on each."""
MAX_DAYS = 30
"""A challenger that is not ahead after so many days starts anew."""
MIN_FILES = 3
MIN_BYTES = 4_000
"""Held out, recent and older together: below either there is nothing to guard by."""

Outcome = Literal["promoted", "rolled_back", "abstained"]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a candidate, and why."""

    outcome: Outcome
    """``rolled_back``: discarded, what served goes on serving. ``abstained``: not proven yet."""
    reason: str
    """In plain words, with the figures."""
    scores: dict[str, dict[str, float]]
    """By slice: bits per byte of ``base``, ``incumbent`` and ``candidate``, weighted by bytes."""
    evidence: float
    """The bettors' mean wealth."""
    kept: bool = False
    """The candidate is the challenger from now on."""
    ended: bool = False
    """The challenger that it trained on from is given up; the next one starts from what serves."""


def decide(report: RunReport, days: Sequence[Day] = (), *, first: bool = True) -> Decision:
    """Judge the candidate of a run by its report.

    Args:
        days: on which the challenger was compared with the incumbent, tonight's among them, in
            order; on the first night those on which the candidate was.
        first: there was no challenger before this run, nor an adapter in service.
    """
    scores = by_slice(report.scores)
    finite = report.finite and all(_is_finite(score) for score in report.scores)
    judged = [s for s in report.scores if s.slice != "general" and s.bytes > 0] if finite else []

    def outcome(name: Outcome, reason: str, evidence: float = 1.0, **more: bool) -> Decision:
        return Decision(outcome=name, reason=reason, scores=scores, evidence=evidence, **more)

    fault = guards.fault(report, finite)
    if fault:
        return outcome("rolled_back", fault)
    size = sum(s.bytes for s in judged)
    if len(judged) < MIN_FILES or size < MIN_BYTES:
        return outcome(
            "abstained",
            f"only {len(judged)} held-out files with {size:,} bytes to judge by "
            f"({MIN_FILES} files and {MIN_BYTES:,} bytes are needed)",
        )
    total = _mean(judged)
    gain = f"{total['incumbent']:.3f} → {total['candidate']:.3f} bits per byte on held-out code"
    harm = guards.harm(report, scores)
    if harm:
        return outcome("rolled_back", f"{harm} ({gain})", ended=True)
    by_days = not first or len(days) >= MIN_DAYS
    evidence, bar, bets = _of_days(days) if by_days else _of_files(judged)
    said = f"{gain}; {bets}, evidence {_figure(evidence)}"
    if not first and wealth(-day.gain for day in days) >= BAR:
        return outcome("rolled_back", f"worse than what serves: {said}", evidence, ended=True)
    better = total["candidate"] < total["incumbent"]
    begins = not first and not days and total["candidate"] <= total["incumbent"] * (1 + TOLERATED)
    if not better and not begins:
        return outcome("rolled_back", f"no better: {said}", evidence)
    if better and evidence >= bar and _worth_it(days):
        return outcome("promoted", f"better: {said} (needed {bar:g})", evidence)
    if len(days) >= MAX_DAYS and evidence < 1:
        return outcome("rolled_back", f"no better after all: {said}", evidence, ended=True)
    waits = f"not proven better yet: {said} of the {bar:g} that are needed; it goes on training"
    return outcome("abstained", waits, evidence, kept=True)


def _worth_it(days: Sequence[Day]) -> bool:
    """Whether what the days show is a gain still, and one that the next night cannot undo."""
    if not days:
        return True
    mean = sum(day.gain for day in days) / len(days)
    return days[-1].gain > 0 and mean >= LEAST_GAIN


def challenged(fresh: Sequence[FreshScore]) -> list[Day]:
    """The days' code under the challenger, compared with the incumbent."""
    return [
        Day(day=score.day, bytes=score.bytes, gain=score.incumbent - score.challenger)
        for score in fresh
        if score.bytes > 0 and math.isfinite(score.incumbent - score.challenger)
    ]


def _of_days(days: Sequence[Day]) -> tuple[float, float, str]:
    better = sum(day.gain > 0 for day in days)
    count = f"better on {better} of {len(days)} days' new code"
    return wealth(day.gain for day in days), BAR, count


def _of_files(judged: Sequence[PairedScore]) -> tuple[float, float, str]:
    better = sum(s.candidate < s.incumbent for s in judged)
    gains = [s.incumbent - s.candidate - SHARED for s in judged]
    return wealth(gains), BAR_OF_FILES, f"{better} of {len(judged)} files better"


def by_slice(scores: Sequence[PairedScore]) -> dict[str, dict[str, float]]:
    """Bits per byte of each slice under the three models, weighted by bytes."""
    names = ("recent", "older", "general")
    slices = {name: [s for s in scores if s.slice == name and s.bytes > 0] for name in names}
    return {name: _mean(members) for name, members in slices.items() if members}


def _mean(scores: Sequence[PairedScore]) -> dict[str, float]:
    size = sum(s.bytes for s in scores)
    return {
        model: sum(getattr(s, model) * s.bytes for s in scores) / size
        for model in ("base", "incumbent", "candidate")
    }


def _is_finite(score: PairedScore) -> bool:
    return all(map(math.isfinite, (score.base, score.incumbent, score.candidate)))


def _figure(value: float) -> str:
    return f"{value:,.0f}" if 10 <= value < 1e6 else f"{value:.2g}"
