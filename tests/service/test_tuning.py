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
from gardenerd.errors import CancelledError, NotFoundError, RefusedError
from gardenerd.paths import Home
from gardenerd.service import embeddings
from gardenerd.service.tuning import Tuning
from gardenerd.settings import Index, Settings
from gardenerd.store.embeddings import Embedding
from gardenerd.store.files import Stat
from gardenerd.store.stores import Stores
from gardenerd.workers.child import MODULES, Child
from gardenerd.workers.jobs import FileResult, Indexed, IndexFiles
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
    german.write(tmp_path / "firma", tmp_path / "altbau", files=100, functions=10)
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
        stores.files.mark(PROJECT, [Stat(path, 1, 1, 1, 1) for path in paths])
        stores.files.claim(PROJECT, len(paths))
        stores.files.finish(PROJECT, [FileResult(path=p, state="indexed") for p in paths], 1.0)
        yield (
            Tuning(
                home=home,
                settings=settings or Settings(index=Index(learn=True)),
                stores=stores,
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
        async with tuning(home, stores, tmp_path, lambda _: MAY) as (found, tuner):
            await found.tick()
            await found.tick()
            (version,) = found.versions(None)
            assert (version["version"], version["serving"]) == ("v1", True), version
            assert home.embedding(PROJECT, "v1").is_file()
            assert tuner.state == "absent"
            # A day later nothing is new: no second attempt on the same pairs.
            stores.embeddings.set_tried(PROJECT, 0.0)
            await found.tick()
            assert len(found.versions(None)) == 1
            assert "nothing is new" in found.status()["reason"]
            assert stores.embeddings.tried(PROJECT) > 0
            assert found.status()["projects"][0]["version"] == "v1"

    asyncio.run(night())


def test_it_is_given_up_when_the_user_returns(home: Home, stores: Stores, tmp_path: Path) -> None:
    async def night() -> None:
        def back(tuner: Child) -> Verdict:
            return MAY_NOT if tuner.state in ("starting", "working") else MAY

        async with tuning(home, stores, tmp_path, back) as (found, tuner):
            await found.tick()
            assert tuner.state == "absent"
            assert found.versions(None) == []
            assert "you are back" in found.status()["reason"]
            assert list(home.embeddings.iterdir()) == []
            assert stores.embeddings.tried(PROJECT) == 0, "another night it is tried again"

    asyncio.run(night())


def test_a_run_ends_for_what_must_not_be_learned_from(
    home: Home, stores: Stores, tmp_path: Path
) -> None:
    async def evening() -> None:
        async with tuning(home, stores, tmp_path, lambda _: MAY) as (found, tuner):
            project = stores.projects.get(PROJECT)
            asked = asyncio.create_task(found.run(project))
            while tuner.state != "working":
                await asyncio.sleep(0.02)
            with pytest.raises(RefusedError, match="being tuned"):
                await found.run(project)
            await found.end_run_of("another")
            assert not asked.done()
            stores.forgotten.record(PROJECT, "firma/part0", 1.0)
            await found.end_run_of(PROJECT)
            with pytest.raises(CancelledError, match="given up"):
                await asked
            assert (tuner.state, list(home.embeddings.iterdir())) == ("absent", [])
            with pytest.raises(RefusedError, match="forgotten"):
                await found.run(project)
            await found.tick()
            assert found.versions(None) == []

    asyncio.run(evening())


@pytest.mark.parametrize(
    "index", [Index(learn=False), Index(embedding="/some/model")], ids=["off", "another model"]
)
def test_it_can_be_switched_off(home: Home, stores: Stores, tmp_path: Path, index: Index) -> None:
    async def night() -> None:
        settings = Settings(index=index)
        async with tuning(home, stores, tmp_path, lambda _: MAY, settings) as (found, _tuner):
            await found.tick()
            assert found.versions(None) == []
            assert found.status()["learns"] is False

    # The index worker reads the home's own settings: there the packaged model embeds.
    asyncio.run(night())


def add(home: Home, stores: Stores, number: int) -> Embedding:
    version = f"v{number}"
    file = home.embedding(PROJECT, version)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(version.encode())
    found = Embedding(
        project=PROJECT, version=version, number=number, state="serving", created=1.0,
        reason="better", fingerprint=f"f{number}", report={"steps": 1},
    )  # fmt: skip
    stores.embeddings.add(found)
    return found


def test_versions_serve_go_back_and_are_let_go_of(home: Home, stores: Stores) -> None:
    project = stores.projects.get(PROJECT)
    assert embeddings.references([project], home, stores) == []
    with pytest.raises(RefusedError, match="nothing to roll back"):
        embeddings.roll_back(project, None, stores)
    for number in (1, 2, 3, 4):
        add(home, stores, number)
    (ref,) = embeddings.references([project], home, stores)
    assert (ref.fingerprint, Path(ref.file).read_bytes()) == ("f4", b"v4")
    assert embeddings.roll_back(project, None, stores)["version"] == "v3"
    assert embeddings.roll_back(project, "v1", stores)["previous"] == "v3"
    assert stores.embeddings.prune(PROJECT, 1) == ["v2"]
    with pytest.raises(NotFoundError, match="not kept"):
        embeddings.roll_back(project, "v2", stores)
    embeddings.sweep(home, stores)
    assert sorted(p.stem for p in home.embeddings.glob("*/*")) == ["v1", "v3", "v4"]

    home.embedding(PROJECT, "v1").unlink()
    embeddings.sweep(home, stores)
    assert stores.embeddings.get(PROJECT, "v1").state == "damaged"
    assert stores.embeddings.serving(PROJECT) is None

    embeddings.roll_back(project, "v4", stores)
    stale = embeddings.references([project], home, stores)
    embeddings.roll_back(project, "v3", stores)
    embeddings.give_up({PROJECT: "it is damaged"}, stale, stores)
    assert stores.embeddings.serving(PROJECT) == "v3", "what was to be used serves no more"
    embeddings.give_up(
        {PROJECT: "it is damaged"}, embeddings.references([project], home, stores), stores
    )
    assert stores.embeddings.serving(PROJECT) is None
    assert stores.embeddings.get(PROJECT, "v3").reason == "better; it is damaged"


def test_what_was_forgotten_leaves_its_number_alone(home: Home, stores: Stores) -> None:
    add(home, stores, 1)
    stores.embeddings.set_tried(PROJECT, 5.0)
    assert stores.embeddings.forget(PROJECT) == ["v1"]
    assert stores.embeddings.all(PROJECT) == []
    assert stores.embeddings.in_service() == []
    assert (stores.embeddings.next_number(PROJECT), stores.embeddings.tried(PROJECT)) == (2, 0)
    stores.projects.remove(PROJECT)
    assert stores.embeddings.next_number(PROJECT) == 1
