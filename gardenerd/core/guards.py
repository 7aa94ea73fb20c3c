"""What a candidate may not be, however much evidence speaks for it. Pure.

Every limit is absolute, against the base, which never moves: compared with yesterday's adapter one
could walk down a stair of small losses. What chance alone can bring refuses nobody: where few
places are measured, a loss counts only beyond two standard errors.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from gardenerd.workers.train_jobs import PairedScore, RunReport

GENERAL_LIMIT = 0.02
"""How much worse than the base, relatively, general code may become. The trainer lowers a
candidate's strength until it is at most 1 % on other general code; this is the guard behind it."""
SLICE_LIMIT = 0.02
"""... and the worst of the project's slices: recent and older code, each folder, each language."""
OLDER_LIMIT = 0.01
"""How much worse than the incumbent, relatively, older code may become."""
FILLING_LIMIT = 0.05
"""How much more than under the base, relatively, the right middle may cost."""
DISTANCE_LIMIT = 0.3
"""Nats a token that the candidate may be from the base on general code, KL(base || candidate)."""
LEAST_VARIETY = 0.05
"""Below, what the candidate writes has collapsed: a loop of one to three tokens, whatever it is
asked. Small models repeat longer phrases now and then and are none the worse for it; one that loops
no more than the base may serve."""
LOAD_LIMIT_S = 10.0
"""An answer that waits longer for its adapter is late."""
_SIZE_SLACK = 1.02, 65_536  # of the planned numbers' bytes; names and shapes take some more
_BYTES_PER_NUMBER = 4
_MIN_FILES = 3  # of a folder or a language
_MIN_BYTES = 8_000
_ERRORS = 2.0


def fault(report: RunReport, finite: bool) -> str:
    """What is wrong with the run or the artefact itself, whatever its scores; empty if nothing."""
    if not finite:
        return "the run met numbers that are not finite: it diverged"
    if report.trained_parameters != report.planned_parameters:
        return (
            f"{report.trained_parameters:,} parameters were trained "
            f"where {report.planned_parameters:,} were planned"
        )
    if not report.base_unchanged:
        return "the base model's weights changed during the run"
    if collapsed(report.variety, report.base_variety):
        return (
            f"what it writes has collapsed into repetition (variety {report.variety:.2f} "
            f"where the base has {report.base_variety:.2f})"
        )
    if report.distance > DISTANCE_LIMIT:
        return (
            f"it is too far from the base on general code: {report.distance:.2f} nats a token "
            f"where {DISTANCE_LIMIT} is the limit"
        )
    planned = report.planned_parameters * _BYTES_PER_NUMBER
    most = planned * _SIZE_SLACK[0] + _SIZE_SLACK[1]
    if report.adapter_bytes is not None and not planned <= report.adapter_bytes <= most:
        return (
            f"the adapter has {report.adapter_bytes:,} bytes where {planned:,} and a little more "
            "are planned"
        )
    if report.load_seconds > LOAD_LIMIT_S:
        return f"the adapter took {report.load_seconds:.0f} s to load ({LOAD_LIMIT_S:g} s at most)"
    return ""


def collapsed(variety: float, base_variety: float) -> bool:
    """Whether a model that has this variety writes loops and little else."""
    return variety < min(LEAST_VARIETY, base_variety)


def harm(report: RunReport, scores: dict[str, dict[str, float]]) -> str:
    """What the candidate would make worse by more than its limit; empty if nothing.

    Args:
        scores: by slice, bits per byte of ``base``, ``incumbent`` and ``candidate``.
    """
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
    return _worst_part(report.scores) or _unlearned_filling(report.filling)


def _worse(name: str, scores: dict[str, float], than: str, limit: float) -> str:
    reference, candidate = scores[than], scores["candidate"]
    return (
        f"{name} code got worse than under the {than}: {reference:.3f} → {candidate:.3f} bits per "
        f"byte, {candidate / reference - 1:+.1%} where {limit:+.1%} is the limit"
    )


def _worst_part(scores: Sequence[PairedScore]) -> str:
    """Of the project's folders and languages, one that got clearly worse than under the base."""
    parts: dict[str, list[PairedScore]] = defaultdict(list)
    for score in scores:
        if score.slice != "general" and score.bytes > 0:
            path = PurePosixPath(score.path)
            parts[f"code in {path.parts[0]}/" if len(path.parts) > 1 else "code at the top"].append(
                score
            )
            parts[f"{path.suffix} code"].append(score)
    for name, members in sorted(parts.items()):
        size = sum(score.bytes for score in members)
        if len(members) < _MIN_FILES or size < _MIN_BYTES:
            continue
        base = sum(score.base * score.bytes for score in members) / size
        losses = [(score.candidate - score.base) * score.bytes * len(members) for score in members]
        loss, error = _mean_and_error([each / size for each in losses])
        if loss > base * SLICE_LIMIT and loss > _ERRORS * error:
            return (
                f"{name} got worse than under the base: {base:.3f} → {base + loss:.3f} bits per "
                f"byte over {len(members)} files, {SLICE_LIMIT:+.1%} is the limit"
            )
    return ""


def _unlearned_filling(places: Sequence[tuple[float, float]]) -> str:
    if len(places) < 2:
        return ""
    base = sum(one for one, _ in places) / len(places)
    loss, error = _mean_and_error([two - one for one, two in places])
    if loss <= base * FILLING_LIMIT or loss <= _ERRORS * error:
        return ""
    return (
        f"it fills in worse than the base: the right middle costs {base:.2f} → {base + loss:.2f} "
        f"nats a token, {FILLING_LIMIT:+.0%} is the limit"
    )


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error."""
    mean = sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
    return mean, math.sqrt(spread / len(values))
