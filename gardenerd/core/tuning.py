"""May rows of the embedding that were tuned on a project serve it? By questions held out. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from gardenerd.core.evidence import wealth
from gardenerd.workers.tune_jobs import HeldOutPair, TuneReport

BAR = 300.0
"""Evidence that promotes: a candidate that is no better passes once in 100 at most, since it may go
three shares of its way. There may be one a day."""
LEAST_CLUSTERS = 10
"""Files and commits held out: below it there is nothing to guard by."""
LEAST_GAIN = 0.003
"""On the mean of 1 / rank."""
TOLERATED_BY_KIND = 0.01
"""How much worse than what serves on either kind of held-out question, on the mean of 1 / rank."""

_KINDS = ("docstring", "commit")


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a candidate, and why."""

    outcome: Literal["promoted", "refused", "rolled_back"]
    """``rolled_back``: refused, and what serves is worse than the packaged rows by now."""
    reason: str
    """In plain words, with the figures."""
    scores: dict[str, dict[str, float]]
    """Mean of 1 / rank, by ``docstring`` and ``commit``, then by ``packaged``, ``incumbent`` and
    ``candidate``."""
    evidence: float


def decide(report: TuneReport) -> Decision:
    """Judge the candidate by its report."""
    decision = _decide(report)
    if decision.outcome == "promoted":
        return decision
    against = _evidence(_gains(report.held_out, lambda pair: pair.packaged - pair.incumbent))
    if against < BAR:
        return decision
    return msgspec.structs.replace(
        decision,
        outcome="rolled_back",
        reason=f"the packaged rows are better by now (evidence {against:.3g}); {decision.reason}",
    )


def _decide(report: TuneReport) -> Decision:
    scores = _scores(report.held_out)
    by_kind = _gains(report.held_out, lambda pair: pair.candidate - pair.incumbent)
    evidence = _evidence(by_kind)
    gains = [gain for found in by_kind.values() for gain in found]

    def outcome(name: Literal["promoted", "refused"], reason: str) -> Decision:
        return Decision(outcome=name, reason=reason, scores=scores, evidence=evidence)

    if not report.finite:
        return outcome("refused", "the training diverged")
    if len(gains) < LEAST_CLUSTERS:
        return outcome(
            "refused",
            f"only {len(gains)} files and commits to judge by ({LEAST_CLUSTERS} are needed)",
        )
    for kind, found in scores.items():
        if found["candidate"] < found["incumbent"] - TOLERATED_BY_KIND:
            return outcome("refused", f"worse by {kind}s: {_change(found)}")
    gain = sum(gains) / len(gains)
    changes = ", ".join(f"{kind}s {_change(found)}" for kind, found in scores.items())
    said = f"1/rank by {changes} (held out), evidence {evidence:.3g}"
    if evidence < BAR or gain < LEAST_GAIN:
        return outcome("refused", f"not proven better: {said} of the {BAR:g} that are needed")
    return outcome("promoted", f"better: {said} (needed {BAR:g})")


def _evidence(by_kind: dict[str, list[float]]) -> float:
    """A mean of bettors bets as well as each: one kind's gain is not drowned by the other's."""
    return sum(wealth(found, 1.0) for found in by_kind.values()) / max(len(by_kind), 1)


def _gains(
    held_out: Iterable[HeldOutPair], gain: Callable[[HeldOutPair], float]
) -> dict[str, list[float]]:
    """By kind one bet a file or commit: the mean gain of its questions."""
    clusters: dict[tuple[str, str], list[float]] = defaultdict(list)
    for pair in held_out:
        clusters[pair.kind, pair.cluster].append(gain(pair))
    by_kind: dict[str, list[float]] = defaultdict(list)
    for (kind, _), found in clusters.items():
        by_kind[kind].append(sum(found) / len(found))
    return by_kind


def _scores(held_out: Sequence[HeldOutPair]) -> dict[str, dict[str, float]]:
    scores: dict[str, dict[str, float]] = {}
    for kind in _KINDS:
        found = [pair for pair in held_out if pair.kind == kind]
        if found:
            scores[kind] = {
                "packaged": sum(pair.packaged for pair in found) / len(found),
                "incumbent": sum(pair.incumbent for pair in found) / len(found),
                "candidate": sum(pair.candidate for pair in found) / len(found),
            }
    return scores


def _change(scores: dict[str, float]) -> str:
    return f"{scores['incumbent']:.3f} → {scores['candidate']:.3f}"
