"""How often a model writes the next line exactly as its author did."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gardenerd.models import adapters
from gardenerd.models.greedy import continued
from gardenerd.models.load import Base, load_base

_CONTEXT_CHARACTERS = 2_000
_MAX_TOKENS = 48
_LEAST = 8  # characters of a line, its indentation aside: less is a bracket or an `else`

Place = tuple[str, str]
"""The code above a line, with its last line break, and the line."""


def places(lines: Iterable[Place], count: int) -> list[Place]:
    """Up to ``count`` of the lines that say something, by the hash of their text."""
    found = [
        (above[-_CONTEXT_CHARACTERS:], line)
        for above, line in lines
        if len(line.strip()) >= _LEAST and above.strip()
    ]
    found.sort(key=lambda place: hashlib.blake2b("\0".join(place).encode()).digest())
    return found[:count]


def exact(asked: list[Place], folder: Path, adapter: Path | None) -> int:
    """How many lines the base in ``folder``, with the adapter if any, writes exactly."""
    base = load_base(folder)
    model: Any = base.model
    if adapter is not None:
        model = adapters.attach(base, adapter, name="asked")
        model.set_adapter("asked")
    return sum(_line(base, model, above) == line for above, line in asked)


def _line(base: Base, model: Any, above: str) -> str:
    """The first line that it writes and that is not blank, with its indentation."""

    def ended(tokens: list[int]) -> bool:
        return "\n" in base.tokenizer.decode(tokens).lstrip()

    # Without its last line break: with the indentation that follows it is one token, which the
    # model is to write; a bare break is seldom followed by more.
    tokens = continued(base, model, above.rstrip("\n"), _MAX_TOKENS, ended)
    before, *lines = base.tokenizer.decode(tokens, skip_special_tokens=True).split("\n")
    if before.strip():  # it went on with the line above
        return ""
    return next((line.rstrip() for line in lines if line.strip()), "")
