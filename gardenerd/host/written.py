"""On which day each file was last written: git's history where there is one, else the file's time.

The time of a file says when it was checked out; for code that came by clone or pull, only git
knows the day on which somebody wrote it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

from gardenerd.host.command import output

# Far more than a project's files change in; a file that no such commit touched is simply older.
_MAX_COMMITS = 3_000
_APPLE_GIT = (
    "/Library/Developer/CommandLineTools/usr/bin/git",
    "/Applications/Xcode.app/Contents/Developer/usr/bin/git",
)


async def days_written(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """The local day (``2026-11-21``) of the last commit, or of the file if git does not have it.

    Args:
        root: a project's folder.
        paths: relative to it. One that is gone is left out.
    """
    committed = await _committed(root)
    found: dict[str, str] = {}
    for path in paths:
        if path in committed:
            found[path] = committed[path]
            continue
        try:
            found[path] = _day((root / path).stat().st_mtime)
        except OSError:
            continue
    return found


async def _committed(root: Path) -> dict[str, str]:
    """Files whose content is that of a commit, with the day of the newest commit of each."""
    git = git_program()
    if git is None:
        return {}
    command = (git, "-C", str(root), "-c", "core.quotepath=off")
    log = await output(
        *(*command, "log", f"--max-count={_MAX_COMMITS}"),
        *("--format=%x00%ct", "--name-only", "--relative"),
    )
    changed = await output(*command, "diff", "--name-only", "--relative", "HEAD")
    if log is None or changed is None:
        return {}
    found: dict[str, str] = {}
    for entry in log.split("\0")[1:]:
        stamp, *names = entry.splitlines()
        for name in names:
            if name:
                found.setdefault(name, _day(float(stamp)))
    for name in changed.splitlines():
        found.pop(name, None)
    return found


def git_program() -> str | None:
    """The name or path of git; None where it is not installed, as far as one can tell."""
    if sys.platform != "darwin":
        return "git"
    # /usr/bin/git on a Mac without the developer tools opens a dialogue that offers them.
    return next((path for path in _APPLE_GIT if Path(path).is_file()), None)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))
