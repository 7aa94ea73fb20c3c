"""Reading a file once: what it is, why it is left out, and its text with secrets masked."""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gardenerd.core.secrets import redact
from gardenerd.index import notebook

_SNIFF_BYTES = 8_192
_TRIES = 3
# Longer lines are data or minified code; so is a file whose mean line is long, prose aside,
# where a line is a paragraph.
_MAX_LINE = 10_000
_MAX_MEAN_LINE = 500
_PROSE = frozenset({".md", ".markdown", ".mdx", ".rst", ".txt", ".adoc", ".org", ".tex"})


_WESTERN = "gardenerd.western"


def _western(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are not UTF-8 are read as Windows-1252: old files, and lines pasted from them."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(_WESTERN, _western)


@dataclass(frozen=True, slots=True)
class FileText:
    """One file as it was read. ``text`` is empty unless ``state`` is ``read``."""

    path: str
    state: Literal["read", "skipped", "gone", "failed"]
    reason: str = ""
    size: int = 0
    mtime_ns: int = 0
    digest: str = ""
    """blake2b of the file's bytes, 32 hexadecimal digits."""
    text: str = ""
    """Decoded, line ends as ``\\n``, secrets masked; of a notebook what its cells hold."""


def digest_bytes(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_file(root: Path, path: str, max_bytes: int) -> FileText:
    """Read ``root/path``; a link or a special file is never followed nor opened for reading.

    Never raises for what a file can be: the state and the reason say it.
    """
    return _tried(root, path, max_bytes, _text_of)


def digest_file(root: Path, path: str, max_bytes: int) -> FileText:
    """As :func:`read_file`, but the bytes are only digested: ``text`` stays empty, and the state is
    ``read`` also for what is binary, minified or data."""
    return _tried(root, path, max_bytes, lambda found, _full, _data: found)


def _tried(
    root: Path, path: str, max_bytes: int, finish: Callable[[FileText, Path, bytes], FileText]
) -> FileText:
    try:
        for _ in range(_TRIES):
            found = _read_once(root / path, path, max_bytes, finish)
            if found is not None:
                return found
    except (FileNotFoundError, NotADirectoryError):
        return FileText(path=path, state="gone")
    except OSError as error:
        return FileText(path=path, state="failed", reason=error.strerror or str(error))
    return FileText(path=path, state="failed", reason="it kept changing while it was read")


def _read_once(
    full: Path, path: str, max_bytes: int, finish: Callable[[FileText, Path, bytes], FileText]
) -> FileText | None:
    """None when the file changed while it was read."""
    before = full.lstat()
    if not stat.S_ISREG(before.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(before.st_mode) else "not a regular file"
        return FileText(path=path, state="skipped", reason=kind, mtime_ns=before.st_mtime_ns)
    if before.st_size > max_bytes:
        reason = f"larger than {max_bytes} bytes"
        return FileText(path, "skipped", reason, before.st_size, before.st_mtime_ns)
    # A name that became a pipe after lstat must not block, nor a link be followed.
    descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        opened = os.fstat(descriptor)
        if not stat.S_ISREG(opened.st_mode):
            return None
        data = _read_all(file.fileno(), before.st_size)
        after = os.fstat(descriptor)
    if _identity(before) != _identity(after) or len(data) != before.st_size:
        return None
    digest = digest_bytes(data)
    found = FileText(path, "read", "", before.st_size, before.st_mtime_ns, digest)
    return finish(found, full, data)


def _text_of(found: FileText, full: Path, data: bytes) -> FileText:
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in data[:_SNIFF_BYTES] and not wide:
        return replace(found, state="skipped", reason="binary")
    text = data.decode("utf-16", "replace") if wide else data.decode("utf-8-sig", _WESTERN)
    text = text.replace("\r\n", "\n").replace("\0", " ")
    if full.suffix == notebook.SUFFIX:
        try:
            text = notebook.as_script(text)
        except notebook.NotebookError as error:
            return replace(found, state="skipped", reason=str(error))
    if reason := _unreadable(text, full.suffix.lower()):
        return replace(found, state="skipped", reason=reason)
    return replace(found, text=redact(text)[0])


def _read_all(descriptor: int, expected: int) -> bytes:
    pieces: list[bytes] = []
    left = expected + 1  # one more shows that it grew
    while left > 0 and (piece := os.read(descriptor, left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _unreadable(text: str, suffix: str) -> str:
    if len(text) > _MAX_LINE and any(
        text.find("\n", at, at + _MAX_LINE) < 0 for at in range(0, len(text) - _MAX_LINE, _MAX_LINE)
    ):
        return f"a line is longer than {_MAX_LINE:,} characters: minified or data"
    if (
        len(text) > 4 * _MAX_MEAN_LINE
        and suffix not in _PROSE
        and len(text) > _MAX_MEAN_LINE * (text.count("\n") + 1)
    ):
        return "its lines are very long: minified or data"
    return ""
