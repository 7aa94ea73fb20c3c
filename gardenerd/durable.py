"""The one way to write durably: a temporary name, sync, rename, sync of the folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

from gardenerd.errors import StorageError


def sync(descriptor: int) -> None:
    """Flush to the medium. On macOS a plain fsync stops at the drive's cache."""
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError:  # network file systems do not know it
            pass
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``: a reader sees the old bytes or the new, never a part."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            sync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise _storage_error(path, error) from error


def publish_folder(source: Path, target: Path) -> None:
    """Copy the folder ``source`` beside ``target``, sync it, and rename it into place.

    Raises:
        StorageError: the disk is full or not writable; nothing is left at ``target``.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, partial)
        settle_folder(partial, target)
    except OSError as error:  # shutil.Error, raised for a copy that failed, is one too
        shutil.rmtree(partial, ignore_errors=True)
        raise _storage_error(target, error) from error


def settle_folder(partial: Path, target: Path) -> list[tuple[str, int]]:
    """Sync a folder that was written beside ``target`` and rename it into place.

    Returns:
        The names and sizes of its files.

    Raises:
        OSError: the disk is full or not writable; ``partial`` is left to the caller.
    """
    files: list[tuple[str, int]] = []
    for file in sorted(partial.rglob("*")):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                sync(descriptor)
                files.append((file.relative_to(partial).as_posix(), os.fstat(descriptor).st_size))
            finally:
                os.close(descriptor)
    sync_folder(partial)
    partial.rename(target)
    sync_folder(target.parent)
    return files


def _storage_error(path: Path, error: OSError) -> StorageError:
    cause = error.strerror or str(error)
    return StorageError(
        f"cannot write {path}: {cause}",
        hint="free some disk space or check the permissions; nothing was replaced",
    )
