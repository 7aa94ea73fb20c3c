"""The columns of the table of chunks, and batches of rows made column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

COLUMNS = (
    "project", "path", "symbol", "kind", "language", "signature", "docstring", "text", "search",
    "digest", "chunk_digest",
)  # fmt: skip
_NUMBERS = ("start_line", "end_line")
_WHOLE = np.float32(127)


def schema(dimensions: int) -> pa.Schema:
    """Strings, 1-based line numbers, and one vector of ``dimensions``, as :func:`rounded`."""
    return pa.schema(
        [
            *(pa.field(name, pa.string(), nullable=False) for name in COLUMNS),
            *(pa.field(name, pa.int32(), nullable=False) for name in _NUMBERS),
            pa.field("vector", pa.list_(pa.int8(), dimensions), nullable=False),
        ]
    )


def record_batch(
    columns: Mapping[str, Sequence[Any]], vectors: NDArray[np.floating]
) -> pa.RecordBatch:
    """Rows from columns; ``vectors`` is (rows, dimensions)."""
    rows, dimensions = vectors.shape
    flat = pa.array(rounded(vectors).reshape(rows * dimensions))
    arrays = [pa.array(columns[name], pa.string()) for name in COLUMNS]
    arrays += [pa.array(columns[name], pa.int32()) for name in _NUMBERS]
    arrays.append(pa.FixedSizeListArray.from_arrays(flat, dimensions))
    return pa.RecordBatch.from_arrays(arrays, schema=schema(dimensions))


def rounded(vectors: NDArray[np.floating]) -> NDArray[np.int8]:
    """Vectors as whole numbers, the largest of each as 127 or -127.

    They are of length one, so their directions are all there is to keep; half the bytes of float16
    moved no product of two by more than 0.003 (30,000 chunks, 180 queries, 256 dimensions).
    """
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    return np.rint(vectors * (_WHOLE / np.where(largest > 0, largest, 1))).astype(np.int8)
