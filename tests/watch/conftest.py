from __future__ import annotations

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
