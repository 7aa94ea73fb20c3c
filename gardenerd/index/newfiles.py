"""Making durable what LanceDB wrote: it renames and links its files, but never syncs them."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gardenerd import durable

# One commit leaves three files in three folders.
_THREADS = 6


class NewFiles:
    """The files of one table that were not synced yet."""

    def __init__(self, table: Path) -> None:
        self._table = table
        self._synced: set[Path] = set()

    def sync(self) -> None:
        """Sync what came since the last time and the newest version needs, and its folders.

        Side by side: the journal of a file system then takes them in one or two commits.
        """
        needed = [*_files(self._table / "data"), *_files(self._table / "_deletions")]
        indices = self._table / "_indices"
        if indices.is_dir():
            for folder in indices.iterdir():
                needed += _files(folder)
        # Older manifests are opened only when the newest is dropped, and that one is synced.
        needed += _files(self._table / "_versions")[:1]
        fresh = [path for path in needed if path not in self._synced]
        if fresh:
            with ThreadPoolExecutor(_THREADS) as threads:
                list(threads.map(_sync_path, [*fresh, *{path.parent for path in fresh}]))
        self._synced = set(needed)


def _files(folder: Path) -> list[Path]:
    """The files in ``folder`` by name: a newer manifest's name sorts before an older one's."""
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in sorted(entries, key=lambda e: e.name) if e.is_file()]
    except FileNotFoundError:
        return []


def _sync_path(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # compaction may have dropped it already
        durable.sync_folder(path)  # opens any path for reading, a file as well
