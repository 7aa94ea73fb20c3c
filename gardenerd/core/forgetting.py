"""What stems from a file that shall be forgotten, by its path, its lines and its words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

# Shorter ones stand in any code.
_LONG_LINE = 12
_SAME_SHARE = 0.5
_TELLING = re.compile(r"\w{6,}")


def within(path: str, place: str) -> bool:
    """Whether ``path`` is the file or folder ``place``, or lies in it."""
    return path == place or path.startswith(f"{place}/")


def telling(text: str) -> set[str]:
    """The words that are long enough to tell where a text comes from."""
    return set(_TELLING.findall(text))


def long_lines(text: str) -> set[str]:
    """The lines that are long enough to tell where a text comes from, without their indents."""
    return {line for each in text.splitlines() if len(line := each.strip()) >= _LONG_LINE}


def is_copy(text: str, lines: set[str]) -> bool:
    """Whether half of the long lines of ``text``, or more, are among ``lines``."""
    own = long_lines(text)
    return bool(own) and len(own & lines) >= _SAME_SHARE * len(own)


def without(report: dict[str, Any], place: str) -> dict[str, Any]:
    """A run's report without the names of the files and folders in ``place``."""
    kept = dict(report)
    if "scores" in kept:
        kept["scores"] = [each for each in kept["scores"] if not within(each["path"], place)]
    if found := kept.get("learned"):
        folders = [each for each in found["folders"] if not within(each[0], place)]
        kept["learned"] = {**found, "folders": folders}
    return kept


def named(line: str, names: Iterable[re.Pattern[str]]) -> bool:
    """Whether a line of a log has one of ``names``, as :func:`name_of` makes them."""
    return any(name.search(line) for name in names)


def name_of(path: str) -> re.Pattern[str]:
    """Finds ``path`` in a line, but not a longer name that ends or begins like it."""
    return re.compile(rf"(?<![\w.-]){re.escape(path)}(?![\w-]|\.\w)")
