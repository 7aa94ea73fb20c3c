"""Which code judges a run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gardenerd.paths import find_home
from gardenerd.service import fresh
from gardenerd.store.examples import Stored, example_id
from gardenerd.store.projects import Project
from gardenerd.store.runs import Run
from gardenerd.store.stores import Stores

DAY = 86_400.0
START = 1_767_268_800.0  # 2026-01-01, noon UTC


@pytest.fixture
def stores() -> Iterator[Stores]:
    home = find_home()
    home.create()
    opened = Stores(home.database)
    yield opened
    opened.close()


@pytest.fixture
def project(stores: Stores, tmp_path: Path) -> Project:
    return stores.projects.add("p1", "shop", tmp_path, 1.0)


def written(stores: Stores, project: Project, name: str, day: int, count: int = 1) -> list[str]:
    """A file of that day with so many examples, which came into the buffer that day."""
    file = Path(project.path) / name
    file.write_text("x")
    os.utime(file, (START + day * DAY,) * 2)
    texts = [f"def {name[:-3]}_{i}():\n    return {i}\n" for i in range(count)]
    ids = [example_id(project.id, name, text) for text in texts]
    stores.examples.add(
        Stored(
            id=id,
            project=project.id,
            path=name,
            symbol="",
            kind="function",
            language="python",
            text=text,
            weight=1.0,
            source="code",
            created=START + day * DAY,
            used=0,
        )
        for id, text in zip(ids, texts, strict=True)
    )
    return ids


def choose(stores: Stores, project: Project, last: Run | None, *, first: bool) -> fresh.ByDay:
    return asyncio.run(fresh.choose(project, stores, last, first=first))


def test_the_first_night_is_judged_by_the_newest_days(stores: Stores, project: Project) -> None:
    written(stores, project, "old.py", -50, 60)
    newest = {id for day in range(10) for id in written(stores, project, f"n{day}.py", day)}
    assert set(choose(stores, project, None, first=True)) == newest


def test_what_came_in_one_day_is_no_history(stores: Stores, project: Project) -> None:
    for number in range(40):
        written(stores, project, f"n{number}.py", 0)
    assert choose(stores, project, None, first=True) == {}


def test_a_great_day_ends_the_history_that_judges(stores: Stores, project: Project) -> None:
    written(stores, project, "old.py", -50, 30)
    written(stores, project, "import.py", 5, 40)
    for day in range(10):
        written(stores, project, f"n{day}.py", day)
    assert choose(stores, project, None, first=True) == {}  # four days are too few


def test_later_what_came_since_the_last_run(stores: Stores, project: Project) -> None:
    written(stores, project, "old.py", 0, 5)
    stores.runs.begin("r1", project.id, START + DAY, {})
    stores.runs.end("r1", outcome="abstained", reason="", now=START + DAY + 60)
    new = written(stores, project, "new.py", 2, 3)
    chosen = choose(stores, project, stores.runs.last_ended(project.id), first=False)
    assert set(chosen) == set(new)
    assert len(set(chosen.values())) == 1
    found = fresh.texts(chosen, stores)
    assert {text.path for text in found} == {"new.py"}
    assert len(found) == 3
