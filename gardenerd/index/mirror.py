"""The vectors and short columns of the table in memory, kept up with it: what each search looks at.

LanceDB compares a query with every vector in its files (75 ms for 100,000 of 256 dimensions, here),
or by an index that is trained anew as rows change. Here the signs of the vectors are compared
first, 64 at a time, and the nearest few thousand by their numbers: in 3 ms, with 94 % of the exact
200 nearest and 99 % of the 20 (docs/retrieval.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gardenerd.index.rows import rounded
from gardenerd.index.subjects import file_id

Ids = NDArray[np.uint64]
"""LanceDB's row ids. New rows, also those that compaction moved, have higher ones."""

# So many that are near by their signs are compared by their numbers.
_SHORTLIST = 3_000
# Rows that are gone are kept until they are so many and so large a part.
_MAX_GONE, _MAX_GONE_PART = 1_000, 0.05
ALL_ROWS = (1 << 31) - 1
"""As a limit: more than any table has."""
# Small segments are joined up to so many rows, so that there are few and joining is cheap.
_SEGMENT_ROWS = 8_192
_FAR = np.iinfo(np.uint16).max


class Row(NamedTuple):
    """What ranking needs of a chunk."""

    key: int
    """Its row id."""
    project: str
    path: str
    symbol: str
    kind: str
    start_line: int


_COLUMNS = Row._fields[1:]


@dataclass(frozen=True, slots=True)
class _Segment:
    """Rows that were read together, by ascending id."""

    ids: Ids
    columns: dict[str, list[Any]]
    """Those of ``_COLUMNS``; equal strings are one object."""
    projects: NDArray[np.int32]
    files: NDArray[np.int32]
    signs: tuple[NDArray[np.uint64], ...]
    """64 dimensions each, of every row."""
    vectors: NDArray[np.int8]
    """(rows, dimensions), as :func:`~gardenerd.index.rows.rounded`."""

    def only(self, kept: NDArray[np.bool_]) -> _Segment:
        return _Segment(
            self.ids[kept],
            {name: list(compress(values, kept)) for name, values in self.columns.items()},
            self.projects[kept],
            self.files[kept],
            tuple(part[kept] for part in self.signs),
            self.vectors[kept],
        )

    def joins(self, other: _Segment) -> bool:
        small = len(self.ids) + len(other.ids) <= _SEGMENT_ROWS
        return small and bool(self.ids[-1] < other.ids[0])

    def and_then(self, other: _Segment) -> _Segment:
        return _Segment(
            np.concatenate([self.ids, other.ids]),
            {name: values + other.columns[name] for name, values in self.columns.items()},
            np.concatenate([self.projects, other.projects]),
            np.concatenate([self.files, other.files]),
            tuple(np.concatenate(pair) for pair in zip(self.signs, other.signs, strict=True)),
            np.concatenate([self.vectors, other.vectors]),
        )


