"""How often a model writes the next line exactly as its author did."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from gardenerd.models import adapters
from gardenerd.models.greedy import continued
from gardenerd.models.load import Base, load_base

_CONTEXT_BYTES = 2_000
_MAX_TOKENS = 48
_LEAST = 8  # characters of a line, its indentation aside: less is a bracket or an `else`


def places(texts: dict[str, str], count: int) -> list[tuple[str, str]]:
    """Up to ``count`` pairs of the code above and the line below it, by the hash of their text."""
    found: list[tuple[str, str]] = []
    for text in texts.values():
        lines = text.splitlines(keepends=True)
        for number in range(1, len(lines)):
            if len(lines[number].strip()) >= _LEAST and lines[number - 1].strip():
                above = "".join(lines[:number]).encode()[-_CONTEXT_BYTES:]
                found.append((above.decode(errors="ignore"), lines[number].rstrip("\n")))
    found.sort(key=lambda place: hashlib.blake2b("\0".join(place).encode()).digest())
    return found[:count]


def exact(asked: list[tuple[str, str]], folder: Path, adapter: Path | None) -> int:
    """How many lines the base in ``folder``, with the adapter if any, writes exactly."""
    base = load_base(folder)
    model: Any = base.model
    if adapter is not None:
        model = adapters.attach(base, adapter, name="asked")
        model.set_adapter("asked")
    return sum(_line(base, model, above) == line for above, line in asked)


def _line(base: Base, model: Any, above: str) -> str:
    # Without its last line break: with the indentation that follows it is one token, which the
    # model is to write; a bare break is seldom followed by more.
    tokens = continued(base, model, above.removesuffix("\n"), _MAX_TOKENS)
    text = base.tokenizer.decode(tokens, skip_special_tokens=True)
    before, *lines = text.split("\n")
    return lines[0].rstrip() if lines and not before.strip() else ""
