"""The embedding tuned by a real daemon: gathered, trained, gated, searched by, rolled back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gardenerd.wire.client import Client
from gardenerd.wire.messages import Search
from tests.conftest import new_home
from tests.live import german
from tests.live.garden import ONLY_ASKED, Garden, moved_in, until


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("team")


@pytest.fixture(scope="module")
def questions(team: Path) -> dict[str, str]:
    """What is asked in German of ``firma``'s functions without a docstring; a copy of those, which
    nothing documents, is ``altbau``."""
    asked = german.write(team / "firma", team / "altbau", files=100, functions=10)
    shutil.copytree(team / "altbau", team / "firma" / "altbau")
    return asked


@pytest.fixture(scope="module")
def indexed(team: Path, questions: dict[str, str]) -> Iterator[Path]:
    """A home in which both are indexed; nobody is at home."""
    with new_home() as home:
        garden = Garden(home)
        garden.configure(ONLY_ASKED)
        garden.start()
        garden.ctl("add", str(team / "firma"))
        garden.ctl("add", str(team / "altbau"))
        garden.settle()
        garden.stop()
        yield home


@pytest.fixture
def garden(home_folder: Path, indexed: Path) -> Iterator[Garden]:
    made = moved_in(home_folder, indexed)
    made.start()
    yield made
    made.stop()


def answered(garden: Garden, questions: dict[str, str], project: str = "firma") -> int:
    """Of the first questions those whose function is among the first three that have no docstring:
    of the others the words say enough."""
    found = 0
    with Client(garden.home) as client:
        for question, name in list(questions.items())[:12]:
            hits = client.call(Search(query=question, k=300, project=project))["hits"]
            silent = [hit["symbol"] for hit in hits if not hit["docstring"]]
            found += name in silent[:3]
    return found


def tuned(garden: Garden) -> dict[str, Any]:
    return garden.json("status")["embedding"]


@pytest.mark.timeout(400)
def test_what_the_docstrings_teach_is_searched_by_and_can_be_taken_back(
    garden: Garden, questions: dict[str, str], team: Path
) -> None:
    before, elsewhere = (
        answered(garden, questions),
        answered(garden, questions, "altbau"),
    )
    card = garden.json("embedding", "tune", "--project", "firma")
    assert card["outcome"] == "promoted", card
    assert card["scores"]["docstring"]["candidate"] > card["scores"]["docstring"]["incumbent"]
    after = answered(garden, questions)
    assert after >= before + 6, (before, after)
    assert answered(garden, questions, "altbau") == elsewhere, "another project is asked as before"
    assert tuned(garden)["projects"][0]["version"] == "v1"
    assert "firma: v1; last tuned: v1 serving" in garden.ctl("status")

    garden.stop()
    garden.start()
    garden.settle()
    assert answered(garden, questions) == after

    firma = ("--project", "firma")
    rollback = ("embedding", "rollback")
    assert garden.json(*rollback, *firma)["version"] == "packaged"
    assert answered(garden, questions) == before
    assert garden.json(*rollback, "v1", *firma)["previous"] == "packaged"
    assert answered(garden, questions) == after
    (listed,) = garden.json("embedding")
    assert (listed["version"], listed["serving"], listed["kept"]) == ("v1", True, True)
    assert garden.refusal(*rollback, "v7", *firma)["code"] == "not_found"
    assert garden.run("embedding", "tune", "v1", "--project", "firma").returncode == 2

    # Files changed meanwhile are found by the old vectors and the new.
    (team / "firma" / "new.py").write_text("def unheard_of_flamingo():\n    return 1\n")
    garden.ctl("rescan")
    garden.settle()
    assert "new.py" in garden.found("unheard_of_flamingo")
    garden.ctl(*rollback, *firma)
    assert "new.py" in garden.found("unheard_of_flamingo")
    (team / "firma" / "new.py").unlink()

    garden.ctl("remove", "firma")
    assert list(garden.home.embeddings.iterdir()) == []


def test_a_damaged_version_gives_way_to_the_packaged_one(
    garden: Garden, questions: dict[str, str]
) -> None:
    before = answered(garden, questions)
    assert garden.json("embedding", "tune", "--project", "firma")["outcome"] == "promoted"
    (file,) = garden.home.embeddings.glob("*/v1.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    garden.ctl("unload")
    assert answered(garden, questions) == before
    assert tuned(garden)["projects"][0]["version"] == "packaged"
    (listed,) = garden.json("embedding")
    assert listed["state"] == "damaged"
    assert "not as it was written" in listed["reason"]


def test_a_crash_while_tuning_leaves_what_served(garden: Garden, questions: dict[str, str]) -> None:
    before = answered(garden, questions)
    asking = garden.begin("embedding", "tune", "--project", "firma")
    until(lambda: tuned(garden)["running"], 30)
    garden.kill()
    asking.wait(60)
    garden.start()
    assert tuned(garden)["projects"] == []
    assert answered(garden, questions) == before
    assert garden.json("embedding") == []
    assert list(garden.home.embeddings.iterdir()) == []
    assert garden.json("embedding", "tune", "--project", "firma")["version"] == "v1"


def test_too_little_is_refused(resting: Garden, project: Path) -> None:
    garden = resting
    garden.start()
    garden.ctl("add", str(project))
    garden.settle()
    assert "needed" in garden.refusal("embedding", "tune")["message"]
    assert garden.ctl("embedding").startswith("never tuned yet")
