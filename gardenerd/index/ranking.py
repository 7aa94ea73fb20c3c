"""The order of search results: pure, given what full text and vectors found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gardenerd.index.identifiers import search_words, split_identifier, stem

# Cormack, Clarke, Büttcher 2009 (reciprocal rank fusion); tabby and others use the same.
_RRF_K = 60
# The first of a file's hits keep their place, later ones wait behind other files.
_HITS_OF_ONE_FILE = 2

# Factors on the fused score. Names that the query spells out say more than any statistics.
_SYMBOL_EXACT = 3.0
_SYMBOL_LAST = 2.2
_SYMBOL_WORDS = 1.5
_SYMBOL_PART = 1.3
_PATH_NAMED = 2.0
_STEM_NAMED = 1.35
_DEFINITION = 1.15
_TESTS = 0.6
_PROSE = 0.55
_DATA = 0.7

_CODE_KINDS = frozenset(
    {"function", "method", "class", "struct", "interface", "trait", "enum", "impl", "type", "macro"}
)
_TEST_PATH = re.compile(
    r"(?i)(^|/)(tests?|testing|specs?|__tests__|fixtures?)/|(^|/)test_|_test\.|\.test\.|\.spec\."
)
_TEST_QUERY = re.compile(r"(?i)\b(unit ?|py)?tests?\b|\btesting\b|\bfixtures?\b|\btest_\w+")
_PROSE_QUERY = re.compile(
    r"(?i)\b(docs?|documentation|readme|changelog|guide|tutorial|install\w*)\b"
)
_NAME = re.compile(r"[A-Za-z_][\w]*(?:(?:\.|::|#|->)[A-Za-z_]\w*)*")
_FILE_NAME = re.compile(r"[\w./\\-]*\w\.\w{1,8}\b")
_MAX_NAMES = 200


@dataclass(frozen=True, slots=True)
class Query:
    """What a query asks for, apart from its words."""

    text: str
    names: frozenset[str]
    """Identifiers as they stand in the query, in lower case, ``.`` between their parts."""
    words: frozenset[str]
    files: frozenset[str]
    tests: bool
    prose: bool
    short: bool

    @classmethod
    def of(cls, text: str) -> Query:
        short = len(text) <= 200
        found = [re.sub(r"::|#|->", ".", name) for name in _NAME.findall(text)][: 4 * _MAX_NAMES]
        names = {
            name.lower()
            for name in found
            # In prose only what cannot be a plain word counts as a name.
            if short or "_" in name or "." in name or any(c.isupper() for c in name[1:])
        }
        files = {name.replace("\\", "/").lower().lstrip("./") for name in _FILE_NAME.findall(text)}
        return cls(
            text=text,
            names=frozenset(sorted(names)[:_MAX_NAMES]),
            words=frozenset(search_words(text[:4_000]).split()),
            files=frozenset(sorted(files)[:_MAX_NAMES]),
            tests=bool(_TEST_QUERY.search(text)) and short,
            prose=bool(_PROSE_QUERY.search(text)) and short,
            short=short,
        )


@dataclass(slots=True)
class Candidate:
    """A row that one of the two searches found."""

    key: tuple[str, str, int, str]
    project: str
    path: str
    symbol: str
    kind: str
    language: str
    start_line: int
    ranks: list[int] = field(default_factory=list[int])
    """Its 0-based ranks in the lists that hold it."""
    row: dict[str, object] = field(default_factory=dict[str, object])


def rank(query: Query, candidates: Sequence[Candidate], k: int) -> list[tuple[Candidate, float]]:
    """The best ``k``, best first, with scores within (0, 1], descending."""
    scored = sorted(
        ((each, _score(query, each)) for each in candidates),
        key=lambda pair: (-pair[1], pair[0].key),
    )
    chosen = _spread(scored, k)
    if not chosen:
        return []
    # Two lists, both first, and no factor: a score of 1/2.
    unit = 4.0 / (_RRF_K + 1)
    result: list[tuple[Candidate, float]] = []
    last = 1.0
    for each, score in chosen:
        last = min(last, max(score / (score + unit) * 1.0, 1e-6))
        result.append((each, last))
    return result


def _score(query: Query, each: Candidate) -> float:
    score = sum(1.0 / (_RRF_K + 1 + place) for place in each.ranks)
    symbol = each.symbol.lower()
    last = symbol.rpartition(".")[2]
    if symbol and each.kind in _CODE_KINDS:
        score *= _DEFINITION
        parts = {stem(part) for part in split_identifier(each.symbol.rpartition(".")[2])}
        # One word of several may be meant as a word: "strip control codes" is not about Control.
        word = len(parts) == 1 and len(query.words) > 1
        if symbol in query.names:
            score *= _SYMBOL_WORDS if word and "." not in symbol else _SYMBOL_EXACT
        elif any(name.endswith("." + last) for name in query.names):
            score *= _SYMBOL_LAST
        elif last in query.names:
            score *= _SYMBOL_PART if word else _SYMBOL_LAST
        elif len(parts) > 1 and parts <= query.words:
            # The more of the query the name spells out, the surer it is meant.
            share = len(parts) / len(query.words)
            score *= _SYMBOL_WORDS + (_SYMBOL_EXACT - _SYMBOL_WORDS) * share
    path = each.path.lower()
    name = path.rpartition("/")[2]
    if any(path == file or path.endswith("/" + file) for file in query.files):
        score *= _PATH_NAMED
    elif stem(name.partition(".")[0]) in query.words and query.short:
        score *= _STEM_NAMED
    if not query.tests and _TEST_PATH.search(each.path):
        score *= _TESTS
    if each.kind in ("section", "window") and not query.prose:
        score *= _PROSE if each.kind == "section" else _DATA
    return score


def _spread(scored: list[tuple[Candidate, float]], k: int) -> list[tuple[Candidate, float]]:
    """At most some hits of one file, as long as other files have any."""
    taken: Counter[tuple[str, str]] = Counter()
    first: list[tuple[Candidate, float]] = []
    rest: list[tuple[Candidate, float]] = []
    for each, score in scored:
        file = (each.project, each.path)
        if taken[file] < _HITS_OF_ONE_FILE:
            taken[file] += 1
            first.append((each, score))
        else:
            rest.append((each, score))
    return (first + rest)[:k]
