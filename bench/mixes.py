"""What a night should learn from, and go on from: new code alone, some replay, or from scratch?

    python -m bench.mixes REPO COMMITS [--nights N] [--steps N] [--json FILE]

REPO and COMMITS as for ``bench.nights``. The same weeks are learned night by night with each mix,
by the same number of steps; every night goes on from the one before. There is no daemon and no gate
here: each mix shows what it does by itself. Measured after each night, in bits per byte relative to
the base: the code that the *next* week adds, old held-out code as it stood in the first week, and
general code. The first night is the same for all of them.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench import history
from bench.learner import Learner, Mix, Week
from gardenerd.core.holdout import held_out
from gardenerd.core.quality import rejection
from gardenerd.index.reading import harvest
from gardenerd.store.examples import example_id
from gardenerd.workers.jobs import Harvest, Harvested
from gardenerd.workers.train_jobs import Example

MIXES = (
    Mix("new only", 0.0),
    Mix("10 % replay", 0.1),
    Mix("25 % replay", 0.25),
    Mix("50 % replay", 0.5),
    Mix("..., any of it", 0.5, telling_share=0.0),
    Mix("..., what rests", 0.5, resting=True),
    Mix("from scratch", 0.5, anew=True),
    Mix("merged, anew", 0.5, merged=True),
)


def weeks_of(repo: Path, commits: Sequence[str]) -> tuple[list[Week], dict[str, str]]:
    """What each night finds, and old held-out code as it stands at the first."""
    weeks: list[Week] = []
    with tempfile.TemporaryDirectory(prefix="gardener-mixes-") as name:
        past = history.History(repo, Path(name) / "project")
        old: dict[str, str] = {}
        for number, (here, after) in enumerate(pairwise(commits)):
            past.checkout(here)
            paths = past.files() if not number else past.changed(commits[number - 1], here)
            if not number:
                old = past.old_code()
            learned = sorted(set(paths) - held_out(past.files()))
            weeks.append(
                Week(
                    _harvested(past.root, learned),
                    set(learned),
                    past.churning(here),
                    past.added(here, after),
                )
            )
    return weeks, old


def _harvested(root: Path, paths: list[str]) -> list[Example]:
    found: list[Example] = []

    def collect(part: Harvested) -> None:
        found.extend(
            Example(
                id=example_id("", chunk.path, chunk.text),
                path=chunk.path,
                kind=chunk.kind,
                language=chunk.language,
                text=chunk.text,
            )
            for chunk in part.chunks
            if rejection(chunk.text) is None
        )

    harvest(Harvest(root=str(root), paths=paths), collect, lambda: None)
    return found


def measure(repo: Path, commits: Sequence[str], steps: int) -> dict[str, Any]:
    """By mix, what was measured after each night."""
    warnings.simplefilter("ignore", FutureWarning)
    weeks, old = weeks_of(repo, commits)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="gardener-mixes-") as name:
        folder = Path(name)
        learner = Learner(MIXES[0], folder / "first", old, steps)
        first = learner.night(0, weeks[0])
        print(f"{'first night':18}   1  {_words(first)}", flush=True)
        for mix in MIXES:
            goes_on = learner.with_mix(mix, folder / mix.name)
            found[mix.name] = [first]
            for number, week in enumerate(weeks[1:], 1):
                found[mix.name].append(goes_on.night(number, week))
                print(f"{mix.name:18} {number + 1:3}  {_words(found[mix.name][-1])}", flush=True)
    return {"mixes": found, "mean": {name: _mean(nights) for name, nights in found.items()}}


def _mean(nights: Sequence[dict[str, float]]) -> dict[str, float]:
    """Over the nights after the first, which is the same for all; and where they ended."""
    later = nights[1:]
    mean = {f"{name}, mean": sum(n[name] for n in later) / len(later) for name in ("next", "old")}
    return mean | {"old, last": later[-1]["old"], "general, last": later[-1]["general"]}


def _words(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:+.2%}" for name, value in figures.items())


def main() -> None:
    parser = history.parser("mixes", nights=6)
    parser.add_argument("--steps", type=int, default=120, help="of a night; the first has thrice")
    arguments = parser.parse_args()
    commits = history.commits(arguments.commits, arguments.repo)[: arguments.nights + 1]
    found = measure(arguments.repo, commits, arguments.steps)
    for name, mean in found["mean"].items():
        print(f"{name:18}      {_words(mean)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
