"""What the daemon froze for a run: files with one JSON object a line."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from gardenerd.errors import StorageError, TrainingError

T = TypeVar("T")


def read_lines(file: Path, kind: type[T]) -> list[T]:
    """The objects of ``file``.

    Raises:
        StorageError: it cannot be read.
        TrainingError: it is damaged.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise StorageError(
            f"cannot read {file}: {error.strerror}", hint="start a new run with `gardenerctl train`"
        ) from error
    try:
        return msgspec.json.Decoder(kind).decode_lines(data)
    except msgspec.DecodeError as error:
        raise TrainingError(
            f"{file} is damaged: {error}", hint="start a new run with `gardenerctl train`"
        ) from error
