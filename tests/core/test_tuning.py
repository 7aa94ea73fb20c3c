"""The gate of a tuned embedding."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gardenerd.core.tuning import BAR, decide
from gardenerd.workers.tune_jobs import HeldOutPair, TuneReport


def held_out(
    kind: Any, clusters: int, incumbent: float, candidate: float, packaged: float = 0.4
) -> list[HeldOutPair]:
    return [
        HeldOutPair(
            kind=kind,
            cluster=f"{kind} {n}",
            packaged=packaged,
            incumbent=incumbent,
            candidate=candidate,
        )
        for n in range(clusters)
        for _ in range(3)
    ]


BETTER = TuneReport(
    fingerprint="c",
    parent="p",
    digest="d",
    pairs={"docstring": 500, "commit": 900},
    held_out=held_out("docstring", 30, 0.4, 0.6) + held_out("commit", 80, 0.4, 0.6),
    pieces=2_000,
    finite=True,
    strength=1.0,
    steps=60,
    loss_first=2.0,
    loss_last=1.0,
    seconds=9.0,
)


def changed(**fields: Any) -> TuneReport:
    return msgspec.structs.replace(BETTER, **fields)


def test_a_clear_gain_promotes() -> None:
    decision = decide(BETTER)
    assert decision.outcome == "promoted", decision
    assert decision.evidence >= BAR
    assert decision.scores["commit"] == {
        "packaged": pytest.approx(0.4),
        "incumbent": pytest.approx(0.4),
        "candidate": pytest.approx(0.6),
    }
    assert "0.400 → 0.600" in decision.reason


def test_the_gain_of_one_kind_is_not_drowned_by_the_other() -> None:
    same = held_out("docstring", 300, 0.4, 0.4)
    assert decide(changed(held_out=same + held_out("commit", 80, 0.4, 0.6))).outcome == "promoted"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"finite": False}, "diverged"),
        ({"held_out": held_out("commit", 9, 0.1, 0.9)}, "only 9"),
        ({"held_out": []}, "only 0"),
        (
            {"held_out": held_out("docstring", 40, 0.5, 0.48) + held_out("commit", 80, 0.4, 0.6)},
            "worse by docstrings",
        ),
        ({"held_out": held_out("commit", 300, 0.5, 0.5)}, "not proven"),
        ({"held_out": held_out("commit", 300, 0.5, 0.495)}, "not proven"),
        # A great many agree, but on next to nothing.
        ({"held_out": held_out("commit", 100_000, 0.5, 0.502)}, "not proven"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], said: str) -> None:
    decision = decide(changed(**fields))
    assert decision.outcome == "refused"
    assert said in decision.reason


def test_questions_of_one_file_are_one_bet() -> None:
    one_file = [
        HeldOutPair(kind="docstring", cluster="one", packaged=0.1, incumbent=0.1, candidate=0.9)
        for _ in range(1_000)
    ]
    assert decide(changed(held_out=one_file)).outcome == "refused"


def test_what_became_worse_than_the_packaged_rows_gives_way_to_them() -> None:
    stale = held_out("commit", 80, 0.3, 0.3, packaged=0.5)
    decision = decide(changed(held_out=stale))
    assert decision.outcome == "rolled_back"
    assert "packaged rows are better" in decision.reason
    # A candidate that is better than both is not in their way.
    assert decide(changed(held_out=held_out("commit", 80, 0.3, 0.6, 0.5))).outcome == "promoted"
    # The packaged rows are not proven better by a little.
    a_little = held_out("commit", 80, 0.5, 0.5, packaged=0.502)
    assert decide(changed(held_out=a_little)).outcome == "refused"
