"""A real project's history, week by week: its state at a commit, and the code that came after."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from bench.next_line import Place
from gardenerd.core.holdout import held_out

_CODE = (".py", ".js", ".jsx", ".ts", ".tsx", ".go", ".rs", ".java", ".c", ".h", ".cpp", ".hpp")
_HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@")
_MIN_LINES = 3  # added together; single lines tell little without what stands around them
_MAX_WEEK_BYTES = 60_000
_MAX_OLD_BYTES = 60_000
_OLD_FILE_BYTES = 6_000
_CHURN_WEEKS = 6
_WEEK = 7 * 86_400


class History:
    """A clone of a repository in ``root``, which goes from commit to commit.

    A mirror may lack its largest blobs (test data, archives): those files are left out.
    """

    def __init__(self, repo: Path, root: Path) -> None:
        self.root = root
        run("git", "clone", "--quiet", "--shared", "--no-checkout", str(repo), str(root))

    def checkout(self, commit: str) -> None:
        left_out = [f"!/{_escaped(path)}" for path in self._missing(commit)]
        self._git("sparse-checkout", "set", "--no-cone", "/*", *left_out)
        self._git("checkout", "--quiet", "--force", commit)

    def added(self, before: str, after: str) -> dict[str, str]:
        """The runs of lines that code files gained between two commits, by file; bounded."""
        return bounded(added_lines(self._added(before, after)), _MAX_WEEK_BYTES)

    def added_places(self, before: str, after: str) -> list[Place]:
        """Each line that code files gained between two commits, with its file above it."""
        found: list[Place] = []
        for path, numbers in added_numbers(self._added(before, after)).items():
            lines = self._git("show", f"{after}:{path}").splitlines(keepends=True)
            found += [("".join(lines[: n - 1]), lines[n - 1].rstrip("\n")) for n in numbers]
        return found

    def files(self) -> list[str]:
        """All code files of the commit that is checked out."""
        return [path for path in self._git("ls-files").splitlines() if path.endswith(_CODE)]

    def changed(self, before: str, after: str) -> list[str]:
        """The code files that differ between two commits, those that are gone among them."""
        names = ("diff", "--name-only", "--no-renames", before, after)
        return [path for path in self._git(*names).splitlines() if path.endswith(_CODE)]

    def churning(self, commit: str) -> set[str]:
        """The code files that changed in most of the six weeks before a commit."""
        end = int(self._git("log", "-1", "--format=%ct", commit))
        since = f"--since={end - _CHURN_WEEKS * _WEEK}"
        weeks: dict[str, set[int]] = {}
        week = 0
        for line in self._git("log", "--format=@%ct", "--name-only", since, commit).splitlines():
            if line.startswith("@"):
                week = (end - int(line[1:])) // _WEEK
            elif line.endswith(_CODE):
                weeks.setdefault(line, set()).add(week)
        return {path for path, changed in weeks.items() if len(changed) > _CHURN_WEEKS / 2}

    def old_code(self) -> dict[str, str]:
        """The beginnings of held-out code files as they stand now; bounded."""
        found: dict[str, str] = {}
        for path in sorted(held_out(self.files())):
            text = (self.root / path).read_text(errors="replace")
            if text.strip():
                found[path] = text[:_OLD_FILE_BYTES]
        return bounded(found, _MAX_OLD_BYTES)

    def _added(self, before: str, after: str) -> list[str]:
        return self._git(
            *("diff", "--unified=0", "--no-color", "--no-renames", "--diff-filter=AM"),
            *(before, after, "--", *(f"*{end}" for end in _CODE)),
        ).splitlines()

    def _missing(self, commit: str) -> list[str]:
        listed = self._git("ls-tree", "-r", "--format=%(objectname) %(path)", commit)
        paths = dict(line.split(" ", 1) for line in listed.splitlines())
        present = subprocess.run(
            ["git", "-C", str(self.root), "cat-file", "--batch-check=%(objectname)"],
            input="\n".join(paths),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        gone = [line.split()[0] for line in present.splitlines() if line.endswith(" missing")]
        return [paths[blob] for blob in gone]

    def _git(self, *arguments: str) -> str:
        return run("git", "-C", str(self.root), *arguments)


def parser(bench: str, nights: int) -> argparse.ArgumentParser:
    """Of a bench that walks a history: which, how many nights of it, and where to write to."""
    found = argparse.ArgumentParser(prog=f"python -m bench.{bench}")
    found.add_argument("repo", type=Path)
    found.add_argument("commits", type=Path)
    found.add_argument("--nights", type=int, default=nights)
    found.add_argument("--json", type=Path, help="write everything to this file")
    return found


def commits(file: Path, repo: Path) -> list[str]:
    """The commits that a list of repositories names for ``repo``, or a list of them alone."""
    listed = json.loads(file.read_text())
    if listed and "commits" in listed[0]:
        name = str(repo.resolve()).replace("+", "/")
        listed = next(entry["commits"] for entry in listed if entry["repo"] in name)
    return [entry["commit"] for entry in listed]


def added_lines(diff: Iterable[str]) -> dict[str, str]:
    """Path → its added runs of at least three lines, joined, of a diff without context."""
    found: dict[str, list[str]] = {}
    path, added = "", list[str]()

    def close() -> None:
        if len(added) >= _MIN_LINES:
            found.setdefault(path, []).append("\n".join(added) + "\n")
        added.clear()

    for line in diff:
        if line.startswith("+++ "):
            close()
            path = line.removeprefix("+++ ").removeprefix("b/").strip()
        elif _HUNK.match(line) or line.startswith("diff --git"):
            close()
        elif line.startswith("+"):
            added.append(line[1:])
    close()
    return {path: "\n".join(runs) for path, runs in found.items()}


def added_numbers(diff: Iterable[str]) -> dict[str, list[int]]:
    """Path → the numbers, from 1, of the lines that it gained, of a diff without context."""
    found: dict[str, list[int]] = {}
    path = ""
    for line in diff:
        if line.startswith("+++ "):
            path = line.removeprefix("+++ ").removeprefix("b/").strip()
        elif hunk := _HUNK.match(line):
            first, count = int(hunk[1]), int(hunk[2] or 1)
            found.setdefault(path, []).extend(range(first, first + count))
    return found


def bounded(texts: dict[str, str], size: int) -> dict[str, str]:
    """Texts in the order of their paths up to ``size`` bytes; the last one is cut to fit."""
    kept: dict[str, str] = {}
    for path, text in sorted(texts.items()):
        data = text.encode()[:size]
        if not data:
            break
        kept[path] = data.decode(errors="ignore")
        size -= len(data)
    return kept


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """A command's output.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=env)
    if done.returncode:
        raise RuntimeError(f"{command[:6]}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _escaped(path: str) -> str:
    return re.sub(r"([*?\[\\!#])", r"\\\1", path)
