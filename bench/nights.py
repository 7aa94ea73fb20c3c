"""Night by night on a real history: does it learn, does it forget, is what it promotes better?

    python -m bench.nights REPO COMMITS [--nights N] [--minutes M] [--json FILE]

REPO is a git repository (bare will do), COMMITS a JSON file: a list of repositories as
``{"repo": "owner/name", "commits": [{"commit": SHA}, ...]}`` of which the one that REPO's path
names is taken, or just a list of commits. The real daemon tends a clone of it. Each simulated week:
a night's training at this week's commit, then the code that the *next* week adds is scored under
the base and under what serves, which have not seen it. Old held-out code, as it stood in the first
week, is scored too: what is lost there is forgotten.

At the end every promotion is judged by what nobody could know then: on all code of the weeks after
it, is the promoted version worse than the one that it replaced?
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.next_line import exact, places
from gardenerd.core.holdout import held_out
from gardenerd.seedling import MODEL_DIR

_CODE = (".py", ".js", ".jsx", ".ts", ".tsx", ".go", ".rs", ".java", ".c", ".h", ".cpp", ".hpp")
_HUNK = re.compile(r"^@@ .* @@")
_MIN_LINES = 3  # added together; single lines tell little without what stands around them
_MAX_WEEK_BYTES = 60_000
_PLACES = 25  # of a week, at which the next line is asked for
_MAX_OLD_BYTES = 60_000
_CONFIG = """\
[loop]
window = ""
idle_minutes = 0
[train]
minutes = {minutes}
"""


class Replay:
    """A daemon with one project whose history is walked."""

    def __init__(self, repo: Path, folder: Path, minutes: float) -> None:
        self.root, self._texts = folder / "project", folder / "texts"
        self._home = folder / "home"
        self._home.mkdir()
        (self._home / "config.toml").write_text(_CONFIG.format(minutes=minutes))
        _run("git", "clone", "--quiet", "--shared", "--no-checkout", str(repo), str(self.root))

    def ctl(self, *arguments: str) -> str:
        environment = {**os.environ, "GARDENER_HOME": str(self._home)}
        return _run(sys.executable, "-m", "gardenerctl", *arguments, env=environment)

    def checkout(self, commit: str) -> None:
        _run("git", "-C", str(self.root), "checkout", "--quiet", "--force", commit)

    def settle(self) -> None:
        self.ctl("rescan")
        self.ctl("wait", "--settled", "--timeout", "600")

    def added(self, before: str, after: str) -> dict[str, str]:
        """The runs of lines that code files gained between two commits, by file."""
        diff = _run(
            *("git", "-C", str(self.root), "diff", "--unified=0", "--no-color", "--no-renames"),
            *("--diff-filter=AM", before, after, "--", *(f"*{end}" for end in _CODE)),
        )
        return added_lines(diff.splitlines())

    def old_code(self) -> dict[str, str]:
        """The held-out code files as they stand now."""
        listed = _run("git", "-C", str(self.root), "ls-files").splitlines()
        found: dict[str, str] = {}
        for path in sorted(held_out([p for p in listed if p.endswith(_CODE)])):
            text = (self.root / path).read_text(errors="replace")
            if text.strip():
                found[path] = text[:6_000]
        return _bounded(found, _MAX_OLD_BYTES)

    def score(self, texts: dict[str, str], adapter: str) -> float | None:
        """Bits per byte over all texts; None without any."""
        if not texts:
            return None
        self._texts.mkdir(exist_ok=True)
        files: list[str] = []
        for number, (path, text) in enumerate(texts.items()):
            file = self._texts / f"{number}{Path(path).suffix}"
            file.write_text(text)
            files.append(str(file))
        lines = self.ctl(
            "score", *files, "--adapter", adapter, "--project", "p", "--json"
        ).splitlines()
        scores = [json.loads(line) for line in lines]
        total = sum(score["bytes"] for score in scores)
        return sum(score["bits_per_byte"] * score["bytes"] for score in scores) / total

    def serving(self) -> str | None:
        listed = json.loads(self.ctl("adapters", "--json"))
        return next((each["version"] for each in listed if each["serving"]), None)

    def next_lines(self, texts: dict[str, str], version: str | None) -> tuple[int, int, int]:
        """Places asked, lines that the base writes exactly, and those that ``version`` does."""
        asked = places(texts, _PLACES)
        base = exact(asked, MODEL_DIR, None)
        if version is None:
            return len(asked), base, base
        folder = next(self._home.glob(f"adapters/*/{version}"))
        return len(asked), base, exact(asked, MODEL_DIR, folder)


def added_lines(diff: Iterable[str]) -> dict[str, str]:
    """Path → its added runs of at least three lines, joined, of a diff without context."""
    found: dict[str, list[str]] = {}
    path, run = "", list[str]()

    def close() -> None:
        if len(run) >= _MIN_LINES:
            found.setdefault(path, []).append("\n".join(run) + "\n")
        run.clear()

    for line in diff:
        if line.startswith("+++ "):
            close()
            path = line.removeprefix("+++ ").removeprefix("b/").strip()
        elif _HUNK.match(line) or line.startswith("diff --git"):
            close()
        elif line.startswith("+"):
            run.append(line[1:])
    close()
    return {path: "\n".join(runs) for path, runs in found.items()}


def measure(
    repo: Path,
    commits: list[str],
    minutes: float,
    tell: Callable[[dict[str, Any]], None] = lambda _night: None,
) -> dict[str, Any]:
    """Walk the commits; a night at each but the last."""
    nights: list[dict[str, Any]] = []
    weeks: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="gardener-nights-") as name:
        replay = Replay(repo, Path(name), minutes)
        replay.checkout(commits[0])
        replay.ctl("start")
        try:
            replay.ctl("add", str(replay.root), "--name", "p")
            replay.settle()
            old = replay.old_code()
            old_base = replay.score(old, "base")
            best = old_base
            for number, (here, after) in enumerate(pairwise(commits)):
                if number:
                    replay.checkout(here)
                    replay.settle()
                began = time.monotonic()
                run = json.loads(replay.ctl("train", "--wait", "--json"))
                seconds = time.monotonic() - began
                week = _bounded(replay.added(here, after), _MAX_WEEK_BYTES)
                weeks.append(week)
                served = replay.serving()
                asked, by_base, by_serving = replay.next_lines(week, served)
                now = replay.score(old, "current")
                if best is None or (now is not None and now < best):
                    best = now
                nights.append(
                    {
                        "night": number + 1,
                        "outcome": run["outcome"],
                        "version": run["version"],
                        "reason": run["reason"],
                        "seconds": round(seconds, 1),
                        "week_bytes": sum(len(text.encode()) for text in week.values()),
                        "base": replay.score(week, "base"),
                        "serving": replay.score(week, "current"),
                        "lines": asked,
                        "lines_base": by_base,
                        "lines_serving": by_serving,
                        "old_base": old_base,
                        "old": now,
                        "forgotten": now / best - 1 if now and best else 0.0,
                    }
                )
                tell(nights[-1])
            wrong = _wrong(replay, nights, weeks)
        finally:
            replay.ctl("stop")
    return {"nights": nights, **summary(nights), "wrong": wrong}


def summary(nights: list[dict[str, Any]]) -> dict[str, Any]:
    """Over all nights: the gain on next week's code, and the most that was ever forgotten."""
    weighed = [n for n in nights if n["base"] is not None]
    base = sum(n["base"] * n["week_bytes"] for n in weighed)
    serving = sum(n["serving"] * n["week_bytes"] for n in weighed)
    return {
        "gain": 1 - serving / base if base else 0.0,
        "lines": sum(n["lines"] for n in nights),
        "lines_base": sum(n["lines_base"] for n in nights),
        "lines_serving": sum(n["lines_serving"] for n in nights),
        "most_forgotten": max((n["forgotten"] for n in nights), default=0.0),
        "promoted": sum(n["outcome"] == "promoted" for n in nights),
        "longest_night_s": max((n["seconds"] for n in nights), default=0.0),
    }


