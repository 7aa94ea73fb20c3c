"""What the last commits of a project were about, and which files they touched: their subjects."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from gardenerd.core.forgetting import within
from gardenerd.host.command import output
from gardenerd.host.commits import PLAIN
from gardenerd.host.written import git_program

# So many commits, or where git is slow or has too much to print, at least these.
_COMMITS = (4_000, 400)
# Larger ones reformat, move or import: their subject says little of any one file.
_MAX_FILES = 10
_MAX_SUBJECT = 300
"""Characters; a message without a blank line after its first is all subject."""
_TIMEOUT_S = 20.0
_BEGIN = "\1"

# Renames are not looked for, which would take the files' contents, and those a partial clone may
# lack.
_PLAIN = (*PLAIN, "--no-renames", "--encoding=UTF-8", "--name-only", "-z")


class Commit(NamedTuple):
    """Not redacted."""

    subject: str
    paths: list[str]
    """What it touched of the project, relative to its folder; some may be gone since."""


async def head(root: Path) -> str | None:
    """The id of the commit that is checked out; None without git, a repository or a commit."""
    git = git_program()
    if git is None:
        return None
    asked = ("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    found = await output(git, "-C", str(root), *asked, timeout=_TIMEOUT_S)
    return found.strip() if found else None


async def subjects(root: Path, commit: str, left_out: Collection[str]) -> list[Commit]:
    """The last 4,000 commits up to ``commit`` that touched the project, newest first.

    Left out are merges, commits of more than ten files, and those that touched anything of
    ``left_out`` (files or folders, relative to the root): their subject may speak of it. Empty
    where git fails or is too slow; a shallow clone has what it has, and nothing is fetched.
    """
    git = git_program()
    if git is None:
        return []
    for count in _COMMITS:
        log = await output(
            *(git, "-C", str(root), "log", "--no-merges", f"--max-count={count}", *_PLAIN),
            *(f"--format={_BEGIN}%s", commit, "--", "."),
            timeout=_TIMEOUT_S,
        )
        if log is not None:
            return [each for each in _commits(log) if _telling(each, left_out)]
    return []


def _commits(log: str) -> Iterator[Commit]:
    subject, paths = "", list[str]()
    for field in log.split("\0"):
        if field.startswith(_BEGIN):
            if paths:
                yield Commit(subject, paths)
            subject, paths = _cut(field[1:]), []
        elif name := field.removeprefix("\n"):
            paths.append(name)
    if paths:
        yield Commit(subject, paths)


def _cut(subject: str) -> str:
    """At a space: half a secret would not be known as one."""
    if len(subject) <= _MAX_SUBJECT:
        return subject
    return subject[: _MAX_SUBJECT + 1].rpartition(" ")[0]


def _telling(commit: Commit, left_out: Collection[str]) -> bool:
    if len(commit.paths) > _MAX_FILES:
        return False
    return not any(within(path, place) for path in commit.paths for place in left_out)
