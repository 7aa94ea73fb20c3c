"""Does a candidate serve from now on? Evidence by betting, and guards. Pure.

Each held-out file is a bet that the candidate predicts it better than the incumbent. The wealth of
five bettors who stake a fraction of what they have is multiplied file by file; if the candidate is
no better, the mean of their wealth is expected to stay at 1, so it reaches 100 in at most one run
of a hundred (Ville's inequality), however the sizes of the gains are distributed. One great gain on
one file cannot buy promotion: a bet pays at most its stake.

The guards compare with the base, which never moves, and not with yesterday's adapter, by which one
could walk down a stair of small losses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from gardenerd.workers.jobs import PairedScore, RunReport

BAR = 100.0
"""Evidence needed to promote: a candidate that is no better passes at most once in 100 runs."""
SCALE = 0.02
"""Bits per byte of gain that a bet pays in full: about what a night brings."""
FRACTIONS = (0.1, 0.2, 0.4, 0.7, 0.98)
"""Of its wealth, what each bettor stakes: bold ones win on clear gains, timid ones on small."""
MIN_FILES = 3
MIN_BYTES = 4_000
"""Held out, recent and older together: below either there is nothing to judge by."""
GENERAL_LIMIT = 0.03
"""How much worse than the base, relatively, general code may become. The seedling, young as it is,
pays 2.1 % for a gain of 8.5 % on `rich`. It was 2 % until that run met it: chosen on one project,
so it is still to be set on others."""
SLICE_LIMIT = 0.02
"""... and the worst of the project's slices."""
OLDER_LIMIT = 0.01
"""How much worse than the incumbent, relatively, older code may become."""

Outcome = Literal["promoted", "rolled_back", "abstained"]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a candidate, and why."""

    outcome: Outcome
    """``rolled_back``: discarded, what served goes on serving. ``abstained``: not judged."""
    reason: str
    """In plain words, with the figures."""
    scores: dict[str, dict[str, float]]
    """By slice: bits per byte of ``base``, ``incumbent`` and ``candidate``, weighted by bytes."""
    evidence: float
    """The bettors' mean wealth."""


def decide(report: RunReport, *, bar: float = BAR, scale: float = SCALE) -> Decision:
    """Judge the candidate of a run by its report.

    Args:
        bar: the evidence that promotes.
        scale: bits per byte of gain on a file that pay the full stake.
    """
    scores = by_slice(report.scores)
    finite = report.finite and all(_is_finite(score) for score in report.scores)
    judged = [s for s in report.scores if s.slice != "general" and s.bytes > 0] if finite else []
    evidence = wealth([(s.incumbent - s.candidate) / scale for s in judged])

    def outcome(name: Outcome, reason: str) -> Decision:
        return Decision(outcome=name, reason=reason, scores=scores, evidence=evidence)

    fault = _fault(report, finite)
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
    harm = _harm(scores)
    if harm:
        return outcome("rolled_back", f"{harm} ({gain})")
    better = sum(s.candidate < s.incumbent for s in judged)
    count = f"{better} of {len(judged)} files better, evidence {_figure(evidence)}"
    if total["candidate"] >= total["incumbent"]:
        return outcome("rolled_back", f"no better: {gain}; {count}")
    if evidence < bar:
        return outcome(
            "rolled_back", f"not proven better: {gain}; {count} of the {bar:g} that are needed"
        )
    return outcome("promoted", f"better: {gain}; {count} (needed {bar:g})")


def wealth(gains: Iterable[float]) -> float:
    """What one unit becomes, on the mean over the bettors, by bets that pay ``gains``.

    Gains are clipped to [-1, 1]; 1 pays the full stake, -1 loses it.
    """
    clipped = [max(-1.0, min(1.0, gain)) for gain in gains]
    logs = (sum(math.log1p(stake * gain) for gain in clipped) for stake in FRACTIONS)
    # Thousands of files that agree would overflow; beyond 1e300 the figure means nothing more.
    return sum(math.exp(min(value, 690.0)) for value in logs) / len(FRACTIONS)


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


def _fault(report: RunReport, finite: bool) -> str:
    """What is wrong with the run itself, whatever its scores."""
    if not finite:
        return "the run met numbers that are not finite: it diverged"
    if report.trained_parameters != report.planned_parameters:
        return (
            f"{report.trained_parameters:,} parameters were trained "
            f"where {report.planned_parameters:,} were planned"
        )
    if not report.base_unchanged:
        return "the base model's weights changed during the run"
    return ""


def _harm(scores: dict[str, dict[str, float]]) -> str:
    """What the candidate would make worse by more than its limit."""
    for name, limit in (
        ("general", GENERAL_LIMIT),
        ("recent", SLICE_LIMIT),
        ("older", SLICE_LIMIT),
    ):
        if name in scores and scores[name]["candidate"] > scores[name]["base"] * (1 + limit):
            return _worse(name, scores[name], "base", limit)
    older = scores.get("older")
    if older is not None and older["candidate"] > older["incumbent"] * (1 + OLDER_LIMIT):
        return _worse("older", older, "incumbent", OLDER_LIMIT)
    return ""


def _worse(name: str, scores: dict[str, float], than: str, limit: float) -> str:
    reference, candidate = scores[than], scores["candidate"]
    return (
        f"{name} code got worse than under the {than}: {reference:.3f} → {candidate:.3f} bits per "
        f"byte, {candidate / reference - 1:+.1%} where {limit:+.1%} is the limit"
    )


def _is_finite(score: PairedScore) -> bool:
    return all(map(math.isfinite, (score.base, score.incumbent, score.candidate)))


def _figure(value: float) -> str:
    return f"{value:,.0f}" if 10 <= value < 1e6 else f"{value:.2g}"
