"""Does a search for what a commit says find the files that it changed?

    python -m bench.locate REPOSITORY [--commits N] [--seed N]

Commits of the last 2,500 are drawn that changed one or two files of code and say so in a few words.
Each is asked for in the tree before it, by its message without issue numbers, links and trailers,
with the history that ends before it and without any. Of the hits those that are code and no tests
count; ``at`` says in how many percent of the commits all files are among the first k.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.history import History, run
from bench.indexed_tree import PROJECT, IndexedTree
from gardenerd.index.embed import load_embedder
from gardenerd.index.generation import subjects_file
from gardenerd.index.history import read_subjects
from gardenerd.index.ranking import is_test
from gardenerd.index.search import search
from gardenerd.workers.jobs import ReadSubjects, SearchIndex

COMMITS = 60
_LOOKED_AT = 2_500
_HITS = 50
_AT = (1, 3, 5, 10)
_LEAST_WORDS = 5

_CODE = re.compile(r"\.(py|go|tsx?|jsx?|rs|java|c|h|cpp|hpp)$")
_TRAILER = re.compile(r"(?i)^(signed-off|co-authored|reviewed|closes|fixes|fixed|see) ?(-by|#)?")
_NUMBERS = re.compile(r"\(#\d+\)|#\d+|https?://\S+")
_TYPE = re.compile(r"^(\w+)(\([^)]*\))?!?: ")
_DULL = re.compile(r"(?i)bump|version|release|typo|lint|format|pre-commit")


@dataclass(frozen=True, slots=True)
class Asked:
    """A commit as a question."""

    before: str
    query: str
    files: list[str]


def questions(root: Path, count: int, seed: int) -> list[Asked]:
    """Commits of the repository ``root``, drawn at random, oldest first."""
    log = run(
        *("git", "-C", str(root), "log", "--no-merges", f"--max-count={_LOOKED_AT}", "-z"),
        *("--no-renames", "--name-status", "--format=%x01%P%x02%B%x03"),
    )
    found = [asked for entry in log.split("\1")[1:] for asked in _asked(entry)]
    drawn = set(random.Random(seed).sample(range(len(found)), min(count, len(found))))
    return [asked for at, asked in enumerate(found) if at in drawn][::-1]


def _asked(entry: str) -> Iterator[Asked]:
    parents, rest = entry.split("\2", 1)
    message, changes = rest.rsplit("\3", 1)
    fields = [field.strip() for field in changes.split("\0") if field.strip()]
    status = dict(zip(fields[1::2], fields[::2], strict=True))
    files = [path for path in status if _CODE.search(path) and not is_test(path)]
    query = _query(message)
    title = query.split("\n", 1)[0]
    telling = len(title.split()) >= _LEAST_WORDS and not _DULL.search(title)
    if parents and telling and len(files) in (1, 2) and {status[path] for path in files} == {"M"}:
        yield Asked(parents, query, files)


def _query(message: str) -> str:
    lines = [line for line in message.strip().splitlines() if not _TRAILER.match(line)]
    return _TYPE.sub("", _NUMBERS.sub("", "\n".join(lines))).strip()


def follow(tree: IndexedTree, commit: str) -> None:
    """``commit`` is checked out: the index has its files, and what was said until then."""
    tree.follow()
    read_subjects(
        ReadSubjects(
            project=PROJECT,
            root=str(tree.root),
            commit=commit,
            left_out=[],
            target=str(subjects_file(tree.folder, PROJECT, commit, [])),
        )
    )


def ranks_of(tree: IndexedTree, asked: Asked, *, history: bool) -> list[int | None]:
    """At which place each file of the commit is found, from 1."""
    snapshot = tree.reader.latest()
    assert snapshot is not None
    if not history:
        snapshot = replace(snapshot, subjects={})
    hits = search(snapshot, tree.embedder, SearchIndex(query=asked.query, k=_HITS)).hits
    paths = list(dict.fromkeys(hit.path for hit in hits))
    code = [path for path in paths if _CODE.search(path) and not is_test(path)]
    return [code.index(path) + 1 if path in code else None for path in asked.files]


def measure(repository: Path, commits: int = COMMITS, seed: int = 0) -> dict[str, Any]:
    """Ask for the commits; a repository, bare ones too, is only read."""
    ranks: dict[bool, list[list[int | None]]] = {True: [], False: []}
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        root = (Path(folder) / "tree").resolve()
        history = History(repository, root)
        tree = IndexedTree(Path(folder) / "index", root, load_embedder())
        for asked in questions(root, commits, seed):
            history.checkout(asked.before)
            follow(tree, asked.before)
            for with_history, found in ranks.items():
                found.append(ranks_of(tree, asked, history=with_history))
    return {
        "repository": repository.name,
        "commits": len(ranks[True]),
        "with history": _summary(ranks[True]),
        "without": _summary(ranks[False]),
    }


def _summary(ranks: list[list[int | None]]) -> dict[str, Any]:
    def share(k: int) -> float:
        return 100 * statistics.fmean(all(at and at <= k for at in each) for each in ranks)

    best = [min((at for at in each if at), default=None) for each in ranks]
    return {
        "at": {k: round(share(k), 1) for k in _AT},
        "mrr": round(statistics.fmean(1 / at if at else 0.0 for at in best), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.locate")
    parser.add_argument("repository", type=Path)
    parser.add_argument("--commits", type=int, default=COMMITS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(json.dumps(measure(given.repository, given.commits, given.seed), indent=2))


if __name__ == "__main__":
    main()
