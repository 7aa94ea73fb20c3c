"""Cutting a text into chunks: definitions of code, sections of Markdown, windows of the rest.
A notebook's cells are cut one by one, each by its language.

The chunks of a source file do not overlap, and every line that holds a word is in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import msgspec

from gardenerd.index.definitions import Definition, definitions_of
from gardenerd.index.docstrings import clean_docstring
from gardenerd.index.languages import GRAMMARS, language_of
from gardenerd.index.notebook import Cell, cells_of
from gardenerd.index.prose import sections, windows

# A definition larger than this is cut; the pieces keep its symbol.
_MAX_LINES = 100
_MAX_CHARS = 6_000
_PIECE_LINES = 60
_PIECE_CHARS = 4_000

_WORD = re.compile(r"\w")


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a file. ``text`` is exactly its lines, 1-based and inclusive."""

    symbol: str
    kind: str
    start_line: int
    end_line: int
    text: str
    signature: str = ""
    docstring: str = ""


def chunk_text(path: str, text: str) -> list[Chunk]:
    """The chunks of one file, in order; none for a text without a word."""
    if not _WORD.search(text):
        return []
    lines = text.split("\n")
    language = language_of(path)
    if language == "notebook":
        return [chunk for cell in cells_of(lines) for chunk in _cell(lines, cell)]
    return list(_chunks(text, lines, language))


def _chunks(text: str, lines: list[str], language: str) -> Iterator[Chunk]:
    if language in GRAMMARS:
        yield from _code(text, lines, language)
        return
    for symbol, kind, first, last in sections(lines) if language == "markdown" else windows(lines):
        yield Chunk(symbol, kind, first + 1, last + 1, "\n".join(lines[first : last + 1]))


def _cell(lines: list[str], cell: Cell) -> Iterator[Chunk]:
    """What has no name of its own in a cell is named by its number."""
    own = lines[cell.first : cell.last + 1]
    while own and not own[-1]:
        own.pop()
    for chunk in _chunks("\n".join(own), own, cell.language):
        yield msgspec.structs.replace(
            chunk,
            symbol=chunk.symbol or f"cell {cell.number}",
            kind="cell" if chunk.kind == "module" else chunk.kind,
            start_line=chunk.start_line + cell.first,
            end_line=chunk.end_line + cell.first,
        )


def _code(text: str, lines: list[str], language: str) -> Iterator[Chunk]:
    definitions = definitions_of(text.encode(), language)
    owners = _owners(definitions, len(lines))
    seen: set[int] = set()
    for owner, run in groupby(enumerate(owners), key=itemgetter(1)):
        rows = [row for row, _ in run]
        span = _trim(lines, rows[0], rows[-1])
        if span is None:
            continue
        if owner < 0:
            doc = _module_docstring(lines, *span) if not seen and language == "python" else ""
            yield from _pieces(lines, *span, "", "module", "", doc)
        else:
            found = definitions[owner]
            doc = "" if owner in seen else found.docstring
            yield from _pieces(lines, *span, found.symbol, found.kind, found.signature, doc)
        seen.add(owner)


def _owners(definitions: list[Definition], count: int) -> list[int]:
    """For each row the number of the innermost definition on it, -1 for none.

    Two that share a row are not told apart: the row stays with the first.
    """
    owners = [-1] * count
    fixed = [False] * count
    for number, found in enumerate(definitions):
        last = min(found.last, count - 1)
        first = found.first
        while first <= last and fixed[first]:
            first += 1
        if first > last:
            continue
        owners[first : last + 1] = [number] * (last + 1 - first)
        if found.container:
            fixed[first] = True
        else:
            fixed[first : last + 1] = [True] * (last + 1 - first)
    return owners


def _trim(lines: list[str], first: int, last: int) -> tuple[int, int] | None:
    """The span without blank edges; None when no word is left, only brackets and the like."""
    while first <= last and not lines[first].strip():
        first += 1
    while last >= first and not lines[last].strip():
        last -= 1
    if any(_WORD.search(line) for line in lines[first : last + 1]):
        return first, last
    return None


def _pieces(
    lines: list[str], first: int, last: int, symbol: str, kind: str, signature: str, doc: str
) -> Iterator[Chunk]:
    text = "\n".join(lines[first : last + 1])
    if last - first < _MAX_LINES and len(text) <= _MAX_CHARS:
        yield Chunk(symbol, kind, first + 1, last + 1, text, signature, doc)
        return
    start, size = first, 0
    for row in range(first, last + 1):
        size += len(lines[row]) + 1
        full = row - start + 1 >= _PIECE_LINES or size >= _PIECE_CHARS
        if full or row == last:
            span = _trim(lines, start, row)
            if span is not None:
                body = "\n".join(lines[span[0] : span[1] + 1])
                yield Chunk(symbol, kind, span[0] + 1, span[1] + 1, body, signature, doc)
                doc = ""
            start, size = row + 1, 0


_MODULE_DOC = re.compile(r"(?:\s*#[^\n]*\n|\s*\n)*([rRuU]?(\"\"\"|''')[\s\S]*?\2)")


def _module_docstring(lines: list[str], first: int, last: int) -> str:
    found = _MODULE_DOC.match("\n".join(lines[first : min(last, first + 200) + 1]))
    return clean_docstring(found[1]) if found else ""