class Mirror:
    """The rows of one table as of the last :meth:`follow`. For one thread.

    A row takes a byte a dimension and about a hundred more.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._version = -1
        self._next = 0
        """Rows from this id on were not read yet."""
        self._segments: list[_Segment] = []
        self._numbers: dict[str, int] = {}
        """Of projects, as the segments have them."""
        self._files: dict[int, int] = {}
        """Of files, likewise, by :func:`~gardenerd.index.subjects.file_id`."""
        self._gone = 0

    def follow(self, table: Any) -> None:
        """Come up to ``table``, a handle of LanceDB's that stands still: read what is new in it."""
        if table.version < self._version:  # a damaged version was dropped
            self._forget()
        if table.version == self._version:
            return
        first = self._next
        if len(self):
            self._gone = len(self) - table.count_rows(f"_rowid < {first}")
            if self._gone > max(_MAX_GONE, _MAX_GONE_PART * len(self)):
                self._purge(table)
        query = table.search().where(f"_rowid >= {first}").select([*_COLUMNS, "vector"])
        batches = query.with_row_id(True).limit(ALL_ROWS).to_batches(batch_size=_SEGMENT_ROWS)
        for batch in batches:
            if batch.num_rows:
                self._append(self._segment(pa.table(batch)))
        self._version = table.version

    def __len__(self) -> int:
        return sum(len(segment.ids) for segment in self._segments)

    def projects(self) -> list[str]:
        """All that have rows, or had."""
        return list(self._numbers)

    def holds_only(self, projects: Sequence[str]) -> bool:
        """Whether no row is of another project."""
        return set(self._numbers) <= set(projects)

    def nearest(
        self, table: Any, vector: NDArray[np.float32], count: int, projects: Sequence[str] | None
    ) -> tuple[Ids, NDArray[np.float32]]:
        """The rows most like ``vector`` by dot product, best first, and how like they are.

        Args:
            table: as given to :meth:`follow` last.
            vector: (dimensions,), of length one as all are.
            count: at most so many; fewer when many of those near have just gone.
            projects: None admits all.
        """
        if not len(self):
            return np.empty(0, np.uint64), np.empty(0, np.float32)
        far = self._far(vector, projects)
        short = np.flatnonzero(far < _FAR)
        if len(short) > _SHORTLIST:
            short = np.argpartition(far, _SHORTLIST)[:_SHORTLIST]
            short.sort()
        ids, likeness = self._compared(short, vector)
        best = np.argsort(-likeness, kind="stable")[: count + min(self._gone, count)]
        ids, likeness = ids[best], likeness[best]
        if self._gone:
            kept = _there(table, ids)
            ids, likeness = ids[kept][:count], likeness[kept][:count]
        return ids, likeness

    def nearest_of_files(
        self, table: Any, vector: NDArray[np.float32], files: Sequence[int]
    ) -> list[int]:
        """Of each of these files that has rows the one most like ``vector``.

        Args:
            table: as given to :meth:`follow` last.
            files: by :func:`~gardenerd.index.subjects.file_id`.
        """
        wanted = np.zeros(len(self._files), np.bool_)
        wanted[[self._files[id] for id in files if id in self._files]] = True
        masks = [wanted[segment.files] for segment in self._segments]
        if not any(mask.any() for mask in masks):
            return []
        ids, likeness = self._compared(np.flatnonzero(np.concatenate(masks)), vector)
        owners = np.concatenate(
            [segment.files[mask] for segment, mask in zip(self._segments, masks, strict=True)]
        )
        if self._gone:
            kept = _there(table, ids)
            ids, likeness, owners = ids[kept], likeness[kept], owners[kept]
        best = np.argsort(-likeness, kind="stable")
        _, first = np.unique(owners[best], return_index=True)
        return ids[best][first].tolist()

    def rows(self, ids: Sequence[int]) -> list[Row]:
        """The short columns of rows that the table last followed holds, in no certain order."""
        wanted = np.sort(np.asarray(ids, dtype=np.uint64))
        found: list[Row] = []
        for segment in self._segments:
            low, high = np.searchsorted(wanted, [segment.ids[0], segment.ids[-1] + np.uint64(1)])
            here = wanted[low:high]
            at = np.searchsorted(segment.ids, here)
            places = at[segment.ids[at] == here].tolist()
            columns = [segment.columns[name] for name in _COLUMNS]
            for place in places:
                key = int(segment.ids[place])
                found.append(Row(key, *(column[place] for column in columns)))
        return found

    def _segment(self, found: pa.Table) -> _Segment:
        found = found.sort_by("_rowid").combine_chunks()
        columns = {name: _values(found[name]) for name in _COLUMNS}
        for name in set(columns["project"]):
            self._numbers.setdefault(name, len(self._numbers))
        files = list(map(file_id, columns["project"], columns["path"]))
        for id in files:
            self._files.setdefault(id, len(self._files))
        flat: pa.Array = found["vector"].combine_chunks().flatten()
        vectors = flat.to_numpy().reshape(found.num_rows, -1)
        return _Segment(
            found["_rowid"].to_numpy(),
            columns,
            np.asarray([self._numbers[name] for name in columns["project"]], np.int32),
            np.asarray([self._files[id] for id in files], np.int32),
            _signs(vectors),
            vectors,
        )

    def _append(self, segment: _Segment) -> None:
        self._next = max(self._next, int(segment.ids[-1]) + 1)
        while self._segments and self._segments[-1].joins(segment):
            segment = self._segments.pop().and_then(segment)
        self._segments.append(segment)

    def _purge(self, table: Any) -> None:
        query = table.search().select(["start_line"]).with_row_id(True)
        there = query.limit(ALL_ROWS).to_arrow()["_rowid"].to_numpy()
        before, self._segments = self._segments, []
        for segment in before:
            kept = np.isin(segment.ids, there)
            if kept.any():
                self._append(segment.only(kept))
        self._gone = 0

    def _far(
        self, vector: NDArray[np.float32], projects: Sequence[str] | None
    ) -> NDArray[np.uint16]:
        """(rows,) in how many signs each differs; ``_FAR`` for rows of other projects."""
        asked = _signs(rounded(vector[None]))
        admitted: list[int] | None = None
        if projects is not None and not self.holds_only(projects):
            admitted = [self._numbers[name] for name in projects if name in self._numbers]
        parts: list[NDArray[np.uint16]] = []
        for segment in self._segments:
            far = np.zeros(len(segment.ids), np.uint16)
            there = None if admitted is None else np.isin(segment.projects, admitted)
            if there is None or there.any():
                for own, other in zip(segment.signs, asked, strict=True):
                    far += np.bitwise_count(own ^ other[0])
            if there is not None:
                far[~there] = _FAR
            parts.append(far)
        return np.concatenate(parts)

    def _compared(
        self, short: NDArray[np.intp], vector: NDArray[np.float32]
    ) -> tuple[Ids, NDArray[np.float32]]:
        """Ids and dot products of rows, which are given by ascending place."""
        ids: list[Ids] = []
        products: list[NDArray[np.float32]] = []
        first = 0
        for segment in self._segments:
            low, high = np.searchsorted(short, [first, first + len(segment.ids)])
            at = short[low:high] - first
            ids.append(segment.ids[at])
            vectors = segment.vectors[at].astype(np.float32)
            lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
            lengths[lengths == 0] = 1
            products.append((vectors @ vector) / lengths)
            first += len(segment.ids)
        return np.concatenate(ids), np.concatenate(products)


def _there(table: Any, ids: Ids) -> NDArray[np.bool_]:
    """Which of these rows the table still holds."""
    found = table.take_row_ids(ids.tolist()).select(["kind"]).with_row_id().to_arrow()
    return np.isin(ids, found["_rowid"].to_numpy())


def _values(column: pa.ChunkedArray) -> list[Any]:
    whole = column.combine_chunks()
    if not pa.types.is_string(whole.type):
        return whole.to_pylist()
    encoded = whole.dictionary_encode()
    different = encoded.dictionary.to_pylist()
    return [different[at] for at in encoded.indices.to_pylist()]


def _signs(vectors: NDArray[np.int8]) -> tuple[NDArray[np.uint64], ...]:
    """(rows, dimensions) → of every 64 dimensions the signs of all rows."""
    packed = np.packbits(vectors < 0, axis=1)
    spare = -packed.shape[1] % 8
    words = np.ascontiguousarray(np.pad(packed, ((0, 0), (0, spare)))).view(np.uint64)
    return tuple(np.ascontiguousarray(column) for column in words.T)
