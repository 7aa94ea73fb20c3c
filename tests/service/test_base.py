"""Another base: its adapters wait and come back, a first run is due, runs of before are over."""

from __future__ import annotations

import msgspec
import pytest

from gardenerd.errors import RefusedError
from gardenerd.paths import Home
from gardenerd.service import backlog, versions
from gardenerd.service.base import CHANGED, BaseInUse
from gardenerd.service.selection import Selection
from gardenerd.store.adapters import Adapter
from gardenerd.store.examples import Stored
from gardenerd.store.stores import Stores
from tests.service.conftest import PROJECT


def adapter(number: int, base: str) -> Adapter:
    return Adapter(
        project=PROJECT,
        version=f"v{number}",
        number=number,
        state="candidate",
        parent=None,
        run=None,
        created=float(number),
        scores={},
        fingerprint=base,
    )


def states(stores: Stores) -> dict[str, tuple[str, str]]:
    return {each.version: (each.state, each.waits) for each in stores.adapters.all(PROJECT)}


def test_adapters_wait_for_their_base_and_are_then_what_they_were(stores: Stores) -> None:
    for number in (1, 2, 3):
        stores.adapters.promote(adapter(number, "A"), float(number))
    stores.adapters.challenge(adapter(4, "A"))
    stores.adapters.pin(PROJECT, "v1", True)
    before = states(stores)
    stores.adapters.change_base("B", 10.0)
    assert stores.adapters.serving(PROJECT) is None
    assert stores.adapters.previous(PROJECT) is None
    assert stores.adapters.challenger(PROJECT) is None
    assert states(stores)["v3"] == ("retired", "serving")
    with pytest.raises(RefusedError, match="another base"):
        versions.roll_back(stores.projects.get(PROJECT), "v3", stores)

    # Those of the other base come and go; what waits is not counted among them.
    for number in (5, 6, 7, 8):
        stores.adapters.promote(adapter(number, "B"), float(number))
    assert stores.adapters.prune(PROJECT, keep=1) == ["v5", "v6"]
    other = states(stores)
    stores.adapters.change_base("A", 20.0)
    assert stores.adapters.serving(PROJECT) == "v3"
    assert stores.adapters.previous(PROJECT) == "v2"
    standing = stores.adapters.challenger(PROJECT)
    assert standing is not None
    assert standing.version == "v4"
    now = states(stores)
    assert {version: now[version] for version in before} == before
    stores.adapters.change_base("B", 30.0)
    back = states(stores)
    assert back["v8"] == other["v8"] == ("serving", "")
    assert stores.adapters.previous(PROJECT) == "v7"
    stores.adapters.change_base("B", 40.0)
    assert states(stores) == back


def test_a_question_to_another_base_is_answered_with_the_adapter_that_serves_there(
    home: Home, stores: Stores
) -> None:
    stores.adapters.promote(adapter(1, "A"), 1.0)
    stores.adapters.change_base("B", 2.0)
    stores.adapters.promote(adapter(2, "B"), 3.0)
    selection = Selection(home=home, stores=stores, base=BaseInUse("seedling", home))
    project = stores.projects.get(PROJECT)

    def current(base: str | None) -> str | None:
        described = None if base is None else msgspec.structs.replace(seedling, fingerprint=base)
        found = selection.adapter(project, "current", described)
        return found and found.version

    seedling = selection.base()
    assert [current(base) for base in (None, "A", "B", "C")] == ["v2", "v1", "v2", None]


def test_what_was_given_up_meanwhile_does_not_come_back(stores: Stores) -> None:
    stores.adapters.promote(adapter(1, "A"), 1.0)
    stores.adapters.promote(adapter(2, "A"), 2.0)
    stores.adapters.change_base("B", 3.0)
    stores.adapters.forget(PROJECT, ["v2"], 4.0)
    stores.adapters.change_base("A", 5.0)
    assert stores.adapters.serving(PROJECT) is None
    assert states(stores) == {"v1": ("retired", "")}


def test_a_first_run_from_the_new_base_is_due(stores: Stores) -> None:
    example = Stored(
        id="e", project=PROJECT, path="a.py", symbol="", kind="function", language="python",
        text="x = 1", weight=1.0, source="code", created=1.0, used=0,
    )  # fmt: skip
    stores.examples.add([example])
    stores.examples.mark_used({"e": 1.0})
    stores.adapters.promote(adapter(1, "A"), 1.0)
    stores.runs.begin("r", PROJECT, 2.0, {})
    stores.runs.end("r", outcome="promoted", reason="", now=3.0)
    stores.adapters.change_base("B", 10.0)
    stores.examples.learn_anew(PROJECT)
    assert backlog.new_examples(PROJECT, stores) == 0
    stores.meta.set(CHANGED, "10.0")
    assert backlog.new_examples(PROJECT, stores) == 1
    assert "another one than before" in backlog.notes(PROJECT, stores)[0]
    stores.adapters.promote(adapter(2, "B"), 11.0)
    assert backlog.notes(PROJECT, stores) == []
