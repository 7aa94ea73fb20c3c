"""What refuses a candidate however much better it is."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from gardenerd.core import guards
from gardenerd.core.gate import decide
from gardenerd.workers.train_jobs import PairedScore
from tests.core.test_gate import report, scored

GOOD = scored(0.2, count=20)


def in_folder(folder: str, gains: list[float], size: int = 4_000) -> list[PairedScore]:
    return [
        msgspec.structs.replace(scored(gain, count=1, size=size)[0], path=f"{folder}/{i}.py")
        for i, gain in enumerate(gains)
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"distance": guards.DISTANCE_LIMIT + 0.1}, "too far from the base"),
        ({"adapter_bytes": 2_000}, "2,000 bytes where 4,000"),
        ({"adapter_bytes": 400_000}, "400,000 bytes where 4,000"),
        ({"load_seconds": 11.0}, "took 11 s to load"),
        ({"filling": [(1.0, 1.1)] * 10}, "fills in worse than the base: the right middle"),
    ],
)
def test_each_guard_refuses_what_is_better_otherwise(changes: dict[str, Any], words: str) -> None:
    assert decide(report(GOOD)).outcome == "promoted"
    decision = decide(report(GOOD, **changes))
    assert decision.outcome == "rolled_back"
    assert words in decision.reason


def test_what_is_within_the_limits_passes() -> None:
    draw = random.Random(1)
    within = {
        "distance": guards.DISTANCE_LIMIT,
        "adapter_bytes": 4_500,
        "load_seconds": 0.1,
        # A mean loss of 20 %, but of two places that say opposite things: chance.
        "filling": [(1.0, 2.4 if i == 0 else 1.0 + draw.gauss(-0.05, 0.3)) for i in range(8)],
    }
    assert decide(report(GOOD, **within)).outcome == "promoted"


def test_a_folder_that_gets_clearly_worse_is_named() -> None:
    bad = in_folder("docs", [-0.1, -0.12, -0.09, -0.11])
    decision = decide(report(in_folder("src", [0.3] * 20) + bad))
    assert decision.outcome == "rolled_back"
    assert "code in docs/ got worse" in decision.reason


def test_a_language_that_gets_clearly_worse_is_named() -> None:
    bad = [
        msgspec.structs.replace(score, path=f"{folder}/x.go")
        for folder, score in zip("abcd", scored(-0.1, count=4, size=4_000), strict=True)
    ]
    decision = decide(report(in_folder("src", [0.3] * 20) + bad))
    assert ".go code got worse" in decision.reason


@pytest.mark.parametrize(
    "part",
    [
        in_folder("docs", [-0.5, -0.5]),  # two files are too few
        in_folder("docs", [-0.5] * 4, size=500),  # and so are 2,000 bytes
        in_folder("docs", [-0.9, 0.2, 0.3, 0.1, 0.1]),  # worse on the mean, by one file alone
        in_folder("docs", [-0.01] * 4),  # within the limit
    ],
)
def test_what_chance_or_the_limit_allows_refuses_nobody(part: list[PairedScore]) -> None:
    assert decide(report(in_folder("src", [0.3] * 30) + part)).outcome == "promoted"
