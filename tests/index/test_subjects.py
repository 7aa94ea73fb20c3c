"""What commits said of files, as numbers: what they tell, how they are kept, and what is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from gardenerd.host.subjects import Commit
from gardenerd.index.generation import subjects_file, subjects_files
from gardenerd.index.history import made_of, read_subjects
from gardenerd.index.identifiers import search_words
from gardenerd.index.query import Query
from gardenerd.index.subjects import Subjects, SubjectsReader, Told, file_id, number_of
from gardenerd.workers.jobs import ReadSubjects
from tests.host.test_commits import commit, git

SECRET = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdE"


def scores(query: str, commits: list[Commit], *paths: str) -> list[float]:
    told = Told([made_of("p", commits)], Query.of(query))
    return told.of([file_id("p", path) for path in paths])


def knows(subjects: Subjects, text: str) -> bool:
    return any(number_of(word) in subjects.words.tolist() for word in search_words(text).split())


def test_a_rare_word_tells_more_than_a_common_one() -> None:
    commits = [Commit("Water the beds", ["a.py"]), Commit("Water drains", ["b.py", "c.py"])]
    both, one, none, unknown = scores("bed water", commits, "a.py", "b.py", "d.py", "a.p")
    assert both > one > none == unknown == 0
    alone, _ = scores("watering", commits, "b.py", "a.py")
    assert 0 < alone < both - one


def test_what_is_said_often_and_of_little_else_tells_more() -> None:
    again = [Commit("Prune", ["a.py"])] * 3 + [Commit("Prune", ["b.py"]), Commit("Sow", ["c.py"])]
    often, once, never = scores("prune", again, "a.py", "b.py", "c.py")
    assert often > once > never
    much = [Commit("Prune", ["a.py"]), Commit("Prune, sow, water, dig and mow", ["b.py"])]
    little_else, much_else = scores("prune", much, "a.py", "b.py")
    assert little_else > much_else > 0


def test_of_a_long_query_the_title_tells_twice() -> None:
    commits = [Commit("Sow", ["a.py"]), Commit("Mow", ["b.py"])]
    title, rest = scores(f"It does not sow\n\n{'mow ' * 3}", commits, "a.py", "b.py")
    assert title == pytest.approx(2 * rest)


def test_only_the_last_subjects_of_a_file_count() -> None:
    commits = [Commit("Mow", ["a.py"])] * 40 + [Commit("Sow", ["a.py", "b.py"])]
    old, new = scores("sow", commits, "a.py", "b.py")
    assert (old, new > 0) == (0, True)


def test_files_of_several_projects_are_told_of_together() -> None:
    mine, other = made_of("p", [Commit("Sow", ["a.py"])]), made_of("q", [Commit("Sow", ["a.py"])])
    told = Told([mine, other], Query.of("sow"))
    files = [file_id("p", "a.py"), file_id("q", "a.py"), file_id("r", "a.py")]
    assert [score > 0 for score in told.of(files)] == [True, True, False]
    assert sorted(told.best(5)) == sorted(files[:2])
    assert Told([], Query.of("sow")).of(files) == [0, 0, 0]
    assert Told([], Query.of("sow")).best(5) == []


def test_the_best_files_come_first() -> None:
    commits = [Commit("Sow", ["a.py"])] * 3 + [Commit("Sow", ["b.py"]), Commit("Mow", ["c.py"])]
    best = Told([made_of("p", commits)], Query.of("sow")).best(5)
    assert best == [file_id("p", "a.py"), file_id("p", "b.py")]


def test_nothing_said_is_nothing_known() -> None:
    assert scores("sow", [], "a.py") == [0]
    assert scores("the", [Commit("The", ["a.py"])], "a.py") == [0]


def test_secrets_are_masked() -> None:
    found = made_of("p", [Commit(f"Rotate {SECRET}", ["a.py"])])
    assert knows(found, "rotate")
    assert not knows(found, SECRET)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "garden"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    commit(root, "Zanzibarquux beds", bed="x = 1\n")
    return root


def read(repo: Path, index: Path, project: str = "p", left_out: tuple[str, ...] = ()) -> Path:
    id = (repo / ".git" / "refs" / "heads" / "main").read_text().strip()
    target = subjects_file(index, project, id, left_out)
    job = ReadSubjects(
        project=project, root=str(repo), commit=id, left_out=list(left_out), target=str(target)
    )
    read_subjects(job)
    return target


def arrays(found: Mapping[str, Subjects]) -> dict[str, list[list[float]]]:
    return {
        project: [getattr(each, name).tolist() for name in Subjects.__slots__]
        for project, each in found.items()
    }


def test_the_file_of_a_project_takes_the_place_of_the_one_before(
    repo: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    reader = SubjectsReader(index)
    assert reader.latest() == {}
    first = read(repo, index)
    read(repo, index, "q")
    assert set(reader.latest()) == {"p", "q"}
    assert knows(reader.latest()["p"], "zanzibarquux")
    assert reader.latest()["p"] is reader.latest()["p"]
    commit(repo, "Sow", bed="x = 2\n")
    second = read(repo, index)
    assert second != first
    assert subjects_files(index)["p"] == second
    assert len(list((index / "subjects").iterdir())) == 2
    assert knows(reader.latest()["p"], "sow")
    assert arrays(reader.latest()) == arrays(SubjectsReader(index).latest())
    read(repo, index, left_out=("bed.py",))
    assert not knows(reader.latest()["p"], "zanzibarquux sow")
    assert knows(reader.latest()["q"], "zanzibarquux")


def test_it_is_the_same_whatever_was_there_before(repo: Path, tmp_path: Path) -> None:
    read(repo, tmp_path / "one")
    commit(repo, "Sow", hedge="x = 2\n", bed="x = 3\n")
    followed = read(repo, tmp_path / "one")
    fresh = read(repo, tmp_path / "other")
    assert followed.name == fresh.name
    assert followed.read_bytes() == fresh.read_bytes()


def test_no_word_and_no_name_stands_in_it(repo: Path, tmp_path: Path) -> None:
    data = read(repo, tmp_path / "index").read_bytes().lower()
    assert b"zanzibarquux" not in data
    assert b"bed" not in data


@pytest.mark.parametrize("damage", [b"", b"PK\3\4 and no more", b"no archive at all"])
def test_a_damaged_file_goes_and_is_done_without(repo: Path, tmp_path: Path, damage: bytes) -> None:
    file = read(repo, tmp_path / "index")
    file.write_bytes(damage)
    assert SubjectsReader(tmp_path / "index").latest() == {}
    assert not file.exists()


def test_bytes_that_were_changed_are_seen(repo: Path, tmp_path: Path) -> None:
    file = read(repo, tmp_path / "index")
    found = SubjectsReader(tmp_path / "index").latest()["p"]
    data = file.read_bytes()
    at = data.index(found.words.tobytes())
    file.write_bytes(data[:at] + np.uint64(0).tobytes() + data[at + 8 :])
    assert SubjectsReader(tmp_path / "index").latest() == {}
