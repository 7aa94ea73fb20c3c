"""General code beside a project's own: seeded, real, and never what the gate judges by."""

from __future__ import annotations

import ast

from gardenerd.seedling import GENERAL_MODULES
from gardenerd.train import anchor


def test_anchors_make_up_their_share() -> None:
    found = anchor.anchors(400, seed=0)
    assert len(found) == 100
    assert len({example.id for example in found}) == 100
    for example in found:
        ast.parse(f"class Whole:\n{example.text}" if example.text[0] == " " else example.text)


def test_the_seed_decides() -> None:
    ids = [[e.id for e in anchor.anchors(40, seed=seed)] for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]


def test_they_come_from_all_over_the_library_but_never_from_what_judges() -> None:
    names = set(anchor.modules())
    assert {"argparse", "asyncio.queues", "json.decoder"} < names
    assert names.isdisjoint(GENERAL_MODULES)
    assert not [name for name in names if "test" in name.split(".") or "site-packages" in name]
    assert len({example.path for example in anchor.anchors(400, seed=0)}) > 12


def test_a_larger_share_holds_the_smaller_one() -> None:
    few, many = anchor.anchors(60, seed=3), anchor.anchors(60, seed=3, share=0.4)
    assert (len(few), len(many)) == (15, 40)
    assert many[:15] == few
