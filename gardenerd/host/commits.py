"""What the last commits of a project added to its files, and what they say of it.

Of a message only what says what was done stays: no trailer, and no line that holds an e-mail
address or the name of an author. Nothing here is masked or checked yet: the index worker does
that, and keeps only what still stands in a file (:mod:`gardenerd.index.reading`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gardenerd.host.command import output
from gardenerd.host.written import git_program
from gardenerd.workers.jobs import Added

_COMMITS = 300
# Larger ones reformat, move or import; their message says little of any one file.
_MAX_FILES = 20
_MAX_LINES = 400
_MAX_MESSAGE = 600
"""Characters: a subject and a few paragraphs."""
_LEAST_RUN = 3
"""Lines added together; of fewer one cannot tell whether they are still the same."""
_MAX_RUN = 6_000
"""Characters, as in the chunks of a file."""
_TIMEOUT_S = 20.0
_AT_ONCE = 50
_IN_LOG = 1_000

# Nothing that a repository's configuration names is run, and its words do not change the format.
PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-show-signature", "--relative")
_TRAILER = re.compile(
    r"^\s*(?:[A-Za-z]+(?:-[A-Za-z]+)+|cc|acked|reported|suggested|author|from|thanks)\s*:"
    r"|^\s*\(cherry picked from|^\s*git-svn-id:",
    re.I,
)
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.\w|<[^<>\s]+@[^<>\s]+>")
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@ ?(.*)")


async def added_code(root: Path, wanted: Collection[str], commits: int = _COMMITS) -> list[Added]:
    """The code that each of the last ``commits`` of the checked-out branch added, by file, the
    newest first.

    Merges, and commits of more than 20 files or 400 added lines, are left out. Empty where there
    is no git, no history, or a partial clone lacks some of it: nothing is fetched.

    Args:
        root: a project's folder, in a repository or at its top.
        wanted: the files, relative to it, that may be learned from.
    """
    git = git_program()
    if git is None:
        return []
    command = (git, "-C", str(root), "-c", "core.quotepath=off")
    messages: dict[str, str] = {}
    for skip in range(0, commits, _IN_LOG):
        log = await output(
            *(*command, "log", f"--skip={skip}", f"--max-count={min(_IN_LOG, commits - skip)}"),
            *("--no-merges", "--numstat", "-M", *PLAIN),
            *("--format=%x00%H%x00%an%x00%cn%x00%B%x00", "HEAD", "--", "."),
            timeout=_TIMEOUT_S,
        )
        if not log:
            break
        messages |= _messages(log)
    found: list[Added] = []
    ids = list(messages)
    for begin in range(0, len(ids), _AT_ONCE):
        shown = await output(
            *(*command, "show", "-U0", "-M", "--submodule=short", *PLAIN),
            *("--src-prefix=a/", "--dst-prefix=b/", "--format=%x00%H"),
            *(*ids[begin : begin + _AT_ONCE], "--", "."),
            timeout=_TIMEOUT_S,
        )
        for entry in (shown or "").split("\0")[1:]:
            id, _, diff = entry.partition("\n")
            for path, change in _changes(diff).items():
                if path in wanted:
                    message = messages[id]
                    found.append(
                        Added(
                            path=path,
                            message=message,
                            runs=change.runs,
                            near=change.near,
                            heads=change.heads,
                        )
                    )
    return found


def _messages(log: str) -> dict[str, str]:
    """Message by commit, of those that are small enough and still say something."""
    fields = log.split("\0")[1:]
    entries = list(zip(*(fields[part::5] for part in range(5)), strict=False))
    names = {name for _, author, committer, *_ in entries for name in (author, committer)}
    found: dict[str, str] = {}
    for id, _, _, text, stat in entries:
        counts = [line.split("\t", 1)[0] for line in stat.splitlines() if "\t" in line]
        lines = sum(int(count) for count in counts if count.isdigit())
        if 0 < len(counts) <= _MAX_FILES and lines <= _MAX_LINES:
            message = without_names(text, names)
            if message:
                found[id] = message
    return found


def without_names(message: str, names: Collection[str]) -> str:
    """The message without the lines that name somebody; nothing if its subject does."""
    known = [re.escape(name) for name in names if len(name) > 1]
    named = re.compile(rf"\b(?:{'|'.join(known)})\b", re.I) if known else None
    kept: list[str] = []
    for number, line in enumerate(message.strip().splitlines()):
        if _TRAILER.search(line) or _ADDRESS.search(line) or (named and named.search(line)):
            if number == 0:
                return ""
            continue
        kept.append(line.rstrip())
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    if len(text) <= _MAX_MESSAGE:
        return text
    return text[: _MAX_MESSAGE + 1].rpartition("\n")[0].strip()


@dataclass(slots=True)
class _Change:
    runs: list[list[str]] = field(default_factory=list[list[str]])
    near: list[str] = field(default_factory=list[str])
    heads: list[str] = field(default_factory=list[str])


def _changes(diff: str) -> dict[str, _Change]:
    """By file the runs of lines that a diff without context adds, and what stands near them."""
    found: dict[str, _Change] = defaultdict(_Change)
    path = ""
    lines = iter(diff.split("\n"))
    for line in lines:
        if line.startswith("+++ "):
            # A name in quotes holds what no sane one does; a file that is gone is /dev/null.
            path = line[6:].rstrip("\t") if line.startswith("+++ b/") else ""
        elif hunk := _HUNK.match(line):
            old, new, head = hunk.groups()
            removed, added = (1 if count is None else int(count) for count in (old, new))
            run = _added(lines, removed, added)
            if not path:
                continue
            if len(run) >= _LEAST_RUN and sum(map(len, run)) <= _MAX_RUN:
                found[path].runs.append(run)
            elif len(run) < _LEAST_RUN:
                found[path].near += run
            if head:
                found[path].heads.append(head)
    return found


def _added(lines: Iterator[str], removed: int, added: int) -> list[str]:
    """The ``added`` lines of a hunk, without the blank ones at its ends."""
    run: list[str] = []
    while removed or added:
        line = next(lines, None)
        if line is None:
            break
        if line.startswith("-"):
            removed -= 1
        elif line.startswith("+"):
            added -= 1
            run.append(line[1:].removesuffix("\r"))
    while run and not run[0].strip():
        run.pop(0)
    while run and not run[-1].strip():
        run.pop()
    return run
