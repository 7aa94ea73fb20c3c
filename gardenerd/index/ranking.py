"""The order of search results: pure, given what full text and vectors found.

A chunk's score is a sum of evidence, each kind scaled by the best of its kind in this search, so
that one number for its weight serves short queries and long ones. Of two kinds that say the same
neither is needed; each of these was found to add something (docs/retrieval.md).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from gardenerd.index.identifiers import search_words
from gardenerd.index.query import Query, like_code

Aspect = Literal["title", "words", "vector"]
"""What was searched for: the title's words, the most telling ones of all; by vectors the title."""

# The first of a file's hits keep their place, later ones wait behind other files.
_HITS_OF_ONE_FILE = 2
# A file is about what its best chunks together are about.
_CHUNKS_OF_A_FILE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each kind of evidence counts, where the best of its kind has 1."""

    title: float = 1.0
    words: float = 1.0
    vector: float = 1.0
    file_title: float = 1.0
    """The same of the file: the sum of its best chunks."""
    file_words: float = 1.0
    defines: float = 0.6
    """It defines what the query names."""
    member: float = 0.6
    """... and the query names its class too, as in ``Class.method``."""
    file_named: float = 1.0
    """Its file is named in the query, in a stack trace perhaps; without a folder half of that."""
    path: float = 1.0
    """Its path shares the title's words."""
    subjects: float = 1.0
    """Commits that touched its file said what the query says."""

    def of_chunks(self, query: Query) -> Mapping[Aspect, float]:
        if query.short:  # the title is all there is, and stands for what a long one has besides
            return {"title": 2 * self.title, "vector": 1.5 * self.vector}
        return {"title": self.title, "words": self.words, "vector": self.vector}

    def of_files(self, query: Query) -> Mapping[Aspect, float]:
        if query.short:
            return {"title": self.file_title}
        return {"title": self.file_title, "words": self.file_words}

    def of_subjects(self, query: Query) -> float:
        return 1.5 * self.subjects if query.short else self.subjects


WEIGHTS: Final = Weights()

# One who types a name into a search box wants what bears it.
_SHORT_NAMES = 4.0

# What a plain word says of a name that is spelled so, and a name in other letters' case.
_PLAIN = 0.4
_OTHER_CASE = 0.5

# Factors on the sum.
_TESTS = 0.6
_PROSE = 0.55
_DATA = 0.7

_TEST_PATH = re.compile(
    r"(?i)(^|/)(tests?|testing|specs?|__tests__|fixtures?)/|(^|/)test_|_test\.|\.test\.|\.spec\."
)


def is_test(path: str) -> bool:
    """Whether a path, with ``/`` between its parts, is that of a test or of what tests use."""
    return _TEST_PATH.search(path) is not None


