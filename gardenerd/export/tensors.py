"""Weights as they lie in safetensors files, one tensor at a time, without torch.

A model of gigabytes goes through the memory of one tensor: files are mapped, and bfloat16, which
numpy has not got, is kept as the 16 bits that it is.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gardenerd.errors import ModelError, RefusedError

Array = NDArray[Any]

_STORED: dict[str, type[np.generic]] = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}


class Entry(NamedTuple):
    dtype: str
    """``F32``, ``F16`` or ``BF16``."""
    shape: tuple[int, ...]
    start: int
    """Where its bytes begin in the file."""
    nbytes: int


class TensorFile:
    """A safetensors file, mapped.

    Raises:
        RefusedError: it holds numbers of another kind than 32 or 16 bit floating point.
        ModelError: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        damaged = ModelError(f"{path} is damaged", hint="copy the model again")
        try:
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                self.head = struct.pack("<Q", length) + file.read(length)
            found: dict[str, Any] = json.loads(self.head[8:])
        except (OSError, ValueError, struct.error) as error:
            raise damaged from error
        found.pop("__metadata__", None)
        self.entries: dict[str, Entry] = {}
        """In the order of their bytes."""
        for name, value in sorted(found.items(), key=lambda item: item[1]["data_offsets"]):
            if value["dtype"] not in _STORED:
                raise RefusedError(
                    f"{name} in {path} is stored as {value['dtype']}, which cannot be exported",
                    hint="export a base model in float32, float16 or bfloat16",
                )
            start, end = value["data_offsets"]
            at = len(self.head) + start
            self.entries[name] = Entry(value["dtype"], tuple(value["shape"]), at, end - start)

    def read(self, name: str) -> Array:
        """A tensor as it is stored; bfloat16 as its bits."""
        entry = self.entries[name]
        kind = _STORED[entry.dtype]
        return np.memmap(self.path, dtype=kind, mode="r", offset=entry.start, shape=entry.shape)


def floats(stored: Array, dtype: str) -> NDArray[np.float32]:
    """The numbers of a stored tensor in float32, which holds all of them."""
    if dtype == "BF16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)


def stored(numbers: NDArray[np.float32], dtype: str) -> Array:
    """Numbers as they are stored: rounded to the nearest, to even between two."""
    if dtype == "BF16":
        bits = numbers.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return numbers.astype(_STORED[dtype], copy=False)
