"""What commits were about, from real repositories."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest

from gardenerd.host import subjects
from gardenerd.host.subjects import Commit
from tests.host.test_commits import commit, git

TEXT = "x = 1\n"


def told(root: Path, left_out: Collection[str] = ()) -> list[Commit]:
    async def read() -> list[Commit]:
        id = await subjects.head(root)
        assert id is not None
        return await subjects.subjects(root, id, left_out)

    return asyncio.run(read())


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "garden"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    commit(root, "Beds can be watered\n\nAt night too.", bed=TEXT, tree=TEXT)
    return root


def test_each_commit_has_its_subject_and_its_files_newest_first(repo: Path) -> None:
    commit(repo, "Prune\nin winter\n\nalone", tree="x = 2\n")
    assert told(repo) == [
        Commit("Prune in winter", ["tree.py"]),
        Commit("Beds can be watered", ["bed.py", "tree.py"]),
    ]


def test_only_the_history_of_what_is_checked_out_counts(repo: Path) -> None:
    git(repo, "checkout", "-q", "-b", "side")
    commit(repo, "On the side", side=TEXT)
    git(repo, "checkout", "-q", "main")
    assert [each.subject for each in told(repo)] == ["Beds can be watered"]
    other = repo.parent / "other"
    git(repo, "worktree", "add", "-q", str(other), "side")
    assert [each.subject for each in told(other)] == ["On the side", "Beds can be watered"]


def test_merges_and_large_commits_are_left_out(repo: Path) -> None:
    git(repo, "checkout", "-q", "-b", "side")
    commit(repo, "On the side", side=TEXT)
    git(repo, "checkout", "-q", "main")
    commit(repo, "Ten", **{f"f{i}": TEXT for i in range(10)})
    commit(repo, "Eleven", **{f"g{i}": TEXT for i in range(11)})
    git(repo, "merge", "-q", "--no-ff", "-m", "Bring in the side", "side")
    assert {each.subject for each in told(repo)} == {"On the side", "Ten", "Beds can be watered"}


def test_a_commit_that_touched_what_is_left_out_says_nothing(repo: Path) -> None:
    (repo / "shed").mkdir()
    (repo / "shed.md").write_text(TEXT)
    (repo / "shed" / "key.py").write_text(TEXT)
    commit(repo, "The key fits the bed", bed="x = 2\n")
    commit(repo, "Shed is written of", hedge=TEXT)
    assert len(told(repo, ["she", "tree"])) == 3
    assert [each.subject for each in told(repo, ["shed", "tree.py"])] == ["Shed is written of"]
    assert [each.subject for each in told(repo, ["shed/key.py"])] == [
        "Shed is written of",
        "Beds can be watered",
    ]


def test_paths_are_relative_to_a_project_within_a_repository_and_may_be_odd(repo: Path) -> None:
    inner = repo / "inner"
    inner.mkdir()
    (repo / "outer.py").write_text(TEXT)
    commit(inner, "Größer", **{'größe "2"\nlines': TEXT})
    git(repo, "add", ".")
    git(repo, "commit", "-m", "Around")
    assert told(inner) == [Commit("Größer", ['größe "2"\nlines.py'])]


def test_a_long_subject_is_cut(repo: Path) -> None:
    commit(repo, "words " * 1_000, bed="x = 2\n")
    assert told(repo)[0].subject == ("words " * 50).strip()
    commit(repo, f"Use {'x' * 400}", bed="x = 3\n")
    assert told(repo)[0].subject == "Use"


def test_without_commits_there_is_no_head(tmp_path: Path) -> None:
    assert asyncio.run(subjects.head(tmp_path)) is None
    git(tmp_path, "init", "-q")
    assert asyncio.run(subjects.head(tmp_path)) is None
    assert asyncio.run(subjects.subjects(tmp_path, "0" * 40, [])) == []


def test_the_settings_of_a_repository_run_nothing_and_change_nothing(
    repo: Path, tmp_path: Path
) -> None:
    expected, proof = told(repo), tmp_path / "ran"
    (repo / ".gitattributes").write_text("*.py diff=trap\n")
    for key in ("diff.external", "diff.trap.command", "diff.trap.textconv", "core.fsmonitor"):
        git(repo, "config", key, f"touch {proof}; false")
    for key, value in (
        ("log.showSignature", "true"),
        ("format.pretty", "oneline"),
        ("color.ui", "always"),
        ("log.decorate", "full"),
        ("diff.noprefix", "true"),
        ("i18n.logOutputEncoding", "latin1"),
    ):
        git(repo, "config", key, value)
    assert told(repo) == expected
    assert not proof.exists()


def test_shallow_and_partial_clones_have_what_they_have(repo: Path, tmp_path: Path) -> None:
    commit(repo, "Prune", tree="x = 2\n")
    git(repo, "mv", "bed.py", "place.py")
    commit(repo, "Move the bed")
    for option in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        git(repo, "config", option, "true")
    shallow, partial = tmp_path / "shallow", tmp_path / "partial"
    git(tmp_path, "clone", "-q", "--depth=2", f"file://{repo}", str(shallow))
    assert [each.subject for each in told(shallow)][:1] == ["Move the bed"]
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{repo}", str(partial))
    before = sorted((partial / ".git" / "objects").rglob("*"))
    assert told(partial) == told(repo)
    assert sorted((partial / ".git" / "objects").rglob("*")) == before
