"""Jupyter notebooks as text: what people wrote in their cells, on the lines where it stands.

A notebook is JSON in which each line of a cell is a string on a line of its own. The script made
of it has as many lines as the file: those of the cells as they read, a mark before each cell, and
empty ones for everything else, the outputs above all. So a citation by line numbers can be looked
up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from json import JSONDecodeError, JSONDecoder

SUFFIX = ".ipynb"

_SPACE = re.compile(r"[\s,:]*")
_OTHER = re.compile(r"[^\s,:\[\]{}\"]+")
_MARK = re.compile(r"# %% cell (\d+) ([\w+#-]+)$")
_MAX_DEPTH = 100
_decoder = JSONDecoder()


class NotebookError(ValueError):
    """It cannot be read; the text says why, as a reason to leave it out."""


@dataclass(slots=True)
class _Cell:
    kind: str = ""
    lines: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """Row in the file, and what is written there."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Rows of a cell's own lines in a script, 0-based and inclusive."""

    number: int
    """From 1, as the cells follow each other."""
    language: str
    """That of the kernel, or ``markdown`` or ``raw``."""
    first: int
    last: int


def as_script(text: str) -> str:
    """The cells of a notebook; its line numbers are those of ``text``.

    Raises:
        NotebookError: it is no notebook, or its lines are not those of its cells.
    """
    cells: dict[str, _Cell] = {}
    language = "python"
    try:
        for keys, value, row in _strings(text):
            place, rest = _within_cell(keys)
            match rest:
                case ("cell_type",):
                    cells.setdefault(place, _Cell()).kind = value
                case ("source" | "input", *_):
                    cells.setdefault(place, _Cell()).lines.append((row, value))
                case ("metadata", "language_info", "name") if not place:
                    language = re.sub(r"[^\w+#-]+", "-", value.lower()) or language
                case _:
                    continue
    except JSONDecodeError as error:
        raise NotebookError("a notebook that is no JSON") from error
    lines = [""] * (text.count("\n") + 1)
    for number, cell in enumerate(cells.values(), 1):
        _put(lines, number, cell, language)
    return "\n".join(lines)


def cells_of(lines: Sequence[str]) -> Iterator[Cell]:
    """The cells of a script that :func:`as_script` made."""
    marks = [(row, found) for row, line in enumerate(lines) if (found := _MARK.fullmatch(line))]
    ends = [row for row, _ in marks[1:]] + [len(lines)]
    for (row, found), end in zip(marks, ends, strict=True):
        yield Cell(int(found[1]), found[2], row + 1, end - 1)


def _within_cell(keys: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Which cell the keys lead into, empty for none, and what leads on from there."""
    # Notebooks of before 2014 have worksheets around their cells.
    start = 2 if keys[:1] == ("worksheets",) else 0
    if keys[start : start + 1] != ("cells",):
        return "", keys
    return "/".join(keys[: start + 2]), keys[start + 2 :]


def _put(lines: list[str], number: int, cell: _Cell, language: str) -> None:
    written = [(row, line.removesuffix("\n")) for row, line in cell.lines]
    if not any(line.strip() for _, line in written):
        return
    mark = written[0][0] - 1
    free = mark >= 0 and not lines[mark] and len({row for row, _ in written}) == len(written)
    if not free or any("\n" in line or lines[row] for row, line in written):
        raise NotebookError("a notebook whose cells share lines: written without line breaks")
    lines[mark] = f"# %% cell {number} {language if cell.kind == 'code' else cell.kind or 'raw'}"
    for row, line in written:
        lines[row] = line


def _strings(text: str) -> Iterator[tuple[tuple[str, ...], str, int]]:
    """Every string value of a JSON text: keys and numbers that lead to it, itself, and its row."""
    above: list[str | int] = []
    objects: list[bool] = []
    key: str | None = None
    at, row, counted = 0, 0, 0

    def advance() -> None:
        """Past one value of the container around."""
        nonlocal key
        key = None
        if objects and not objects[-1]:
            number = above[-1]
            assert isinstance(number, int)
            above[-1] = number + 1

    while (at := _skip(text, at)) < len(text):
        char = text[at]
        if char in "{[":
            if len(objects) >= _MAX_DEPTH:
                raise NotebookError("a notebook that is nested too deeply")
            if objects and objects[-1]:
                above[-1] = key or ""
            objects.append(char == "{")
            above.append("" if char == "{" else 0)
            key = None
            at += 1
        elif char in "}]":
            if not objects or objects.pop() != (char == "}"):
                raise NotebookError("a notebook that is no JSON")
            above.pop()
            advance()
            at += 1
        elif char == '"':
            value, end = _decoder.raw_decode(text, at)
            if objects and objects[-1] and key is None:
                key = value
            else:
                row += text.count("\n", counted, at)
                counted = at
                keys = [str(part) for part in above]
                if objects and objects[-1]:
                    keys[-1] = key or ""
                yield tuple(keys), value, row
                advance()
            at = end
        else:
            found = _OTHER.match(text, at)
            at = found.end() if found else at + 1
            advance()
    if objects:
        raise NotebookError("a notebook that ends in the middle")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()
