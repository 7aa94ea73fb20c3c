"""The day on which code was written: git's where it knows, else the file's."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from gardenerd.host import written

NOON = 12 * 3_600.0
JANUARY = 1_767_225_600.0  # 2026-01-01, 00:00 UTC


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def git(root: Path, *arguments: str, day: int = 1) -> None:
    stamp = f"{int(JANUARY + (day - 1) * 86_400 + NOON)} +0000"
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(root), *arguments],
        check=True,
        capture_output=True,
        env={**os.environ, "GIT_COMMITTER_DATE": stamp, "GIT_AUTHOR_DATE": stamp},
    )


def commit(root: Path, day: int, **files: str) -> None:
    for name, text in files.items():
        (root / f"{name}.py").write_text(text)
    git(root, "add", ".")
    git(root, "commit", "-m", f"day {day}", day=day)


def days(root: Path, *paths: str) -> dict[str, str]:
    return asyncio.run(written.days_written(root, paths))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    commit(tmp_path, 1, a="1", b="1")
    commit(tmp_path, 3, b="2")
    return tmp_path


def test_the_last_commit_of_a_file_counts(repo: Path) -> None:
    assert days(repo, "a.py", "b.py") == {"a.py": "2026-01-01", "b.py": "2026-01-03"}


def test_what_is_not_committed_has_the_day_of_the_file(repo: Path) -> None:
    for name in ("b", "new"):
        (repo / f"{name}.py").write_text("3")
        os.utime(repo / f"{name}.py", (JANUARY + 9 * 86_400,) * 2)
    assert days(repo, "a.py", "b.py", "new.py", "gone.py") == {
        "a.py": "2026-01-01",
        "b.py": "2026-01-10",
        "new.py": "2026-01-10",
    }


def test_a_folder_within_a_repository_and_a_name_of_another_script(repo: Path) -> None:
    inner = repo / "inner"
    inner.mkdir()
    commit(inner, 5, größe="1")
    assert days(inner, "größe.py") == {"größe.py": "2026-01-05"}


def test_without_git_the_files_tell(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    os.utime(tmp_path / "a.py", (JANUARY, JANUARY))
    assert days(tmp_path, "a.py") == {"a.py": "2026-01-01"}


def test_a_mac_without_developer_tools_is_not_asked(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written.sys, "platform", "darwin")
    monkeypatch.setattr(written, "_APPLE_GIT", (str(repo / "no-git"),))
    os.utime(repo / "a.py", (JANUARY + 86_400,) * 2)
    assert days(repo, "a.py") == {"a.py": "2026-01-02"}
