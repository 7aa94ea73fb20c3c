"""Commits as examples: through git, the index worker and the buffer, as before a run."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq.asyncio

from gardenerd.core.holdout import held_out
from gardenerd.paths import Home
from gardenerd.service import fresh
from gardenerd.service.base import BaseInUse
from gardenerd.service.preparing import TooLittle, prepare
from gardenerd.settings import Loop, Settings
from gardenerd.store.examples import Stored
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.workers.child import MODULES, Child

NAMES = [f"bed_{i}.py" for i in range(6)]
HELD_OUT = sorted(held_out(NAMES))
LEARNED = [name for name in NAMES if name not in HELD_OUT]
KEY = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdE"


def code(name: str) -> str:
    word = name.removesuffix(".py")
    return f"def water_{word}(plants):\n    for plant in plants:\n        plant.dry = False\n"


class Garden:
    """A repository whose files are all indexed, and the daemon's parts that prepare a run."""

    def __init__(self, root: Path, home: Home) -> None:
        self.root, self.home = root, home
        self.stores = Stores(home.database)
        root.mkdir()
        self.git("init", "-q")
        self.project: Project = self.stores.projects.add("p1", "garden", root, 1.0)

    def git(self, *arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(self.root)]
            + list(arguments),
            check=True,
            capture_output=True,
        )

    def commit(self, message: str, **files: str) -> None:
        for word, text in files.items():
            name = f"{word}.py"
            (self.root / name).write_text(text)
            self.stores.database.run(
                "INSERT OR IGNORE INTO files (project, path, state, new_chunks) "
                "VALUES ('p1', ?, 'indexed', 1)",
                (name,),
            )
        self.git("add", "-f", ".")
        self.git("commit", "-m", message)

    def examples(self, *, commits: bool = True) -> list[Stored]:
        """The commits in the buffer, after a run was prepared that finds too little else."""

        settings = Settings(loop=Loop(commits=commits))

        async def main() -> None:
            context = zmq.asyncio.Context()
            index = Child("index", MODULES["index"], self.home, context, keep_alive=60)
            try:
                with pytest.raises(TooLittle):
                    await prepare(
                        "r", self.project, base=BaseInUse("seedling", self.home),
                        home=self.home, settings=settings, stores=self.stores, index=index,
                    )  # fmt: skip
            finally:
                await index.stop()
                context.destroy(linger=0)

        asyncio.run(main())
        ids = [item.id for item in self.stores.examples.new("p1") if item.kind == "commit"]
        return sorted(self.stores.examples.get(ids), key=lambda stored: stored.path)


@pytest.fixture
def garden(tmp_path: Path, home_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Garden]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    home = Home(home_folder)
    home.create()
    made = Garden(tmp_path / "garden", home)
    made.commit("Beds are watered (#7)", **{name[:-3]: code(name) for name in NAMES})
    yield made
    made.stores.close()


def test_only_code_that_stands_in_files_learned_from(garden: Garden) -> None:
    one, two = LEARNED[:2]
    (garden.root / "ignored.py").write_text(code("ignored"))
    garden.commit(f"Log in with token {KEY}", **{one[:-3]: code(one) + "\n\n" + code("new.py")})
    secret = f'\n\nTOKEN = "{KEY}"\nplants = [TOKEN]\nbeds = [plants]\n'
    garden.commit("Tokens for the beds of all gardens", **{two[:-3]: code(two) + secret})
    found = garden.examples()
    # Not the held-out, the one that git alone knows, the masked message or the masked code.
    assert [stored.path for stored in found] == LEARNED
    assert {stored.text for stored in found} == {
        f"# Beds are watered (#7)\n{code(name)}".rstrip("\n") for name in LEARNED
    }
    whole = garden.stores.examples.get(i.id for i in garden.stores.examples.new("p1"))
    assert not any(KEY[:12] in stored.text for stored in whole)

    # Code that changed retires; code that came back is the same example.
    (garden.root / one).write_text("plants = None\n")
    assert [stored.path for stored in garden.examples()] == LEARNED[1:]
    (garden.root / one).write_text(code(one))
    assert {stored.id for stored in garden.examples()} == {stored.id for stored in found}
    assert garden.examples(commits=False) == []


def test_the_code_that_judges_a_run_is_told_once(garden: Garden) -> None:
    garden.examples()
    ids = [item.id for item in garden.stores.examples.new("p1")]
    texts = fresh.texts(dict.fromkeys(ids, "2026-01-01"), garden.stores)
    assert len(ids) == 2 * len(LEARNED)
    assert sorted(text.path for text in texts) == LEARNED
    assert not any("#7" in text.text for text in texts)
