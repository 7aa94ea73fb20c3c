"""Which lines of a search hit to quote for a question. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

# Lines quoted where none speaks of the question: how the code begins.
_GLANCE = 3
_SAYS_NOTHING = 0.2

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\d+")
_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_QUOTES = re.compile(r'"""|\'\'\'')
_COMMENT = re.compile(r"\s*(//|/\*|\*|#|--)")


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


def _stem(word: str) -> str:
    """Enough to make ``watering``, ``waters`` and ``water`` one term (``wat``)."""
    for ending in ("ization", "ation", "ings", "ing", "ies", "ers", "ed", "er", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return _stem(word[: -len(ending)])
    return word


def words(text: str) -> list[str]:
    """Stems of the words in a text, with identifiers split into their parts."""
    found: list[str] = []
    for word in WORD.findall(text):
        parts = [part.lower() for part in _PARTS.findall(word)]
        found += [_stem(part) for part in parts]
        if len(parts) > 1:
            found.append(word.lower())
    return found


def best_lines(hit: Hit, weights: dict[str, float], limit: int) -> tuple[Line, ...]:
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
    present = set(words(line))
    said = sum(weight for term, weight in weights.items() if term in present)
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
        Line(hit.start_line + i, printable(line.expandtabs(4)))
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


def printable(text: str) -> str:
    """Without control characters: what is quoted must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
