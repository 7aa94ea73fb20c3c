"""Night by night on a real history: does it learn, does it forget, is what it promotes better?

    python -m bench.nights REPO COMMITS [--nights N] [--minutes M] [--beside NAMES]
        [--json FILE] [--plot FILE]

REPO is a git repository (bare will do), COMMITS a JSON file: a list of repositories as
``{"repo": "owner/name", "commits": [{"commit": SHA}, ...]}`` of which the one that REPO's path
names is taken, or just a list of commits. The real daemon tends a clone of it. Each simulated week:
a night's training at this week's commit, then the code that the *next* week adds is scored under
the base and under what serves, which have not seen it. Old held-out code, as it stood in the first
week, is scored too: what is lost there is forgotten.

``--beside no-replay,scratch`` walks the same nights with more daemons, to compare with: one that
replays nothing, one that starts each run from the base.

At the end every promotion is judged by what nobody could know then: on all code of the weeks after
it, is the promoted version worse than the one that it replaced?
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench import history, plot
from bench.next_line import Place, exact, places
from gardenerd.seedling import MODEL_DIR

_PLACES = 40  # of a week, at which the next line is asked for
_JUDGED_BYTES = 120_000  # of all code written after a promotion
_CONFIG = """\
[loop]
window = ""
idle_minutes = 0
keep_versions = 1000  # each is judged at the end
replay_share = {replay_share}
[train]
minutes = {minutes}
anew = {anew}
"""
_LOOPS: dict[str, dict[str, Any]] = {
    "gardener": {"replay_share": 0.5, "anew": "false"},
    "no-replay": {"replay_share": 0.0, "anew": "false"},
    "scratch": {"replay_share": 0.5, "anew": "true"},
}


class Garden:
    """A daemon of its own that tends the project; a context, in which the daemon runs."""

    def __init__(self, folder: Path, project: Path, loop: str, minutes: float) -> None:
        self._home, self._texts, self._project = folder / "home", folder / "texts", project
        self._home.mkdir(parents=True)
        self._texts.mkdir()
        config = _CONFIG.format(minutes=minutes, **_LOOPS[loop])
        (self._home / "config.toml").write_text(config)

    def __enter__(self) -> Garden:
        self._ctl("start")
        self._ctl("add", str(self._project), "--name", "p")
        self.settle()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ctl("stop")

    def settle(self) -> None:
        """Wait until the index equals the files."""
        self._ctl("rescan")
        self._ctl("wait", "--settled", "--timeout", "600")

    def night(self) -> dict[str, Any]:
        """One run, with the seconds that it took from asking to its end."""
        began = time.monotonic()
        run = json.loads(self._ctl("train", "--wait", "--json"))
        return {
            "outcome": run["outcome"],
            "version": run["version"],
            "reason": run["reason"],
            "seconds": round(time.monotonic() - began, 1),
        }

    def score(self, texts: dict[str, str], adapter: str = "current") -> float | None:
        """Bits per byte over all texts; None without any."""
        if not texts:
            return None
        files: list[str] = []
        for number, (path, text) in enumerate(texts.items()):
            file = self._texts / f"{number}{Path(path).suffix}"
            file.write_text(text)
            files.append(str(file))
        lines = self._ctl(
            "score", *files, "--adapter", adapter, "--project", "p", "--json"
        ).splitlines()
        scores = [json.loads(line) for line in lines]
        total = sum(score["bytes"] for score in scores)
        return sum(score["bits_per_byte"] * score["bytes"] for score in scores) / total

    def next_lines(self, lines: list[Place]) -> tuple[int, int, int]:
        """Places asked, lines that the base writes exactly, and those that what serves does."""
        asked = places(lines, _PLACES)
        base = exact(asked, MODEL_DIR, None)
        listed = json.loads(self._ctl("adapters", "--json"))
        version = next((each["version"] for each in listed if each["serving"]), None)
        if version is None:
            return len(asked), base, base
        folder = next(self._home.glob(f"adapters/*/{version}"))
        return len(asked), base, exact(asked, MODEL_DIR, folder)

    def _ctl(self, *arguments: str) -> str:
        environment = {**os.environ, "GARDENER_HOME": str(self._home)}
        return history.run(sys.executable, "-m", "gardenerctl", *arguments, env=environment)


def measure(
    repo: Path,
    commits: list[str],
    minutes: float,
    beside: Sequence[str] = (),
    tell: Callable[[dict[str, Any]], None] = lambda _night: None,
) -> dict[str, Any]:
    """Walk the commits; a night at each but the last."""
    nights: list[dict[str, Any]] = []
    weeks: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="gardener-nights-") as name, ExitStack() as running:
        folder = Path(name)
        past = history.History(repo, folder / "project")
        past.checkout(commits[0])
        garden = running.enter_context(Garden(folder / "main", past.root, "gardener", minutes))
        others = {
            loop: running.enter_context(Garden(folder / loop, past.root, loop, minutes))
            for loop in beside
        }
        old = past.old_code()
        old_base = garden.score(old, "base")
        best = old_base
        for number, (here, after) in enumerate(pairwise(commits)):
            if number:
                past.checkout(here)
                for each in (garden, *others.values()):
                    each.settle()
            ran = garden.night()
            week = past.added(here, after)
            weeks.append(week)
            asked, by_base, by_serving = garden.next_lines(past.added_places(here, after))
            now = garden.score(old)
            if best is None or (now is not None and now < best):
                best = now
            nights.append(
                {
                    "night": number + 1,
                    **ran,
                    "week_bytes": sum(len(text.encode()) for text in week.values()),
                    "base": garden.score(week, "base"),
                    "serving": garden.score(week),
                    "lines": asked,
                    "lines_base": by_base,
                    "lines_serving": by_serving,
                    "old_base": old_base,
                    "old": now,
                    "forgotten": now / best - 1 if now and best else 0.0,
                    "beside": {
                        loop: {**each.night(), "serving": each.score(week), "old": each.score(old)}
                        for loop, each in others.items()
                    },
                }
            )
            tell(nights[-1])
        wrong = _wrong(garden, nights, weeks)
    return {"nights": nights, **summary(nights), "wrong": wrong}


def summary(nights: list[dict[str, Any]]) -> dict[str, Any]:
    """Over all nights: the gain on next week's code, and the most that was ever forgotten."""
    weighed = [n for n in nights if n["base"] is not None]
    base = sum(n["base"] * n["week_bytes"] for n in weighed)

    def gain(scores: Callable[[dict[str, Any]], float]) -> float:
        return 1 - sum(scores(n) * n["week_bytes"] for n in weighed) / base if base else 0.0

    return {
        "gain": gain(lambda n: n["serving"]),
        "gain_beside": {
            loop: gain(lambda n, loop=loop: n["beside"][loop]["serving"])
            for loop in (nights[0]["beside"] if nights else ())
        },
        "lines": sum(n["lines"] for n in nights),
        "lines_base": sum(n["lines_base"] for n in nights),
        "lines_serving": sum(n["lines_serving"] for n in nights),
        "most_forgotten": max((n["forgotten"] for n in nights), default=0.0),
        "promoted": sum(n["outcome"] == "promoted" for n in nights),
        "longest_night_s": max((n["seconds"] for n in nights), default=0.0),
    }


