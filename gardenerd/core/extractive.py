"""An answer made of quotations, for a base model that cannot chat. Pure.

The hits of a search are ranked anew for the question, and of each the signature, the first
paragraph of its docstring and the lines that speak of the question are quoted.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_EXTRACTS = 4
MAX_LINES = 6
"""Lines of code quoted from one symbol."""
# Lines quoted where none speaks of the question: how the code begins.
_GLANCE = 3
_SAYS_NOTHING = 0.2
_SUMMARY_CHARACTERS = 320
_WIDTH = 96

CLOSING = (
    "Quoted from the code: the embedded model cannot chat. For written answers, set model.base in "
    "config.toml to the folder of a chat model."
)
NOTHING = "Nothing in the index matches this question."

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\d+")
_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_COMMON = """
a about all an and any are as at be by can class code could did do does doing file files find for
from function get give has have how i in into is it its made make me method module my of on or our
please should show so some tell that the their them then there these this to use used uses using
was way we what when where which who why will with work works would you your
"""
_STOP = frozenset(_COMMON.split())
_WHERE = re.compile(r"^\s*(where|which (file|module))\b", re.IGNORECASE)
_QUOTES = re.compile(r'"""|\'\'\'')
_COMMENT = re.compile(r"\s*(//|/\*|\*|#|--)")
_TESTS = re.compile(r"(^|/)(tests?|testing|examples?|docs?|bench\w*)(/|$)|(^|/)test_|_test\.")


