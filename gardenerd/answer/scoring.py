"""Bits per byte of files on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gardenerd.errors import NotFoundError, RefusedError
from gardenerd.models.load import Base
from gardenerd.models.nll import score
from gardenerd.workers.jobs import FileScore

_MAX_BYTES = 5_000_000


def score_files(base: Base, paths: Sequence[str], *, check: Callable[[], None]) -> list[FileScore]:
    """Score each file with the model as it is switched now.

    Args:
        check: called between batches; raises to break off.

    Raises:
        RefusedError: a file cannot be read, is empty, or is not UTF-8 text.
    """
    texts = [read_text(Path(path)) for path in paths]
    scores = score(base, texts, check=lambda _done, _total: check())
    return [
        FileScore(path=path, bytes=each.bytes, bits_per_byte=each.bits_per_byte)
        for path, each in zip(paths, scores, strict=True)
    ]


def read_text(path: Path) -> str:
    """The text of a file that is to be scored; errors name it and what to do."""
    try:
        if path.is_dir():
            raise RefusedError(f"{path} is a folder", hint="name the files in it to score them")
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise RefusedError(
                f"{path} is too large to score: {size:,} bytes",
                hint=f"score files of up to {_MAX_BYTES:,} bytes",
            )
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}", hint="check the path") from error
    except OSError as error:
        raise RefusedError(
            f"cannot read {path}: {error.strerror}", hint="check its permissions"
        ) from error
    if not data:
        raise RefusedError(f"{path} is empty", hint="only files with text in them have a score")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(
            f"{path} is not UTF-8 text (byte {error.start})", hint="only text files have a score"
        ) from error
    if "\0" in text:
        raise RefusedError(f"{path} is a binary file", hint="only text files have a score")
    return text
