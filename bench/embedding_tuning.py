"""What tuning the embedding brings to search: in the project it was tuned on, and in others.

    python -m bench.embedding_tuning REPO... [--commits N] [--json FILE]

REPO are git repositories with their history (bare ones will do); nothing is fetched. Each is taken
as it was before its newest N commits that say something and change one or two files of code. Their
messages are the questions, those files the answers: neither was there when the embedding was tuned.
The index, the pairs, the training, the gate, the change of vectors and ``search`` are those
of the product. Measured, by the packaged embedding and by those tuned on the project itself and
together on all the others (so never on it): the mean of 1 / the rank of the first right file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.history import History
from gardenerd.core import tuning
from gardenerd.core.holdout import held_out
from gardenerd.host.commits import added_code, without_names
from gardenerd.index.adopting import adopt, rows
from gardenerd.index.build import index_files
from gardenerd.index.embed import FOLDER, StaticEmbedder
from gardenerd.index.ranking import is_test
from gardenerd.index.search import search
from gardenerd.index.table import ChunkTable
from gardenerd.index.tuning import pairs
from gardenerd.index.tuning.run import CANDIDATE, run
from gardenerd.workers.jobs import GatherPairs, IndexFiles, PairsOf, SearchIndex
from gardenerd.workers.tune_jobs import TuneEmbedding

_COMMITS = 5_000
_CODE = re.compile(r"\.(py|go|ts|tsx|js|rs|java|c|cc|cpp|h)$")
_DULL = re.compile(r"(?i)bump|version|release|typo|lint|format|pre-commit|merge|revert|changelog")
_NOISE = re.compile(r"\(?#\d+\)?|https?://\S+|^\w+(\([^)]*\))?!?: |^\[[\w.]+\] |^Fixed *-- ", re.M)
_LEAST_WORDS = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """A commit as a question: what its author said, and the files that it changed."""

    message: str
    files: list[str]


class Trial:
    """One project as it was, indexed by the packaged embedding."""

    def __init__(self, repo: Path, commits: int, folder: Path) -> None:
        self.name = repo.parent.name if repo.name in ("repo", ".git") else repo.name
        self._folder = folder
        self._root = folder / "project"
        base, self.asked = _asked(repo, commits)
        History(repo.resolve(), self._root).checkout(base)
        self._paths = _git(self._root, "ls-files", "-z").split("\0")[:-1]
        self._packaged = StaticEmbedder(FOLDER)
        self._table = ChunkTable(
            folder / "index", self._packaged.fingerprint, self._packaged.dimensions
        )
        job = IndexFiles(project=self.name, root=str(self._root), paths=self._paths)
        index_files(self._table, self._packaged, job, _ignore, _go_on)

    def pairs(self) -> Path:
        """The pairs of this project, in a folder of their own."""
        target = self._folder / "tuned" / pairs.PAIRS
        target.parent.mkdir(exist_ok=True)
        given = PairsOf(
            project=self.name,
            held_out=sorted(held_out(self._paths)),
            added=asyncio.run(added_code(self._root, self._paths, _COMMITS)),
        )
        job = GatherPairs(projects=[given], target=str(target))
        pairs.gather(lambda project: rows(self._table, pairs.columns(), project), job)
        return target

    def ranks(self, model: Path | None) -> dict[str, list[float]]:
        """1 / rank of each question's first right file, by search and by the vector alone."""
        embedder, table = self._packaged, self._table
        if model is not None:
            embedder = StaticEmbedder(model)
            table = adopt(self._table, self._folder / "index", embedder, _go_on)
        by_search = [
            _reciprocal(each, self._searched(table, embedder, each)) for each in self.asked
        ]
        by_vector = [_reciprocal(each, _nearest(table, embedder, each)) for each in self.asked]
        if table is not self._table:
            shutil.rmtree(table.path)
        return {"search": by_search, "vector": by_vector}

    def _searched(self, table: ChunkTable, embedder: StaticEmbedder, each: Asked) -> list[str]:
        job = SearchIndex(query=each.message, k=50, projects=[self.name])
        return [hit.path for hit in search(table, embedder, job).hits]


def measure(repos: Sequence[Path], commits: int) -> dict[str, Any]:
    """Everything, by project, and over all questions of all projects."""
    with tempfile.TemporaryDirectory(prefix="gardener-tuning-") as name:
        trials: list[Trial] = []
        for number, repo in enumerate(repos):
            folder = Path(name) / str(number)
            folder.mkdir()
            trials.append(Trial(repo, commits, folder))
        files = {trial.name: trial.pairs() for trial in trials}
        found: dict[str, Any] = {}
        for trial in trials:
            own = files[trial.name].parent
            tuned = _tuned(own)
            others = Path(name) / "others"
            shutil.rmtree(others, ignore_errors=True)
            others.mkdir()
            rest = [path.read_bytes() for other, path in files.items() if other != trial.name]
            (others / pairs.PAIRS).write_bytes(b"".join(rest))
            unseen = _tuned(others) if rest else None
            found[trial.name] = {
                "questions": len(trial.asked),
                "gate": tuned,
                "gate of others": unseen,
                "packaged": trial.ranks(None),
                "own": trial.ranks(own / CANDIDATE),
                "others": trial.ranks(others / CANDIDATE) if unseen else None,
            }
            _print(trial.name, found[trial.name])
    _print_all(found)
    return found


