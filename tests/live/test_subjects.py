"""What commits said of files: found as soon as it is history, gone when it no longer is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gardenerd.index.identifiers import search_words
from gardenerd.index.subjects import number_of
from tests.host.test_commits import git
from tests.live.garden import Garden, until
from tests.live.test_forgetting import holding


@pytest.fixture
def garden(shared: Garden) -> Garden:
    return shared


SHIPPING, BASKET = "shop/shipping.py", "shop/basket.py"


def commit(root: Path, subject: str, *paths: str) -> None:
    for path in paths:
        file = root / path
        file.write_text(f"{file.read_text()}\n")
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", subject)


@pytest.fixture
def repo(project: Path) -> Path:
    git(project, "init", "-q", "-b", "main")
    git(project, "add", "--all")
    git(project, "commit", "-q", "-m", "Begin")
    return project


def first(garden: Garden, query: str) -> str:
    """The path of the best hit; empty if nothing is found."""
    return next((hit["path"] for hit in garden.lines("search", query, "-k", "1")), "")


def kept(garden: Garden, word: str) -> set[str]:
    """The files of the home that hold the word, or the number that stands for it."""
    number = number_of(search_words(word)).to_bytes(8, "little")
    return set(holding(garden.home.root, [word.encode(), number]))


def test_a_file_is_found_by_what_commits_said_of_it(garden: Garden, repo: Path) -> None:
    commit(repo, "Handle zanzibarquux", SHIPPING)
    garden.ctl("add", str(repo), "--name", "shop")
    garden.settle()
    assert first(garden, "zanzibarquux") == SHIPPING
    (file,) = kept(garden, "zanzibarquux")
    assert file.startswith("index/subjects/")

    # What is committed while the daemon listens is heard; nothing is asked to settle here.
    commit(repo, "Handle frobnicate", BASKET)
    until(lambda: first(garden, "frobnicate") == BASKET, 30)
    git(repo, "commit", "-q", "--amend", "-m", "Handle heliotrope")  # changes no file
    until(lambda: first(garden, "heliotrope") == BASKET, 30)
    until(lambda: not kept(garden, "frobnicate"), 30)
    assert first(garden, "zanzibarquux") == SHIPPING

    git(repo, "checkout", "-q", "-b", "side", "HEAD~")
    commit(repo, "Handle marzipan", "web/cart.ts")
    garden.settle()
    assert first(garden, "marzipan") == "web/cart.ts"
    assert first(garden, "zanzibarquux") == SHIPPING
    assert not kept(garden, "heliotrope")
    git(repo, "checkout", "-q", "main")
    until(lambda: first(garden, "heliotrope") == BASKET, 30)
    garden.settle()
    assert not kept(garden, "marzipan")

    # It holds through a restart, and is made anew with the index.
    garden.stop()
    (garden.home.index / "subjects" / "deadbeef-1").write_bytes(b"of a project that is gone")
    garden.start()
    assert first(garden, "zanzibarquux") == SHIPPING
    garden.settle()
    assert len(list((garden.home.index / "subjects").iterdir())) == 1
    for old in (garden.home.index / "subjects").iterdir():
        old.unlink()
    garden.settle()
    assert first(garden, "zanzibarquux") == SHIPPING


def test_what_was_said_goes_with_what_is_forgotten_and_with_the_project(
    garden: Garden, repo: Path
) -> None:
    (repo / "hidden.py").write_text("def hide():\n    return 1\n")
    commit(repo, "Hide the zanzibarquux", BASKET)  # both
    commit(repo, "Handle frobnicate", SHIPPING)
    garden.ctl("add", str(repo), "--name", "shop")
    garden.settle()
    assert garden.found("zanzibarquux") >= {"hidden.py", BASKET}
    assert kept(garden, "zanzibarquux")

    garden.ctl("forget", str(repo / "hidden.py"))
    assert not kept(garden, "zanzibarquux")
    garden.settle()
    assert first(garden, "frobnicate") == SHIPPING
    assert not kept(garden, "zanzibarquux")
    commit(repo, "Handle heliotrope", BASKET)
    (repo / "hidden.py").write_text("def hide():\n    return 2\n")
    commit(repo, "Hide the marzipan", BASKET)
    until(lambda: first(garden, "heliotrope") == BASKET, 30)
    garden.settle()
    assert not kept(garden, "marzipan")
    assert not kept(garden, "zanzibarquux")

    garden.ctl("forget", "--undo", str(repo / "hidden.py"))
    garden.settle()
    assert kept(garden, "zanzibarquux")
    garden.ctl("remove", "shop")
    for word in ("zanzibarquux", "frobnicate", "heliotrope", "marzipan"):
        assert not kept(garden, word)
    assert not list((garden.home.index / "subjects").iterdir())


def test_a_folder_of_a_repository_and_a_linked_checkout_have_their_own(
    garden: Garden, repo: Path, tmp_path: Path
) -> None:
    commit(repo, "Handle zanzibarquux", "web/cart.ts", SHIPPING)
    linked = tmp_path / "linked"
    git(repo, "worktree", "add", "-q", "-b", "side", str(linked))
    commit(linked, "Handle frobnicate", BASKET)
    garden.ctl("add", str(linked), "--name", "linked")
    garden.ctl("add", str(repo / "web"), "--name", "web")
    garden.settle()
    assert first(garden, "frobnicate") == BASKET
    hits = garden.lines("search", "zanzibarquux", "-k", "10")
    assert {(hit["project"], hit["path"]) for hit in hits} >= {
        ("web", "cart.ts"),
        ("linked", "web/cart.ts"),
        ("linked", SHIPPING),
    }
    only = garden.lines("search", "zanzibarquux", "-k", "1", "--project", "web")
    assert [hit["path"] for hit in only] == ["cart.ts"]
    git(linked, "reset", "-q", "--hard", "HEAD~")
    garden.settle()
    assert not kept(garden, "frobnicate")


def test_without_git_nothing_is_kept(garden: Garden, project: Path) -> None:
    garden.ctl("add", str(project))
    garden.settle()
    assert garden.found("basket total price")
    assert not list((garden.home.index / "subjects").glob("*"))