@dataclass(slots=True)
class Candidate:
    """A chunk that one of the searches found."""

    key: int
    project: str
    path: str
    symbol: str
    kind: str
    start_line: int
    scores: dict[Aspect, float] = field(default_factory=dict[Aspect, float])
    """What the searches that found it gave it: more is better, more than 0."""
    subjects: float = 0.0
    """How much the subjects of commits tell of its file."""
    file: tuple[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.file = (self.project, self.path)


def rank(
    query: Query, candidates: Sequence[Candidate], k: int, weights: Weights = WEIGHTS
) -> list[tuple[Candidate, float]]:
    """The best ``k``, best first, with scores within (0, 1], descending."""
    totals = _found(query, candidates, weights)
    names = _Names(query, candidates, weights)
    files = _Files(query, candidates, weights)
    scored: list[tuple[Candidate, float]] = []
    for each, total in zip(candidates, totals, strict=True):
        score = total + names.score(each) + files.score(each)
        scored.append((each, score * files.factor(each) * _factor(query, each)))
    scored.sort(key=lambda pair: (-pair[1], pair[0].file, pair[0].start_line))
    result: list[tuple[Candidate, float]] = []
    last = 1.0
    for each, score in _spread(scored, k):
        last = min(last, max(score / (1 + score), 1e-6))
        result.append((each, last))
    return result


def _found(query: Query, candidates: Sequence[Candidate], weights: Weights) -> list[float]:
    """By candidate: what the searches say of it, and of its file."""
    kinds = [
        (weight, [each.scores.get(aspect, 0.0) for each in candidates])
        for aspect, weight in weights.of_chunks(query).items()
    ]
    for aspect, weight in weights.of_files(query).items():
        sums = _file_sums(aspect, candidates)
        kinds.append((weight, [sums.get(each.file, 0.0) for each in candidates]))
    kinds.append((weights.of_subjects(query), [each.subjects for each in candidates]))
    totals = [0.0] * len(candidates)
    for weight, values in kinds:
        best = max(values, default=0.0)
        if best > 0:
            totals = [
                total + weight * value / best for total, value in zip(totals, values, strict=True)
            ]
    return totals


def _file_sums(aspect: Aspect, candidates: Sequence[Candidate]) -> dict[tuple[str, str], float]:
    by_file: dict[tuple[str, str], list[float]] = defaultdict(list)
    for each in candidates:
        if aspect in each.scores:
            by_file[each.file].append(each.scores[aspect])
    return {
        file: sum(sorted(scores, reverse=True)[:_CHUNKS_OF_A_FILE])
        for file, scores in by_file.items()
    }


class _Names:
    """Definitions of what the query names."""

    def __init__(self, query: Query, candidates: Sequence[Candidate], weights: Weights) -> None:
        self._weights = weights
        self._names = query.names
        self._lowered = {name.lower() for name in query.names}
        self._alone = query.short and len(query.title_words) == 1
        self._short = query.short
        self._defined = Counter(
            name
            for name, _ in {
                (_last(each.symbol).lower(), (each.file, each.symbol)) for each in candidates
            }
        )

    def score(self, each: Candidate) -> float:
        if not each.symbol or each.kind == "section":
            return 0.0
        last = _last(each.symbol)
        sure = self._sureness(last)
        if not sure:
            return 0.0
        score = self._weights.defines * sure / (1 + math.log(self._defined[last.lower()]))
        if "." in each.symbol and (each.symbol.lower() in self._lowered or self._member(each)):
            score += self._weights.member
        elif self._short and each.symbol.lower() in self._lowered:
            score += self._weights.member * sure
        return score * (_SHORT_NAMES if self._short else 1.0)

    def _sureness(self, last: str) -> float:
        if last in self._names:
            return 1.0 if self._alone or like_code(last) or not last.islower() else _PLAIN
        if last.lower() in self._lowered:
            return _OTHER_CASE if self._alone or like_code(last) else _OTHER_CASE * _PLAIN
        return 0.0

    def _member(self, each: Candidate) -> bool:
        return ".".join(each.symbol.lower().split(".")[-2:]) in self._lowered


class _Files:
    """Files that the query names, by path or by their words."""

    def __init__(self, query: Query, candidates: Sequence[Candidate], weights: Weights) -> None:
        paths = {each.file for each in candidates}
        self._tests = set[tuple[str, str]]()
        if not query.tests:
            self._tests = {file for file in paths if is_test(file[1])}
        self._title = frozenset(query.title_words)
        self._scores: dict[tuple[str, str], float] = {}
        by_name: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for file in paths:
            by_name[file[1].lower().rpartition("/")[2]].append(file)
        named: dict[tuple[str, str], float] = {}
        for asked in query.files:
            found, parts = _closest(asked, by_name)
            for file in found:
                value = parts / (parts + 1) / len(found)
                named[file] = max(named.get(file, 0.0), value)
        for file in paths:
            self._scores[file] = weights.file_named * named.get(
                file, 0.0
            ) + weights.path * self._overlap(file[1])

    def score(self, each: Candidate) -> float:
        return self._scores[each.file]

    def factor(self, each: Candidate) -> float:
        return _TESTS if each.file in self._tests else 1.0

    def _overlap(self, path: str) -> float:
        """How much of the file's own name the title spells out, and of its folder's."""
        words = set(search_words(path.rpartition(".")[0]).split())
        if not words or not self._title:
            return 0.0
        return len(words & self._title) / math.sqrt(len(words) * len(self._title))


def _closest(
    asked: str, by_name: Mapping[str, list[tuple[str, str]]]
) -> tuple[list[tuple[str, str]], int]:
    """The files that share the most parts with the end of a path, and how many they share."""
    wanted = asked.split("/")[::-1]
    found: list[tuple[str, str]] = []
    most = 0
    for file in by_name.get(wanted[0], ()):
        parts = 0
        for mine, its in zip(wanted, file[1].lower().split("/")[::-1], strict=False):
            if mine != its:
                break
            parts += 1
        if parts > most:
            found, most = [file], parts
        elif parts == most:
            found.append(file)
    return found, most


def _factor(query: Query, each: Candidate) -> float:
    if each.kind in ("section", "window") and not query.prose:
        return _PROSE if each.kind == "section" else _DATA
    return 1.0


def _last(symbol: str) -> str:
    return symbol.rpartition(".")[2]


def _spread(scored: list[tuple[Candidate, float]], k: int) -> list[tuple[Candidate, float]]:
    """At most some hits of one file, as long as other files have any."""
    taken: Counter[tuple[str, str]] = Counter()
    first: list[tuple[Candidate, float]] = []
    rest: list[tuple[Candidate, float]] = []
    for each, score in scored:
        if taken[each.file] < _HITS_OF_ONE_FILE:
            taken[each.file] += 1
            first.append((each, score))
        else:
            rest.append((each, score))
    return (first + rest)[:k]
