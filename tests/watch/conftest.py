from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_git_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git and we see an empty configuration, whatever this machine's user has set."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = (tmp_path / "project").resolve()
    folder.mkdir()
    return folder


@pytest.fixture
def bound_root(root: Path) -> Iterator[Path]:
    """The project of a user whose rights count: those of one who may do anything do not."""
    if os.geteuid() != 0:
        yield root
        return
    nobody = 65_534
    closed = [each for each in root.parents if not each.stat().st_mode & 0o005]
    modes = [(each, each.stat().st_mode) for each in closed]
    for each, mode in modes:
        each.chmod(mode | 0o055)
    os.chown(root, nobody, nobody)
    os.seteuid(nobody)
    try:
        yield root
    finally:
        os.seteuid(0)
        for each, mode in modes:
            each.chmod(mode)
