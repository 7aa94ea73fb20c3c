"""What reaches the user's screen: one JSON document, or aligned plain text.

rich takes longer to import than a whole command may take, so that only moving pictures (progress,
``watch``, ``try``) use it, and only on a terminal.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from gardenerd.errors import GardenerError
from gardenerd.wire.messages import SCHEMA

# Terminal control sequences: CSI, OSC (title, clipboard, links) and the two-byte ones.
_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
# What is left of C0 but tab and newline, DEL, C1, and the marks that reorder text (Trojan Source).
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def clean(text: str) -> str:
    """``text`` from a repository or a model, without anything that could drive a terminal."""
    return _CONTROLS.sub("", _SEQUENCES.sub("", text))


class Console:
    """Where one command writes; ``as_json`` decides between documents and text."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self.colour = self.terminal and not os.environ.get("NO_COLOR")

    # --- for scripts --------------------------------------------------------------------------

    def document(self, body: Any) -> None:
        """Print one JSON document; its schema version goes on it, or on each of its elements."""
        text = msgspec.json.format(msgspec.json.encode(_with_schema(body)), indent=2)
        sys.stdout.write(text.decode() + "\n")

    def object_line(self, body: dict[str, Any]) -> None:
        """Print one JSON object on a line of its own, at once."""
        sys.stdout.write(msgspec.json.encode(_with_schema(body)).decode() + "\n")
        sys.stdout.flush()

    # --- for people ---------------------------------------------------------------------------

    def line(self, text: str = "") -> None:
        sys.stdout.write(text + "\n")

    def write(self, text: str) -> None:
        """Print a piece of a longer text at once."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def style(self, text: str, *names: str) -> str:
        if not self.colour or not names or not text:
            return text
        return f"\x1b[{';'.join(_STYLES[name] for name in names)}m{text}\x1b[0m"

    def note(self, text: str) -> None:
        """Something to know that is not part of the answer: to stderr."""
        sys.stdout.flush()
        sys.stderr.write(text + "\n")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> None:
        """Print aligned columns; ``right`` holds an ``r`` for each column of numbers."""
        widths = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]
        for number, row in enumerate((header, *rows)):
            cells = [
                cell.rjust(width) if right[at : at + 1] == "r" else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            text = "  ".join(cells).rstrip()
            self.line("  " + (self.style(text, "dim") if number == 0 else text))

    def error(self, error: GardenerError) -> None:
        """Print why a command failed and what to do, to stderr."""
        sys.stdout.flush()
        if self.as_json:
            body = {"code": error.code, "message": error.message, "hint": error.hint}
            sys.stderr.write(msgspec.json.encode({"schema": SCHEMA, **body}).decode() + "\n")
            return
        sys.stderr.write(f"error: {clean(error.message)}\n")
        if error.hint:
            sys.stderr.write(f"hint: {clean(error.hint)}\n")


def _with_schema(body: Any) -> Any:
    if isinstance(body, dict):
        return {"schema": SCHEMA, **body}
    if isinstance(body, list):
        return [_with_schema(element) for element in body]
    return body


def size(count: float | None) -> str:
    """Bytes for people: ``31 MB``."""
    if count is None:
        return "-"
    for unit in ("B", "kB", "MB"):
        if count < 1_000:
            return f"{count:.0f} {unit}"
        count /= 1_000
    return f"{count:.1f} GB"


def span(seconds: float | None) -> str:
    """Seconds for people: ``4.2 s``, ``3 min``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def moment(seconds: float | None) -> str:
    """A time since the epoch on the local clock: ``2026-11-20 22:41``."""
    import time

    if not seconds:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def plural(count: int, word: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def shorten(path: str, width: int) -> str:
    """A path in at most ``width`` characters, its end kept."""
    return path if len(path) <= width else "…" + path[-(width - 1) :]
