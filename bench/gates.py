"""What a gate lets through in a thousand nights: ours, and a t-test every night.

    python -m bench.gates [WORLDS]

Three learners: one that improves by a little every night, one that stays where it is but for
chance, one that harms. The files of a day share a shift, as they do in real weeks, and their noise
has heavy tails. Both gates see the same world. The gate is the daemon's own
(`gardenerd.core.gate.decide`), with a challenger that trains on; the t-test accepts or discards
each night's candidate by that night's held-out files. A promotion is wrong when what then serves is
truly worse than what served.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from typing import Any

import numpy as np

from gardenerd.core import gate
from gardenerd.core.evidence import Day
from gardenerd.workers.train_jobs import FreshScore, PairedScore, RunReport

NIGHTS = 1_000
LEARNERS = {"improves": -0.001, "stays": 0.0, "harms": 0.001}
"""Bits per byte that a night of training changes, on the mean."""
WRONG_LIMIT = 0.01
"""Fewer wrong promotions than this in 100 nights, for each learner."""

_NIGHT_SD = 0.001  # of what a night changes
_SHARED_SD = 0.004  # of what the files of a day share
_FILE_SD = 0.02
_FILES = 30
_DAY_FILES = 12
_BASE = 2.0
_WRONG = 0.0005  # less is nothing that anyone could see
_T_05 = 1.699  # one-sided, 29 degrees of freedom
_BEST = 0.1  # an improving learner has learned all there is, in bits per byte


def measure(worlds: int = 20) -> dict[str, Any]:
    """Wrong promotions per 100 nights and the bits per byte at the end, for each gate."""
    found: dict[str, Any] = {"nights": NIGHTS, "worlds": worlds, "limit": WRONG_LIMIT}
    for name, change in LEARNERS.items():
        for judge, simulate in (("ours", _ours), ("t_test", _t_test)):
            ends = [simulate(np.random.default_rng(seed), change) for seed in range(worlds)]
            found[f"{name}_{judge}"] = {
                "wrong_per_100": sum(wrong for wrong, _, _ in ends) / worlds / NIGHTS * 100,
                "promoted": statistics.mean(promoted for _, promoted, _ in ends),
                "gain": round(statistics.mean(-quality for _, _, quality in ends), 4),
            }
    found["within"] = all(found[f"{name}_ours"]["wrong_per_100"] < WRONG_LIMIT for name in LEARNERS)
    return found


def _trained(draw: np.random.Generator, quality: float, change: float) -> float:
    """The true bits per byte, less the base's, after a night's training."""
    step = change * max(0.0, 1 + quality / _BEST) if change < 0 else change
    return quality + step + draw.normal(0, _NIGHT_SD)


def _files(draw: np.random.Generator, gain: float, count: int) -> list[float]:
    noise = draw.standard_t(3, count) / math.sqrt(3) * _FILE_SD
    return list(gain + draw.normal(0, _SHARED_SD) + noise)


def _ours(draw: np.random.Generator, change: float) -> tuple[int, int, float]:
    serving = challenger = 0.0
    standing = False
    served = False
    days: list[Day] = []
    wrong = promoted = 0
    for night in range(NIGHTS):
        fresh: list[FreshScore] = []
        if standing:
            gain = statistics.mean(_files(draw, serving - challenger, _DAY_FILES))
            fresh = [_fresh(night, gain)]
        candidate = _trained(draw, challenger if standing else serving, change)
        report = _report(_files(draw, serving - candidate, _FILES), fresh)
        days += gate.challenged(fresh)
        decision = gate.decide(report, days, first=not (standing or served))
        if decision.outcome == "promoted":
            promoted += 1
            wrong += candidate - serving > _WRONG
            serving, standing, served, days = candidate, False, True, []
        elif decision.kept:
            challenger, standing = candidate, True
        elif decision.ended:
            standing, days = False, []
    return wrong, promoted, serving


def _t_test(draw: np.random.Generator, change: float) -> tuple[int, int, float]:
    serving = 0.0
    wrong = promoted = 0
    for _ in range(NIGHTS):
        candidate = _trained(draw, serving, change)
        gains = _files(draw, serving - candidate, _FILES)
        if statistics.mean(gains) / (statistics.stdev(gains) / math.sqrt(_FILES)) > _T_05:
            promoted += 1
            wrong += candidate - serving > _WRONG
            serving = candidate
    return wrong, promoted, serving


def _fresh(night: int, gain: float) -> FreshScore:
    return FreshScore(
        day=f"{night:06}", bytes=4_000, base=_BASE, incumbent=_BASE, challenger=_BASE - gain
    )


def _report(gains: list[float], fresh: list[FreshScore]) -> RunReport:
    scores = [
        PairedScore(
            path=str(i),
            slice="recent",
            bytes=4_000,
            base=_BASE,
            incumbent=_BASE,
            candidate=_BASE - gain,
        )
        for i, gain in enumerate(gains)
    ]
    return RunReport(
        scores=scores,
        finite=True,
        trained_parameters=1,
        planned_parameters=1,
        base_unchanged=True,
        steps=1,
        tokens=1,
        examples=1,
        dropped={},
        loss_first=1.0,
        loss_last=1.0,
        tokens_per_second=1.0,
        seconds={},
        fresh=fresh,
    )


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:])), indent=2))
