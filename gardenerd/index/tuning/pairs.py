"""Pairs of a question and the code that answers it, from the rows of the index.

A docstring asks for its code, shown without it; the message of a commit asks for the chunks that
hold what it added; a question asks for the answer that somebody accepted. Rows are redacted
already, messages and answers are here.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from gardenerd.core.holdout import draw
from gardenerd.core.secrets import redact
from gardenerd.index.embedding.passage import passage
from gardenerd.index.ranking import is_test
from gardenerd.workers.tune_jobs import TuneEmbedding

Kind = Literal["docstring", "commit", "answer", ""]

_MAX_PAIRS = 12_000
"""Of a project and kind: more do not fit into a minute of training."""
_MAX_OTHERS = 3_000
_HELD_COMMITS, _MOST_HELD = 0.15, 300
"""Share of the commits that are held out, the newest; and how many at most."""
_MOST_CHUNKS = 3
"""Of a commit and file: those that hold most of what it added."""
_TELLING = 2
"""Chunks of a file that may hold a line which tells where it was added: ``return err`` does not."""
_LEAST_WORDS = 4
_MAX_QUESTION = 300
_LEAST_LINE = 8
"""Characters; shorter lines, such as ``else:``, are in every chunk."""
COLUMNS = ("path", "symbol", "kind", "language", "docstring", "text")
_word = re.compile(r"\w+")


class Pair(msgspec.Struct, kw_only=True, frozen=True):
    kind: Kind
    """Empty: code that nothing asks for, to be told apart from answers when measuring."""
    file: str
    key: str
    """Pairs of one key have one question."""
    question: str
    passage: str
    """As the index embeds it; of docstrings without the docstring."""
    held_out: bool


def gather(batches: Iterable[Any], given: TuneEmbedding) -> list[Pair]:
    """The pairs of a project; first those that ask for something.

    Args:
        batches: its rows, with at least `COLUMNS`.
    """
    held_out = set(given.held_out)
    commits = _Commits(given)
    documented: list[Pair] = []
    others: list[Pair] = []
    for batch in batches:
        for row in batch.to_pylist():
            if row["kind"] == "section" or is_test(row["path"]):
                continue
            whole = passage(row["symbol"], row["text"], row["docstring"])
            question = _question(row["docstring"].split("\n\n", 1)[0])
            file = row["path"]
            if row["symbol"] and question:
                bare = without_docstring(row["text"], row["docstring"])
                documented.append(
                    Pair(
                        kind="docstring",
                        key=_digest(row["path"], row["symbol"], question),
                        question=question,
                        passage=passage(row["symbol"], bare),
                        file=file,
                        held_out=file in held_out,
                    )
                )
            else:
                others.append(
                    Pair(kind="", file=file, key="", question="", passage=whole, held_out=True)
                )
            commits.take(row["path"], row["text"], whole)
    asked_for = commits.pairs(held_out)
    known = {pair.passage for pair in asked_for}
    others = [pair for pair in others if pair.passage not in known]
    answers = [
        Pair(
            kind="answer",
            file="",
            key=_digest(asked, text),
            question=_question(redact(asked)[0]),
            passage=passage("", redact(text)[0]),
            held_out=False,
        )
        for asked, text in given.answers
        if _question(asked)
    ]
    return [
        *_some(documented, _MAX_PAIRS),
        *_some(asked_for, _MAX_PAIRS),
        *answers,
        *_some(others, _MAX_OTHERS),
    ]


class _Commits:
    """Which chunks hold what each commit added."""

    def __init__(self, given: TuneEmbedding) -> None:
        self._added: dict[str, list[tuple[str, set[str], set[str]]]] = defaultdict(list)
        """By file the question, the lines that were added, and the heads above them."""
        self._wanted: dict[str, set[str]] = defaultdict(set)
        self._order: dict[str, int] = {}
        for added in given.added:
            question = _question(redact(added.message)[0].split("\n", 1)[0])
            lines, heads = _told([*added.runs, added.near]), _told([added.heads])
            if question and (lines or heads) and not is_test(added.path):
                self._order.setdefault(question, len(self._order))
                self._added[added.path].append((question, lines, heads))
                self._wanted[added.path] |= lines | heads
        self._chunks: dict[str, list[tuple[str, set[str]]]] = defaultdict(list)

    def take(self, path: str, text: str, whole: str) -> None:
        """Keep of one chunk what may have been added."""
        if path in self._wanted:
            here = {line.strip() for line in text.split("\n")} & self._wanted[path]
            self._chunks[path].append((whole, here))

    def pairs(self, held_out: set[str]) -> list[Pair]:
        """Of the newest commits held out; of the others none whose code is in a file held out."""
        found = {
            (question, path): chunks
            for path, added in self._added.items()
            for question, chunks in self._of_file(path, added)
        }
        newest = sorted({question for question, _ in found}, key=self._order.__getitem__)
        fresh = set(newest[: min(_MOST_HELD, round(_HELD_COMMITS * len(newest)))])
        return [
            Pair(
                kind="commit",
                file=path,
                key=_digest(question),
                question=question,
                passage=whole,
                held_out=question in fresh,
            )
            for (question, path), chunks in found.items()
            if question in fresh or path not in held_out
            for whole in chunks
        ]

    def _of_file(
        self, path: str, added: list[tuple[str, set[str], set[str]]]
    ) -> Iterator[tuple[str, list[str]]]:
        """Each question with the chunks that hold most of its lines; else those of its heads."""
        chunks = self._chunks.get(path, [])
        often = Counter(line for _, here in chunks for line in here)
        telling = [
            (whole, {line for line in here if often[line] <= _TELLING}) for whole, here in chunks
        ]
        for question, lines, heads in added:
            for said in (lines, heads):
                scored = [(len(said & here), whole) for whole, here in telling if said & here]
                if scored:
                    yield question, [w for _, w in sorted(scored, reverse=True)][:_MOST_CHUNKS]
                    break


def digest_of(pairs: Sequence[Pair]) -> str:
    """SHA-256 of all of them."""
    lines = sorted(msgspec.json.encode(pair) for pair in pairs)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def _told(runs: list[list[str]]) -> set[str]:
    lines = {line.strip() for run in runs for line in run}
    return {line for line in lines if len(line) >= _LEAST_LINE}


def without_docstring(text: str, docstring: str) -> str:
    """The lines of a chunk that its docstring does not hold, in any language."""
    said = {" ".join(_word.findall(line)) for line in docstring.split("\n")} - {""}
    lines = text.split("\n")
    return "\n".join(line for line in lines if " ".join(_word.findall(line)) not in said)


def _question(text: str) -> str:
    """On one line; empty if it says too little."""
    line = " ".join(text.split())[:_MAX_QUESTION]
    return line if len(_word.findall(line)) >= _LEAST_WORDS else ""


def _some(pairs: list[Pair], most: int) -> list[Pair]:
    """At most so many, always the same ones; what is held out stays."""
    if len(pairs) <= most:
        return pairs
    return sorted(pairs, key=lambda pair: (not pair.held_out, draw(pair.key + pair.file)))[:most]


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()
