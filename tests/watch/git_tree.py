"""Trees on disk for the filter's tests, and what git itself says of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from gardenerd.watch.filters import Filter
from gardenerd.watch.rescan import scan


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="")


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout


def kept_by_git(root: Path) -> set[str]:
    """The untracked files that git does not ignore."""
    printed = git(root, "ls-files", "-z", "-co", "--exclude-standard")
    return {path for path in printed.split("\0") if path}


def kept_by_us(root: Path) -> set[str]:
    """The same by our rules; the built-in ones do not matter for the names used in these tests."""
    return {os.fspath(file.path) for file in scan(Filter(root, 1_000_000)).files}