def _tuned(folder: Path) -> dict[str, Any]:
    report = run(TuneEmbedding(folder=str(folder), incumbent=None))
    decision = tuning.decide(report)
    return {
        "outcome": decision.outcome,
        "reason": decision.reason,
        "pairs": report.pairs,
        "strength": report.strength,
        "general": report.general,
        "seconds": report.seconds,
    }


def _asked(repo: Path, wanted: int) -> tuple[str, list[Asked]]:
    """The commit before the newest questions, and those whose files were there already."""
    log = _git(
        repo, "log", "--no-merges", "-n", "4000", "--format=%x00%H%x01%B%x01", "--name-status"
    )
    commits: list[tuple[str, Asked]] = []
    for entry in log.split("\0")[1:]:
        commit, message, stat = entry.split("\x01")
        changes = [line.split("\t") for line in stat.strip().splitlines()]
        code = [c for c in changes if _CODE.search(c[-1]) and not is_test(c[-1])]
        message = _NOISE.sub("", without_names(message, ())).strip()
        subject = message.split("\n", 1)[0]
        told = len(subject.split()) >= _LEAST_WORDS and not _DULL.search(subject)
        if told and 1 <= len(code) <= 2 and all(change[0] == "M" for change in code):
            commits.append((commit, Asked(message, [change[-1] for change in code])))
        if len(commits) == wanted:
            break
    base = _git(repo, "rev-parse", f"{commits[-1][0]}^").strip()
    there = set(_git(repo, "ls-tree", "-r", "--name-only", "-z", base).split("\0"))
    return base, [asked for _, asked in commits if there.issuperset(asked.files)]


def _nearest(table: ChunkTable, embedder: StaticEmbedder, each: Asked) -> list[str]:
    vector = embedder.encode([each.message.split("\n", 1)[0]])[0].astype(np.float16)
    query = table.reader().search(vector, query_type="vector").distance_type("dot")
    found = query.select(["path", "_distance"]).limit(1_000).to_arrow()
    return found["path"].to_pylist()


def _reciprocal(each: Asked, paths: Sequence[str]) -> float:
    files = [path for path in dict.fromkeys(paths) if _CODE.search(path) and not is_test(path)]
    return max((1 / (1 + files.index(path)) for path in each.files if path in files), default=0.0)


def _print(name: str, found: dict[str, Any]) -> None:
    print(f"{name}: {found['questions']} questions; {found['gate']}", flush=True)
    for how in ("vector", "search"):
        figures = {
            which: f"{np.mean(found[which][how]):.3f}"
            for which in ("packaged", "own", "others")
            if found[which]
        }
        print(f"  {how}: {figures}", flush=True)


def _print_all(found: dict[str, Any]) -> None:
    for how in ("vector", "search"):
        for which in ("own", "others"):
            pools: list[Callable[[dict[str, Any]], bool]] = [
                lambda _each: True,
                lambda each, which=which: (
                    each["gate" if which == "own" else "gate of others"]["outcome"] == "promoted"
                ),
            ]
            for label, pool in zip(("all", "promoted"), pools, strict=True):
                chosen = [each for each in found.values() if each[which] and pool(each)]
                if not chosen:
                    continue
                before, after = (
                    np.array([rank for each in chosen for rank in each[key][how]])
                    for key in ("packaged", which)
                )
                change = after - before
                z = change.mean() / max(change.std() / math.sqrt(len(change)), 1e-12)
                first = [100 * float((ranks >= 0.1).mean()) for ranks in (before, after)]
                print(
                    f"{how}, tuned on {which}, {label} ({len(chosen)} projects, {len(change)} "
                    f"questions): {before.mean():.3f} to {after.mean():.3f} "
                    f"({change.mean():+.4f}, z {z:+.1f}); within ten {first[0]:.1f} to "
                    f"{first[1]:.1f} %"
                )


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, check=True, env=_LOCAL
    )
    return done.stdout.decode("utf-8", "surrogateescape")


_LOCAL = {"PATH": "/usr/bin:/bin:/usr/local/bin", "GIT_NO_LAZY_FETCH": "1"}


def _ignore(_update: object) -> None:
    pass


def _go_on() -> None:
    pass


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.embedding_tuning")
    parser.add_argument("repos", nargs="+", type=Path, metavar="REPO")
    parser.add_argument("--commits", type=int, default=120, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    found = measure(chosen.repos, chosen.commits)
    if chosen.json:
        chosen.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
