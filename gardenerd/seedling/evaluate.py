"""How well a model predicts code that it never saw, in bits per byte."""

from __future__ import annotations

import lzma
from pathlib import Path

from gardenerd.models.load import load_base
from gardenerd.models.nll import score
from gardenerd.seedling import corpus

_MAX_FILES = 20


def report(model: Path) -> dict[str, dict[str, float]]:
    """Bits per byte of each held-out package, beside what xz makes of the same bytes."""
    base = load_base(model)
    found: dict[str, dict[str, float]] = {}
    for package, files in corpus.held_out().items():
        texts = [file.text for file in files[:_MAX_FILES]]
        scores = score(base, texts)
        size = sum(len(text.encode()) for text in texts)
        packed = len(lzma.compress("".join(texts).encode(), preset=9))
        found[package] = {
            "files": len(texts),
            "bytes": size,
            "bits_per_byte": sum(s.bits_per_byte * s.bytes for s in scores)
            / sum(s.bytes for s in scores),
            "xz_bits_per_byte": 8 * packed / size,
        }
    return found
