"""What tuning the embedding brings to search: in the project it was tuned on, and in others.

    python -m bench.embedding_tuning REPO... [--commits N] [--json FILE]

REPO are git repositories with their history (bare ones will do); nothing is fetched. Each is taken
as it was before its newest N commits that say something and change one or two files of code. Their
messages are the questions, those files the answers: neither was there when the embedding was tuned.
The index, the pairs, the training, the gate and ``search`` are those of the product. Measured, by
the packaged embedding, by rows tuned on the project itself, and by those of the next one of REPO
(so never on it): the mean of 1 / the rank of the first right file. What the gate refuses is
measured as if it served.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.history import History
from bench.history import run as program
from gardenerd.core import tuning
from gardenerd.core.holdout import held_out
from gardenerd.host.commits import added_code, without_names
from gardenerd.index.build import index_files
from gardenerd.index.embed import FOLDER, StaticEmbedder
from gardenerd.index.embedding.tuned import TunedRows, load
from gardenerd.index.queries import EncodeQuery
from gardenerd.index.ranking import is_test
from gardenerd.index.reader import TableReader
from gardenerd.index.search import search
from gardenerd.index.table import ChunkTable
from gardenerd.index.tuning.run import run
from gardenerd.workers.jobs import IndexFiles, SearchIndex
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
    """One project as it was, indexed by the packaged embedding, and the rows tuned on it."""

    def __init__(self, repo: Path, commits: int, folder: Path) -> None:
        self.name = repo.parent.name if repo.name in ("repo", ".git") else repo.name
        self._packaged = StaticEmbedder(FOLDER)
        root, index = folder / "project", folder / "index"
        base, self.asked = _asked(repo, commits)
        History(repo.resolve(), root).checkout(base)
        paths = _git(root, "ls-files", "-z").split("\0")[:-1]
        size = self._packaged.dimensions
        table = ChunkTable(index, self._packaged.fingerprint, size)
        job = IndexFiles(project=self.name, root=str(root), paths=paths)
        index_files(table, self._packaged, job, _ignore, _go_on)
        self._reader = TableReader(index, self._packaged.fingerprint, size)
        tune = TuneEmbedding(
            index=str(index),
            project=self.name,
            held_out=sorted(held_out(paths)),
            added=asyncio.run(added_code(root, paths, _COMMITS)),
            target=str(folder / "rows"),
        )
        shutil.rmtree(root)
        report = run(tune)
        self.rows = load(folder / "rows", report.fingerprint, self._packaged.fingerprint, size)
        decision = tuning.decide(report)
        self.gate = {
            "outcome": decision.outcome,
            "reason": decision.reason,
            "pairs": report.pairs,
            "pieces": report.pieces,
            "strength": report.strength,
            "seconds": round(report.seconds, 1),
        }

    def ranks(self, rows: TunedRows | None) -> dict[str, list[float]]:
        """1 / rank of each question's first right file, by search and by the vector alone."""
        encode = self._encode if rows is None else partial(self._packaged.encode_query, tuned=rows)
        by_search: list[float] = []
        by_vector: list[float] = []
        for each in self.asked:
            job = SearchIndex(query=each.message, k=50, projects=[self.name])
            hits = search(self._reader.latest(), self._packaged, job, {self.name: encode}).hits
            by_search.append(_reciprocal(each, [hit.path for hit in hits]))
            by_vector.append(_reciprocal(each, self._nearest(encode, each)))
        return {"search": by_search, "vector": by_vector}

    def _encode(self, text: str) -> NDArray[np.float32]:
        return self._packaged.encode([text])[0]

    def _nearest(self, encode: EncodeQuery, each: Asked) -> list[str]:
        snapshot = self._reader.latest()
        if snapshot is None:
            return []
        vector = encode(each.message.split("\n", 1)[0])
        ids, _ = snapshot.mirror.nearest(snapshot.table, vector, 1_000, None)
        paths = {row.key: row.path for row in snapshot.mirror.rows(ids.tolist())}
        return [paths[key] for key in ids.tolist()]


def measure(repos: Sequence[Path], commits: int) -> dict[str, Any]:
    """Everything, by project, and over all questions of all projects."""
    with tempfile.TemporaryDirectory(prefix="gardener-tuning-") as name:
        trials: list[Trial] = []
        for number, repo in enumerate(repos):
            folder = Path(name) / str(number)
            folder.mkdir()
            trials.append(Trial(repo, commits, folder))
        found: dict[str, Any] = {}
        for trial, other in zip(trials, [*trials[1:], trials[0]], strict=True):
            found[trial.name] = {
                "questions": len(trial.asked),
                "gate": trial.gate,
                "packaged": trial.ranks(None),
                "own": trial.ranks(trial.rows),
                "other": trial.ranks(other.rows) if other is not trial else None,
            }
            _print(trial.name, found[trial.name])
    _print_all(found)
    return found


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


def _reciprocal(each: Asked, paths: Sequence[str]) -> float:
    files = [path for path in dict.fromkeys(paths) if _CODE.search(path) and not is_test(path)]
    return max((1 / (1 + files.index(path)) for path in each.files if path in files), default=0.0)


def _print(name: str, found: dict[str, Any]) -> None:
    print(f"{name}: {found['questions']} questions; {found['gate']}", flush=True)
    for how in ("vector", "search"):
        figures = {
            which: f"{np.mean(found[which][how]):.3f}"
            for which in ("packaged", "own", "other")
            if found[which]
        }
        print(f"  {how}: {figures}", flush=True)


def _print_all(found: dict[str, Any]) -> None:
    for how in ("vector", "search"):
        for which, outcome in (("own", None), ("own", "promoted"), ("other", None)):
            chosen = [
                each
                for each in found.values()
                if each[which] and outcome in (None, each["gate"]["outcome"])
            ]
            if chosen:
                print(
                    f"{how}, rows tuned on {which}, {outcome or 'all'}: {_told(chosen, which, how)}"
                )


def _told(chosen: Sequence[dict[str, Any]], which: str, how: str) -> str:
    before, after = (
        np.array([rank for each in chosen for rank in each[key][how]])
        for key in ("packaged", which)
    )
    change = after - before
    z = change.mean() / max(change.std() / math.sqrt(len(change)), 1e-12)
    first = [100 * float((ranks >= 0.1).mean()) for ranks in (before, after)]
    return (
        f"{len(chosen)} projects, {len(change)} questions: {before.mean():.3f} to "
        f"{after.mean():.3f} ({change.mean():+.4f}, z {z:+.1f}); within ten {first[0]:.1f} to "
        f"{first[1]:.1f} %"
    )


def _git(folder: Path, *arguments: str) -> str:
    return program("git", "-C", str(folder), *arguments, env=_LOCAL)


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