def _wrong(
    replay: Replay, nights: list[dict[str, Any]], weeks: list[dict[str, str]]
) -> list[dict[str, Any]]:
    """Promotions that were worse, on all code written after them, than what they replaced."""
    found: list[dict[str, Any]] = []
    before = "base"
    for number, night in enumerate(nights):
        if night["outcome"] != "promoted":
            continue
        later = {
            f"{i}/{path}": text for i, w in enumerate(weeks[number:]) for path, text in w.items()
        }
        later = _bounded(later, 2 * _MAX_WEEK_BYTES)
        was, became = replay.score(later, before), replay.score(later, night["version"])
        if was is not None and became is not None and became > was:
            found.append({"version": night["version"], "before": was, "after": became})
        before = night["version"]
    return found


def _bounded(texts: dict[str, str], size: int) -> dict[str, str]:
    kept: dict[str, str] = {}
    for path, text in sorted(texts.items()):
        size -= len(text.encode())
        if size < 0:
            break
        kept[path] = text
    return kept


def _run(*command: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=env)
    if done.returncode:
        raise RuntimeError(f"{command[:6]}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _commits(file: Path, repo: Path) -> list[str]:
    listed = json.loads(file.read_text())
    if listed and "commits" in listed[0]:
        name = str(repo.resolve()).replace("+", "/")
        listed = next(entry["commits"] for entry in listed if entry["repo"] in name)
    return [entry["commit"] for entry in listed]


def _figure(value: float | None) -> str:
    return "   -  " if value is None else f"{value:.4f}"


def _tell(night: dict[str, Any]) -> None:
    print(
        f"{night['night']:3}  {night['outcome']:11} {night['version'] or '':4} "
        f"next week {_figure(night['base'])} → {_figure(night['serving'])}  "
        f"old {_figure(night['old_base'])} → {_figure(night['old'])} "
        f"({night['forgotten']:+.1%} off its best)  {night['seconds']:.0f} s  {night['reason']}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.nights")
    parser.add_argument("repo", type=Path)
    parser.add_argument("commits", type=Path)
    parser.add_argument("--nights", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=2.0, help="of training a night, at most")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    arguments = parser.parse_args()
    commits = _commits(arguments.commits, arguments.repo)[: arguments.nights + 1]
    found = measure(arguments.repo, commits, arguments.minutes, _tell)
    print({key: value for key, value in found.items() if key != "nights"})
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
