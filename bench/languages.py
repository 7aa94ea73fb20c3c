"""Questions in other languages than English, over code that is written in English.

    python -m bench.languages REPOSITORY... [--half look|held|all] [--json]

``bench/questions.json`` holds subjects of commits of celery (BSD-3-Clause), hono (MIT) and restic
(BSD-2-Clause) that are plain prose, what they changed, and translations, written as a developer
would ask, before there was a glossary. Each is asked on the tree before its commit: in English,
translated as if there was no glossary, and translated as it is. Repositories are bare clones whose
folder or the one above it is named ``owner+name``. What changed is code, and no tests.

Every second commit is of the half ``held``, which nothing was chosen by.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from bench.history import History
from bench.indexed_tree import IndexedTree
from gardenerd.index import query
from gardenerd.index.embed import load_embedder
from gardenerd.index.search import search
from gardenerd.workers.jobs import SearchIndex

QUESTIONS = Path(__file__).with_name("questions.json")
LANGUAGES = ("de", "es", "fr", "it", "pt", "ru", "ja", "zh")
_CODE = re.compile(r"\.(py|go|ts|tsx|js)$")
_TEST = re.compile(r"(?i)(^|/)(tests?|testing|testdata|fixtures?)/|(^|/)test_|_test\.|\.test\.")
_K = 50

Ranks = tuple[int | None, int | None]
"""Of the first and of the last changed file among the files found, from 1; None: not found."""


def questions(half: str) -> list[dict[str, Any]]:
    """Those of a half, or ``all``; in the order of each repository's history."""
    found = json.loads(QUESTIONS.read_text(encoding="utf-8"))
    return found if half == "all" else found[half == "held" :: 2]


def measure(repositories: list[Path], half: str) -> list[dict[str, Any]]:
    """One entry for each question and language: the ranks of what is searched for."""
    found: list[dict[str, Any]] = []
    for repository in repositories:
        name = str(repository.resolve()).replace("+", "/")
        asked = [each for each in questions(half) if each["repo"] in name]
        found += _asked(repository, asked)
    return found


def _asked(repository: Path, asked: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    embedder = load_embedder()
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        root, index = (Path(folder) / "tree").resolve(), Path(folder) / "index"
        history = History(repository, root)
        tree = IndexedTree(index, root, embedder)
        for each in asked:
            history.checkout(each["before"])
            tree.follow()

            def ranks(text: str, files: list[str] = each["files"]) -> Ranks:
                hits = search(tree.reader.latest(), embedder, SearchIndex(query=text, k=_K)).hits
                paths = dict.fromkeys(hit.path for hit in hits)
                code = [path for path in paths if _CODE.search(path) and not _TEST.search(path)]
                places = [code.index(file) + 1 if file in code else None for file in files]
                known = [place for place in places if place is not None]
                return min(known, default=None), max(known) if None not in places else None

            english = ranks(each["en"])
            for language in LANGUAGES:
                if language not in each:
                    continue
                with mock.patch.object(query, "glossary_for", lambda _: None):
                    was = ranks(each[language])
                now = ranks(each[language])
                named = {"commit": each["commit"], "language": language}
                yield named | {"english": english, "was": was, "now": now}


def summary(found: list[dict[str, Any]], which: str) -> dict[str, float]:
    """Mean reciprocal rank of the first changed file; share of questions whose changed files are
    all among the first 1, 5, 10."""
    firsts = [1 / each[which][0] if each[which][0] else 0.0 for each in found]
    result = {"mrr": sum(firsts) / len(found)}
    for k in (1, 5, 10):
        result[f"@{k}"] = sum((each[which][1] or math.inf) <= k for each in found) / len(found)
    return result


def gain(found: list[dict[str, Any]]) -> tuple[float, float]:
    """Of the mean reciprocal rank, by the glossary; and the half-width of its 95 % interval.

    Translations of one commit are not independent: the commits are what is counted.
    """
    by_commit: dict[str, list[float]] = defaultdict(list)
    for each in found:
        was, now = (1 / each[which][0] if each[which][0] else 0.0 for which in ("was", "now"))
        by_commit[each["commit"]].append(now - was)
    total = sum(map(len, by_commit.values()))
    mean = sum(map(sum, by_commit.values())) / total
    spread = sum(sum(value - mean for value in each) ** 2 for each in by_commit.values())
    return mean, 1.96 * math.sqrt(spread) / total


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.languages")
    parser.add_argument("repositories", type=Path, nargs="+")
    parser.add_argument("--half", choices=["look", "held", "all"], default="all")
    parser.add_argument("--json", type=Path, help="write the ranks to this file")
    arguments = parser.parse_args()
    found = measure(arguments.repositories, arguments.half)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))
    groups = {language: [e for e in found if e["language"] == language] for language in LANGUAGES}
    for name, group in (groups | {"all": found}).items():
        if not group:
            continue
        print(f"{name:4}{len(group):4} questions")
        for which in ("english", "was", "now"):
            figures = "  ".join(f"{k} {v:.3f}" for k, v in summary(group, which).items())
            print(f"    {which:8} {figures}")
        print("    gain     {:+.3f} ± {:.3f}".format(*gain(group)))


if __name__ == "__main__":
    main()
