"""Which table the index holds. The supervisor reads this file; it imports nothing heavy."""

from __future__ import annotations

import uuid
from pathlib import Path

from gardenerd import durable

FORMAT = 3
"""Rises when the same files would give other rows: other columns, words, chunks, or other vectors
under the same name. An index of another format is made anew."""

_NAME = "generation"


def read_generation(index_dir: Path) -> str | None:
    """The name of the table now in ``index_dir``; None when there is none yet.

    It changes when the table was lost and made anew: then every file must be indexed again.
    """
    try:
        text = (index_dir / _NAME).read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    return text or None


def new_generation(index_dir: Path) -> str:
    """Write a name never used before, durably, and return it."""
    name = uuid.uuid4().hex
    durable.write_file(index_dir / _NAME, name.encode("ascii"))
    return name
