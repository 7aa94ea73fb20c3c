"""Readers who reject what an adapter writes bring back what served before."""

from __future__ import annotations

import pytest

from gardenerd.core import probation
from gardenerd.service import rewards
from gardenerd.store.adapters import Adapter
from gardenerd.store.feedback import Given
from gardenerd.store.stores import Stores
from tests.service.conftest import PROJECT

NOW = 1_000_000.0


@pytest.fixture
def stores(stores: Stores) -> Stores:
    """With two versions, of which the second serves."""
    for number in (1, 2):
        stores.adapters.promote(
            Adapter(
                project=PROJECT,
                version=f"v{number}",
                number=number,
                state="candidate",
                parent=None,
                run=None,
                created=NOW,
                scores={},
                fingerprint="f",
            ),
            NOW,
        )
    return stores


def say(stores: Stores, adapter: str | None, verdict: str, count: int) -> None:
    for _ in range(count):
        number = len(stores.feedback.judgements(PROJECT))
        stores.feedback.record_answer(
            Given(
                id=f"a{number}",
                project=PROJECT,
                op="complete",
                question="q",
                text="return 1",
                sources=[],
                adapter=adapter,
                base="seedling",
                created=NOW,
            )
        )
        assert stores.feedback.record(f"a{number}", verdict, None, None, NOW)


def test_an_adapter_that_its_readers_reject_gives_way_to_what_served_before(
    stores: Stores,
) -> None:
    say(stores, "v1", "good", 10)
    say(stores, "v2", "bad", 3)
    assert rewards.watch(PROJECT, stores, NOW + 60) is None  # three may be a bad day
    say(stores, "v2", "bad", 7)
    done = rewards.watch(PROJECT, stores, NOW + 60)
    assert done == "v2 pleased less than v1, which serves again"
    assert stores.adapters.serving(PROJECT) == "v1"
    assert rewards.watch(PROJECT, stores, NOW + 60) is None  # and v1 stays


def test_one_that_pleases_as_before_stays_and_so_does_one_that_is_settled(stores: Stores) -> None:
    for _ in range(20):
        say(stores, "v1", "good", 1)
        say(stores, "v1", "bad", 1)
        say(stores, "v2", "bad", 1)
        say(stores, "v2", "good", 1)
    assert rewards.watch(PROJECT, stores, NOW + 60) is None
    say(stores, "v2", "bad", 80)
    assert rewards.watch(PROJECT, stores, NOW + probation.SECONDS) is None
    assert stores.adapters.serving(PROJECT) == "v2"
    assert rewards.watch(PROJECT, stores, NOW + 60) is not None


def test_the_base_is_not_rolled_back(stores: Stores) -> None:
    stores.adapters.serve(PROJECT, None, NOW)
    say(stores, None, "bad", 50)
    assert rewards.watch(PROJECT, stores, NOW + 60) is None
