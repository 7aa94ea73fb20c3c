"""When the embedding is tuned by itself, and when it is given up; the workers are real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq.asyncio

from gardenerd.core.pace import Verdict
from gardenerd.paths import Home
from gardenerd.service.tuning import Tuning
from gardenerd.settings import Index, Settings
from gardenerd.store.embeddings import Embeddings
from gardenerd.store.stores import Stores
from gardenerd.workers.child import MODULES, Child
from gardenerd.workers.jobs import Indexed, IndexFiles
from tests.live import german
from tests.service.conftest import PROJECT

MAY, MAY_NOT = Verdict(True, "you are away"), Verdict(False, "you are back")


@asynccontextmanager
async def tuning(
    home: Home,
    stores: Stores,
    tmp_path: Path,
    spare: Callable[[Child], Verdict],
    settings: Settings | None = None,
) -> AsyncGenerator[tuple[Tuning, Child]]:
    """One whose project is indexed. ``spare`` is given the tuning process."""
    german.write(tmp_path / "firma", tmp_path / "altbau")
    paths = [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*.py"))]
    context = zmq.asyncio.Context()
    index = Child("index", MODULES["index"], home, context, keep_alive=60)
    tuner = Child("tune", MODULES["tune"], home, context, keep_alive=0)

    async def asked() -> Verdict:
        return spare(tuner)

    def ignore(*_: Any) -> None:
        pass

    try:
        job = IndexFiles(project=PROJECT, root=str(tmp_path), paths=paths)
        await index.call(job, Indexed)
        yield (
            Tuning(
                home=home,
                settings=settings or Settings(index=Index(learn=True)),
                stores=stores,
                index=index,
                tuner=tuner,
                spare=asked,
                publish=ignore,
            ),
            tuner,
        )
    finally:
        await asyncio.gather(index.stop(), tuner.stop())
        context.destroy(linger=0)


def test_once_a_day_while_nobody_is_there(home: Home, stores: Stores, tmp_path: Path) -> None:
    async def night() -> None:
        async with tuning(home, stores, tmp_path, lambda _: MAY) as (found, _tuner):
            await found.tick()
            await found.tick()
            assert [card["version"] for card in found.versions()] == ["v1"]
            # A day later nothing is new: no second attempt on the same pairs.
            stores.meta.set("embedding_tried", None)
            await found.tick()
            assert [card["version"] for card in found.versions()] == ["v1"]
            assert "nothing is new" in found.status()["reason"]

    asyncio.run(night())


def test_it_is_given_up_when_the_user_returns(home: Home, stores: Stores, tmp_path: Path) -> None:
    async def night() -> None:
        def back(tuner: Child) -> Verdict:
            return MAY_NOT if tuner.state in ("starting", "working") else MAY

        async with tuning(home, stores, tmp_path, back) as (found, tuner):
            await found.tick()
            assert tuner.state == "absent"
            assert found.versions() == []
            assert "you are back" in found.status()["reason"]
            assert Embeddings(home.embeddings).serving() is None
            assert not (home.embeddings / ".run").exists()
            assert stores.meta.get("embedding_tried") is None, "another night it is tried again"

    asyncio.run(night())


@pytest.mark.parametrize(
    "index", [Index(learn=False), Index(embedding="/some/model")], ids=["off", "another model"]
)
def test_it_can_be_switched_off(home: Home, stores: Stores, tmp_path: Path, index: Index) -> None:
    async def night() -> None:
        settings = Settings(index=index)
        async with tuning(home, stores, tmp_path, lambda _: MAY, settings) as (found, _tuner):
            await found.tick()
            assert found.versions() == []
            assert found.status()["learns"] is False

    # The index worker reads the home's own settings: there the packaged model embeds.
    asyncio.run(night())
