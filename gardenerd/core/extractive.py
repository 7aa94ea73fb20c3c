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

from gardenerd.core.passages import WORD, Hit, Line, best_lines, printable, words

MAX_EXTRACTS = 4
MAX_LINES = 6
"""Lines of code quoted from one symbol."""
_SUMMARY_CHARACTERS = 320
_WIDTH = 96

CLOSING = (
    "Quoted from the code: the model in use cannot chat. For written answers, set model.base in "
    "config.toml to the folder of a chat model."
)
NOTHING = "Nothing in the index matches this question."

_COMMON = """
a about all an and any are as at be by can class code could did do does doing file files find for
from function get give has have how i in into is it its made make me method module my of on or our
please should show so some tell that the their them then there these this to use used uses using
was way we what when where which who why will with work works would you your
"""
_STOP = frozenset(_COMMON.split())
_WHERE = re.compile(r"^\s*(where|which (file|module))\b", re.IGNORECASE)
_TESTS = re.compile(r"(^|/)(tests?|testing|examples?|docs?|bench\w*)(/|$)|(^|/)test_|_test\.")


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


def _terms(question: str) -> list[str]:
    """The stems that the question is about, each once, in order."""
    spoken = [word for word in WORD.findall(question) if word.lower() not in _STOP]
    # A question of nothing but common words is still a question.
    return list(dict.fromkeys(words(" ".join(spoken) or question)))


def _weights(terms: list[str], hits: Sequence[Hit]) -> dict[str, float]:
    """Rare terms among the hits tell more than those that stand in each of them."""
    bags = [set(words(f"{hit.symbol} {hit.path} {hit.text}")) for hit in hits]
    return {
        term: math.log(1 + (1 + len(bags)) / (1 + sum(term in bag for bag in bags)))
        for term in terms
    }


def _relevance(hit: Hit, rank: int, weights: dict[str, float], question: str) -> float:
    total = sum(weights.values()) or 1.0
    name = set(words(hit.symbol))
    heading = set(words(f"{hit.signature} {hit.docstring[:400]} {hit.path}"))
    body = set(words(hit.text))
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
        signature=" ".join(printable(hit.signature).split()),
        summary=_first_paragraph(hit.docstring),
        lines=best_lines(hit, weights, limit),
    )


def _first_paragraph(docstring: str) -> str:
    paragraph = re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0]
    line = " ".join(printable(paragraph).split())
    if len(line) <= _SUMMARY_CHARACTERS:
        return line
    return line[:_SUMMARY_CHARACTERS].rsplit(" ", 1)[0] + " ..."
