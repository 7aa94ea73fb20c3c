"""A folder that transformers loads: the base with the adapter added to its weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gardenerd.export.lora import Lora
from gardenerd.export.tensors import TensorFile

# What belongs to a model beside its weights. Nothing that could run code is among it.
_BESIDE = ("*.json", "*.jinja", "*.txt", "*.md", "LICENSE*", "NOTICE*", "tokenizer.model")
# Ours, and it says how to train the base.
_NOT_THEIRS = "gardener.json"


def write_merged(
    base: Path,
    files: Sequence[TensorFile],
    lora: Lora | None,
    target: Path,
    step: Callable[[int], None],
) -> None:
    """Write the base's files anew, its shards in the same layout.

    Args:
        step: called after each tensor with its bytes; raises to break off.

    Raises:
        AdapterError: the adapter does not fit, or the sum cannot be stored.
    """
    for pattern in _BESIDE:
        for file in base.glob(pattern):
            if file.is_file() and file.name != _NOT_THEIRS:
                shutil.copyfile(file, target / file.name)
    for file in files:
        with (target / file.path.name).open("wb") as out:
            # Names, kinds and shapes stay as they are, and so does the whole head of the file.
            out.write(file.head)
            for name, entry in file.entries.items():
                tensor = file.read(name) if lora is None else lora.merged(file, name)
                np.ascontiguousarray(tensor).tofile(out)
                step(entry.nbytes)
