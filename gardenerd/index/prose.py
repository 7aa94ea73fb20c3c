"""Spans of text that is not code: sections by heading, or windows of lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[str, str, int, int]
"""Symbol, kind, first and last row, 0-based and inclusive."""

_WINDOW_LINES = 60
_OVERLAP_LINES = 10
_WINDOW_CHARS = 5_000
_MAX_SECTION_LINES = 120

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*$")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_WORD = re.compile(r"\w")


def sections(lines: list[str]) -> list[Span]:
    """Markdown by heading; the symbol is the path of headings, ``Install > Linux``."""
    found: list[Span] = []
    path: list[tuple[int, str]] = []
    start, fence = 0, ""
    for row, line in enumerate(lines):
        mark = _FENCE.match(line)
        if mark:
            if not fence:
                fence = mark[1][:3]
            elif mark[1].startswith(fence):
                fence = ""
            continue
        heading = None if fence else _HEADING.match(line)
        if heading is None:
            continue
        found.extend(_section(lines, path, start, row - 1))
        level = len(heading[1])
        path = [entry for entry in path if entry[0] < level]
        path.append((level, heading[2][:80]))
        start = row
    found.extend(_section(lines, path, start, len(lines) - 1))
    return found


def _section(
    lines: list[str], path: list[tuple[int, str]], first: int, last: int
) -> Iterator[Span]:
    symbol = " > ".join(title for _, title in path)
    if last - first < _MAX_SECTION_LINES:
        spans = windows(lines, first, last, size=_MAX_SECTION_LINES)
    else:
        spans = windows(lines, first, last)
    for _, _, start, end in spans:
        yield symbol, "section", start, end


def windows(
    lines: list[str], first: int = 0, last: int | None = None, *, size: int = _WINDOW_LINES
) -> list[Span]:
    """Overlapping windows; one without a word is left out."""
    end = len(lines) - 1 if last is None else last
    found: list[Span] = []
    start = first
    while start <= end:
        row, chars = start, 0
        while row <= end and row - start < size and (chars < _WINDOW_CHARS or row == start):
            chars += len(lines[row]) + 1
            row += 1
        begin, stop = start, row - 1
        while begin <= stop and not lines[begin].strip():
            begin += 1
        while stop >= begin and not lines[stop].strip():
            stop -= 1
        if any(_WORD.search(line) for line in lines[begin : stop + 1]):
            found.append(("", "window", begin, stop))
        if row > end:
            break
        start = max(row - _OVERLAP_LINES, start + 1)
    return found