class Hit(Protocol):
    """What is read of a search hit (:class:`gardenerd.workers.jobs.Hit` is one)."""

    @property
    def project(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def start_line(self) -> int: ...
    @property
    def end_line(self) -> int: ...
    @property
    def symbol(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def signature(self) -> str: ...
    @property
    def docstring(self) -> str: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    """In the file, from 1."""
    text: str


@dataclass(frozen=True, slots=True)
class Extract:
    symbol: str
    path: str
    start_line: int
    end_line: int
    signature: str
    summary: str
    """First paragraph of the docstring, on one line."""
    lines: tuple[Line, ...]
    """The lines of code that speak of the question, in order."""


@dataclass(frozen=True, slots=True)
class ExtractiveAnswer:
    extracts: tuple[Extract, ...]
    text: str


def answer(question: str, hits: Sequence[Hit]) -> ExtractiveAnswer:
    """Answer ``question`` from ``hits``, best first. The same input gives the same answer."""
    terms = _terms(question)
    weights = _weights(terms, hits)
    ranked = sorted(
        enumerate(hits),
        key=lambda each: (-_relevance(each[1], each[0], weights, question), each[0]),
    )
    chosen = _distinct(hit for _, hit in ranked)[:MAX_EXTRACTS]
    limit = 2 if _WHERE.match(question) else MAX_LINES
    extracts = tuple(_extract(hit, weights, limit) for hit in chosen)
    return ExtractiveAnswer(extracts, render(extracts))


def render(extracts: Sequence[Extract]) -> str:
    """Plain text for a terminal; ends by saying that it is quoted, and how to get more."""
    if not extracts:
        return NOTHING
    blocks = [_render_one(extract) for extract in extracts]
    return "\n\n".join([*blocks, textwrap.fill(CLOSING, _WIDTH)])


def _render_one(extract: Extract) -> str:
    place = f"{extract.path}:{extract.start_line}-{extract.end_line}"
    rows = [f"{extract.symbol}  {place}" if extract.symbol else place]
    if extract.signature:
        rows += textwrap.wrap(
            extract.signature, _WIDTH, initial_indent="    ", subsequent_indent="        "
        )
    if extract.summary:
        rows.append(
            textwrap.fill(extract.summary, _WIDTH, initial_indent="    ", subsequent_indent="    ")
        )
    width = len(str(max((line.number for line in extract.lines), default=0)))
    previous = None
    for line in extract.lines:
        if previous is not None and line.number > previous + 1:
            rows.append(f"    {'':>{width}}   ...")
        rows.append(f"    {line.number:>{width}} | {line.text}".rstrip())
        previous = line.number
    return "\n".join(rows)


def _stem(word: str) -> str:
    """Enough to make ``watering``, ``waters`` and ``water`` one term (``wat``)."""
    for ending in ("ization", "ation", "ings", "ing", "ies", "ers", "ed", "er", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return _stem(word[: -len(ending)])
    return word


def _words(text: str) -> list[str]:
    """Stems of the words in a text, with identifiers split into their parts."""
    found: list[str] = []
    for word in _WORD.findall(text):
        parts = [part.lower() for part in _PARTS.findall(word)]
        found += [_stem(part) for part in parts]
        if len(parts) > 1:
            found.append(word.lower())
    return found


def _terms(question: str) -> list[str]:
    """The stems that the question is about, each once, in order."""
    spoken = [word for word in _WORD.findall(question) if word.lower() not in _STOP]
    # A question of nothing but common words is still a question.
    return list(dict.fromkeys(_words(" ".join(spoken) or question)))


def _weights(terms: list[str], hits: Sequence[Hit]) -> dict[str, float]:
    """Rare terms among the hits tell more than those that stand in each of them."""
    bags = [set(_words(f"{hit.symbol} {hit.path} {hit.text}")) for hit in hits]
    return {
        term: math.log(1 + (1 + len(bags)) / (1 + sum(term in bag for bag in bags)))
        for term in terms
    }


def _relevance(hit: Hit, rank: int, weights: dict[str, float], question: str) -> float:
    total = sum(weights.values()) or 1.0
    name = set(_words(hit.symbol))
    heading = set(_words(f"{hit.signature} {hit.docstring[:400]} {hit.path}"))
    body = set(_words(hit.text))
    score = sum(
        weight * (1.0 * (term in name) + 0.6 * (term in heading) + 0.3 * (term in body))
        for term, weight in weights.items()
    )
    relevance = score / total + 1.2 / (1 + 0.5 * rank)
    last = re.split(r"[.:]", hit.symbol)[-1]
    if len(last) > 2 and re.search(rf"\b{re.escape(last)}\b", question):
        relevance += 0.8  # named in so many words
    if _TESTS.search(hit.path) and "test" not in weights:
        relevance -= 0.5  # how it is tried says less than how it is made
    return relevance


def _distinct(hits: Iterable[Hit]) -> list[Hit]:
    """Without hits that lie within one taken already."""
    taken: list[Hit] = []
    for hit in hits:
        if not any(
            other.project == hit.project
            and other.path == hit.path
            and other.start_line <= hit.end_line
            and hit.start_line <= other.end_line
            for other in taken
        ):
            taken.append(hit)
    return taken


def _extract(hit: Hit, weights: dict[str, float], limit: int) -> Extract:
    return Extract(
        symbol=hit.symbol,
        path=hit.path,
        start_line=hit.start_line,
        end_line=hit.end_line,
        signature=" ".join(_printable(hit.signature).split()),
        summary=_first_paragraph(hit.docstring),
        lines=_best_lines(hit, weights, limit),
    )


def _first_paragraph(docstring: str) -> str:
    paragraph = re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0]
    line = " ".join(_printable(paragraph).split())
    if len(line) <= _SUMMARY_CHARACTERS:
        return line
    return line[:_SUMMARY_CHARACTERS].rsplit(" ", 1)[0] + " ..."


def _best_lines(hit: Hit, weights: dict[str, float], limit: int) -> tuple[Line, ...]:
    """The window of ``limit`` lines of code that says most about the question."""
    code = _code_lines(hit)
    if not code:
        return ()
    scores = [_line_score(line.text, weights) for line in code]
    starts = range(max(1, len(code) - limit + 1))

    def worth(start: int) -> tuple[float, int]:
        # A quotation that opens with a closing bracket is a torn one. The earliest of equals wins:
        # what comes first in a function says what it is about.
        torn = 0.2 if code[start].text.lstrip()[0] in ")]}" else 0.0
        return sum(scores[start : start + limit]) - torn, -start

    best = max(starts, key=worth)
    if worth(best)[0] < _SAYS_NOTHING:
        best, limit = 0, min(limit, _GLANCE)
    window = code[best : best + limit]
    shared = min(len(line.text) - len(line.text.lstrip()) for line in window)
    return tuple(Line(line.number, line.text[shared:].rstrip()) for line in window)


def _line_score(line: str, weights: dict[str, float]) -> float:
    words = set(_words(line))
    said = sum(weight for term, weight in weights.items() if term in words)
    bare = line.strip()
    if bare.startswith(("#", "//", "import ", "from ")):
        said *= 0.5
    # Lines that decide or give back carry the meaning where no line names a term.
    return said + (0.05 if re.match(r"(return|yield|raise|if|for|with|while)\b", bare) else 0.0)


def _code_lines(hit: Hit) -> list[Line]:
    """Lines of the hit without blank ones, its signature and its docstring."""
    lines = hit.text.split("\n")
    skipped = _signature_lines(lines, hit.signature) | _docstring_lines(lines, hit.docstring)
    return [
        Line(hit.start_line + i, _printable(line.expandtabs(4)))
        for i, line in enumerate(lines)
        if line.strip() and i not in skipped
    ]


def _signature_lines(lines: list[str], signature: str) -> set[int]:
    """The lines that the signature stands on, with the decorators above it."""
    wanted = _bare(signature)
    if not wanted:
        return set()
    first = next(
        (i for i, line in enumerate(lines[:40]) if _bare(line) and _overlap(_bare(line), wanted)),
        None,
    )
    if first is None:
        return set()
    read = ""
    for last in range(first, min(len(lines), first + 60)):
        read += _bare(lines[last])
        # A long signature may have been cut: it goes on to where its brackets close.
        if len(read) >= len(wanted) and read.count("(") <= read.count(")"):
            return set(range(last + 1))
    return set(range(first + 1))


def _overlap(line: str, wanted: str) -> bool:
    return line.startswith(wanted) or wanted.startswith(line.rstrip(":{"))


def _bare(text: str) -> str:
    return "".join(text.split())


def _docstring_lines(lines: list[str], docstring: str) -> set[int]:
    """The lines that the docstring stands on, quotes included."""
    opening = next((" ".join(row.split()) for row in docstring.splitlines() if row.strip()), "")
    if not opening:
        return set()
    first = next((i for i, line in enumerate(lines) if opening in " ".join(line.split())), None)
    if first is None:
        return set()
    if not _QUOTES.search(lines[first]) and first > 0 and _QUOTES.search(lines[first - 1]):
        first -= 1
    quotes = _QUOTES.search(lines[first])
    if quotes is None:  # a comment above or within the code, as in Go or C
        said = {" ".join(row.split()) for row in docstring.splitlines() if row.strip()}
        return {
            i
            for i, line in enumerate(lines)
            if any(row in " ".join(line.split()) for row in said) and _COMMENT.match(line)
        }
    if quotes[0] in lines[first][quotes.end() :]:
        return {first}
    ends = (i for i in range(first + 1, len(lines)) if quotes[0] in lines[i])
    return set(range(first, next(ends, first) + 1))


def _printable(text: str) -> str:
    """Without control characters: what is quoted must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
