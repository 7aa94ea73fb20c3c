"""General code beside a project's own: seeded, real, and never what the gate judges by."""

from __future__ import annotations

import ast
import textwrap

from gardenerd.seedling import GENERAL_MODULES
from gardenerd.train import anchor


def test_anchors_make_up_their_share() -> None:
    found = anchor.anchors(400, seed=0)
    assert len(found) == 100
    assert len({example.id for example in found}) == 100
    for example in found:
        ast.parse(textwrap.dedent(example.text))


def test_the_seed_decides() -> None:
    ids = [[e.id for e in anchor.anchors(40, seed=seed)] for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]


def test_none_is_what_general_code_is_judged_by() -> None:
    assert set(anchor.MODULES).isdisjoint(GENERAL_MODULES)
