"""What commits added, from real repositories: no names, no merges, nothing huge."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from gardenerd.host import commits
from gardenerd.workers.jobs import Added

WATER = "def water(bed):\n    bed.dry = False\n    return bed\n"
PRUNE = "def prune(tree):\n    tree.twigs = []\n    return tree\n"


def git(root: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=Rosa Thorn", "-c", "user.email=rosa@thorn.example", "-C"]
        + [str(root), *arguments],
        check=True,
        capture_output=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
    )


def commit(root: Path, message: str, **files: str) -> None:
    for name, text in files.items():
        (root / f"{name}.py").write_text(text)
    git(root, "add", ".")
    git(root, "commit", "-m", message)


def added(root: Path, *wanted: str) -> list[Added]:
    return asyncio.run(commits.added_code(root, set(wanted)))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "garden"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    commit(root, "Beds can be watered", bed=WATER, other=WATER)
    return root


def test_each_file_has_the_message_and_the_runs_that_were_added(repo: Path) -> None:
    commit(repo, "Prune\n\nIn winter alone.", bed=f"{PRUNE}\n\n{WATER}# end\n", tree=PRUNE)
    found = added(repo, "bed.py", "tree.py")
    assert found == [
        Added(
            path="bed.py",
            message="Prune\n\nIn winter alone.",
            runs=[PRUNE.splitlines()],
            near=["# end"],
            heads=["def water(bed):"],
        ),
        Added(path="tree.py", message="Prune\n\nIn winter alone.", runs=[PRUNE.splitlines()]),
        Added(path="bed.py", message="Beds can be watered", runs=[WATER.splitlines()]),
    ]


def test_only_what_may_be_learned_from_is_told(repo: Path) -> None:
    assert [a.path for a in added(repo, "other.py")] == ["other.py"]
    assert added(repo) == []


def test_nobody_is_named(repo: Path) -> None:
    message = (
        "Trees are pruned\n\nAs Rosa Thorn proposed.\nWrite to rosa@thorn.example first.\n"
        "It keeps them low.\n\nSigned-off-by: Rosa Thorn <rosa@thorn.example>\n"
        "Co-authored-by: Bud <bud@x.example>\nReviewed-by: Somebody Else\n"
    )
    commit(repo, message, tree=PRUNE)
    (found,) = added(repo, "tree.py")
    assert found.message == "Trees are pruned\n\nIt keeps them low."
    commit(repo, "Merge what rosa thorn sent", hedge=PRUNE)
    assert added(repo, "hedge.py") == []


def test_merges_and_huge_commits_are_left_out(repo: Path) -> None:
    git(repo, "checkout", "-q", "-b", "side")
    commit(repo, "On the side", side=PRUNE)
    git(repo, "checkout", "-q", "main")
    commit(repo, "On the main path", main=WATER)
    git(repo, "merge", "-q", "--no-ff", "-m", "Bring in the side", "side")
    commit(repo, "Import a meadow", meadow="".join(f"flower_{i} = {i}\n" for i in range(500)))
    commit(repo, "Everything", **{f"f{i}": PRUNE for i in range(30)})
    wanted = ["side.py", "main.py", "meadow.py", *(f"f{i}.py" for i in range(30))]
    assert {a.message for a in added(repo, *wanted)} == {"On the side", "On the main path"}


def test_moved_code_is_not_new(repo: Path) -> None:
    git(repo, "mv", "other.py", "place.py")
    commit(repo, "Move it")
    assert added(repo, "place.py") == []


def test_paths_are_relative_to_a_project_within_a_repository(repo: Path) -> None:
    inner = repo / "inner"
    inner.mkdir()
    commit(inner, "Größer", größe=PRUNE)
    assert [a.path for a in added(inner, "größe.py", "bed.py")] == ["größe.py"]


def test_code_that_looks_like_a_diff_is_code(repo: Path) -> None:
    text = 'PATCH = """\n++ b/other.py\n-- a/other.py\n@@ -1 +1,3 @@\n"""\n'
    commit(repo, "A patch in a text", patch=text)
    (found,) = added(repo, "patch.py", "other.py")[:1]
    assert (found.path, found.runs) == ("patch.py", [text.splitlines()])


def test_the_settings_of_a_repository_run_nothing(repo: Path, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    (repo / ".gitattributes").write_text("*.py diff=trap\n")
    for key in ("diff.external", "diff.trap.command", "diff.trap.textconv", "core.fsmonitor"):
        git(repo, "config", key, f"touch {proof}; false")
    git(repo, "config", "diff.noprefix", "true")
    assert [a.path for a in added(repo, "bed.py")] == ["bed.py"]
    assert not proof.exists()


def test_without_a_history_there_is_nothing(tmp_path: Path) -> None:
    assert added(tmp_path, "a.py") == []
    git(tmp_path, "init", "-q")
    assert added(tmp_path, "a.py") == []


def test_nothing_is_fetched_for_a_partial_clone(repo: Path, tmp_path: Path) -> None:
    commit(repo, "What only history has", bed=f"{PRUNE}{WATER}")
    commit(repo, "Prune", bed=PRUNE)
    git(repo, "config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{repo}", str(partial))
    objects = partial / ".git" / "objects"
    before = sorted(objects.rglob("*"))
    assert added(partial, "bed.py") == []
    assert sorted(objects.rglob("*")) == before