def _wrong(
    garden: Garden, nights: list[dict[str, Any]], weeks: list[dict[str, str]]
) -> list[dict[str, Any]]:
    """Promotions that were worse, on all code written after them, than what they replaced."""
    found: list[dict[str, Any]] = []
    before = "base"
    for number, night in enumerate(nights):
        if night["outcome"] != "promoted":
            continue
        later = {
            f"{i:03}/{path}": text for i, w in enumerate(weeks[number:]) for path, text in w.items()
        }
        later = history.bounded(later, _JUDGED_BYTES)
        was, became = garden.score(later, before), garden.score(later, night["version"])
        if was is not None and became is not None and became > was:
            found.append({"version": night["version"], "before": was, "after": became})
        before = night["version"]
    return found


def _figure(value: float | None) -> str:
    return "   -  " if value is None else f"{value:.4f}"


def _tell(night: dict[str, Any]) -> None:
    beside = "".join(
        f"  {loop} {_figure(each['serving'])}, old {_figure(each['old'])}"
        for loop, each in night["beside"].items()
    )
    print(
        f"{night['night']:3}  {night['outcome']:11} {night['version'] or '':4} "
        f"next week {_figure(night['base'])} → {_figure(night['serving'])}  "
        f"old {_figure(night['old_base'])} → {_figure(night['old'])} "
        f"({night['forgotten']:+.1%} off its best){beside}  "
        f"lines {night['lines_base']} → {night['lines_serving']} of {night['lines']}  "
        f"{night['seconds']:.0f} s  {night['reason']}",
        flush=True,
    )


def _plot(nights: list[dict[str, Any]], file: Path) -> None:
    """Next week's code relative to the base, and old code relative to it, by night."""

    def relative(value: float | None, base: float | None) -> float | None:
        return None if value is None or base is None else 100 * (value / base - 1)

    lines = {
        "next week": [relative(n["serving"], n["base"]) for n in nights],
        "old code": [relative(n["old"], n["old_base"]) for n in nights],
    }
    for loop in nights[0]["beside"] if nights else ():
        lines[f"next week, {loop}"] = [
            relative(n["beside"][loop]["serving"], n["base"]) for n in nights
        ]
        lines[f"old code, {loop}"] = [
            relative(n["beside"][loop]["old"], n["old_base"]) for n in nights
        ]
    marks = [n["night"] for n in nights if n["outcome"] == "promoted"]
    file.write_text(plot.svg("bits per byte, % of the base's", lines, marks))


def main() -> None:
    parser = history.parser("nights", nights=20)
    parser.add_argument("--minutes", type=float, default=2.0, help="of training a night, at most")
    parser.add_argument("--beside", default="", help="no-replay, scratch: loops to compare with")
    parser.add_argument("--plot", type=Path, help="write a plot (SVG) to this file")
    arguments = parser.parse_args()
    beside = [name.strip() for name in arguments.beside.split(",") if name.strip()]
    if not set(beside) <= set(_LOOPS):
        parser.error(f"--beside takes {', '.join(list(_LOOPS)[1:])}")
    commits = history.commits(arguments.commits, arguments.repo)[: arguments.nights + 1]
    nights: list[dict[str, Any]] = []

    def tell(night: dict[str, Any]) -> None:
        _tell(night)
        nights.append(night)
        if arguments.json:  # so that a walk that is cut short leaves its figures
            arguments.json.write_text(json.dumps({"nights": nights}, indent=2))

    found = measure(arguments.repo, commits, arguments.minutes, beside, tell)
    print({key: value for key, value in found.items() if key != "nights"})
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))
    if arguments.plot:
        _plot(found["nights"], arguments.plot)


if __name__ == "__main__":
    main()
