"""The table as searches see it, in a process that does not write it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from gardenerd.index.generation import read_generation, read_version
from gardenerd.index.mirror import ALL_ROWS, Mirror
from gardenerd.index.subjects import Subjects, SubjectsReader
from gardenerd.index.table import TEXT_INDEX, connect, project_filter, reading, table_name

# LanceDB's handles on a full-text index grow as versions pass: they are let go of after a while.
_SESSION_SECONDS = 600.0

_BATCH = 2_000

TextIndex = Literal["none", "whole", "behind"]
"""Whether the full text can be searched, and with all rows that it does not hold yet: there are so
many of them after a large batch of files that each search would take a tenth of a second more."""

# Read one by one by a search: 5 ms for 1,000 (LanceDB 0.40, two cores).
_MAX_UNINDEXED_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the table: all of a search sees this one."""

    table: Any
    """LanceDB's handle, which stands still."""
    mirror: Mirror
    text_index: TextIndex
    subjects: Mapping[str, Subjects]
    """By project what the subjects of its commits tell."""


class TableReader:
    """Opens the table of an index folder and follows it. For one thread.

    Args:
        fingerprint: of the embedder; the table of another one is not looked at.
        dimensions: of its vectors.
    """

    def __init__(self, folder: Path, fingerprint: str, dimensions: int) -> None:
        self._folder = folder
        self._name = table_name(fingerprint, dimensions)
        self._subjects = SubjectsReader(folder)
        self.close()

    def close(self) -> None:
        """Let go of everything; the next search opens the table anew."""
        self._generation: str | None = None
        self._database: Any = None
        self._opened = 0.0
        self._snapshot: Snapshot | None = None

    def latest(self) -> Snapshot | None:
        """The table as it is now; None while there is none.

        Raises:
            IndexUnavailableError: it does not open.
        """
        generation = read_generation(self._folder)
        if generation != self._generation:
            self.close()
            self._generation = generation
        if generation is None:
            return None
        with reading():
            found = self._follow()
        return replace(found, subjects=self._subjects.latest())

    def _follow(self) -> Snapshot:
        before, whole = self._snapshot, read_version(self._folder)
        if before is not None and whole == before.table.version:
            return before
        if self._database is None or time.monotonic() - self._opened > _SESSION_SECONDS:
            self._database, self._opened = connect(self._folder), time.monotonic()
        table = _opened(self._database, self._name, whole)
        if before is not None and table.version == before.table.version:
            return before
        mirror = Mirror() if before is None else before.mirror
        mirror.follow(table)
        self._snapshot = Snapshot(table, mirror, _text_index(table), {})
        return self._snapshot


def project_rows(
    folder: Path, fingerprint: str, dimensions: int, project: str, columns: Sequence[str]
) -> Iterator[Any]:
    """All rows of a project as they are now, in record batches; none while there is no table.

    Raises:
        IndexUnavailableError: the table does not open.
    """
    if read_generation(folder) is None:
        return
    with reading():
        name = table_name(fingerprint, dimensions)
        table = _opened(connect(folder), name, read_version(folder))
        query = table.search().where(project_filter([project])).select(list(columns))
        yield from query.limit(ALL_ROWS).to_batches(batch_size=_BATCH)


def _opened(database: Any, name: str, version: int | None) -> Any:
    """The newest version of a table that is whole."""
    table = database.open_table(name)
    if version is not None and version != table.version:
        table.checkout(version)
    return table


def _text_index(table: Any) -> TextIndex:
    stats = table.index_stats(TEXT_INDEX)
    if stats is None:
        return "none"
    return "whole" if stats.num_unindexed_rows <= _MAX_UNINDEXED_ROWS else "behind"
