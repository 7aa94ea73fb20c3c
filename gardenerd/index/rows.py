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


def schema(dimensions: int) -> pa.Schema:
    """Strings, 1-based line numbers, and one normalised float16 vector of ``dimensions``."""
    return pa.schema(
        [
            *(pa.field(name, pa.string(), nullable=False) for name in COLUMNS),
            *(pa.field(name, pa.int32(), nullable=False) for name in _NUMBERS),
            pa.field("vector", pa.list_(pa.float16(), dimensions), nullable=False),
        ]
    )


def record_batch(
    columns: Mapping[str, Sequence[Any]], vectors: NDArray[np.floating]
) -> pa.RecordBatch:
    """Rows from columns; ``vectors`` is (rows, dimensions)."""
    rows, dimensions = vectors.shape
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float16).reshape(rows * dimensions))
    arrays = [pa.array(columns[name], pa.string()) for name in COLUMNS]
    arrays += [pa.array(columns[name], pa.int32()) for name in _NUMBERS]
    arrays.append(pa.FixedSizeListArray.from_arrays(flat, dimensions))
    return pa.RecordBatch.from_arrays(arrays, schema=schema(dimensions))
