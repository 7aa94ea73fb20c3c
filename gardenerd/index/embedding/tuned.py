"""Rows of the embedding that were tuned on a project, in place of the packaged ones.

Queries to that project are embedded by them, its code never: so the vectors of the index are those
of the packaged embedding, whatever serves. A file holds the rows that moved alone, in bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gardenerd.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PARENT = "tuned_from"
_HINT = "the packaged embedding serves; tune anew with `gardenerctl embedding tune`"


@dataclass(frozen=True, slots=True)
class TunedRows:
    parent: str
    """Fingerprint of the embedding that they belong to."""
    pieces: NDArray[np.int32]
    """(n,) whose rows these are, ascending."""
    rows: NDArray[np.float32]
    """(n, dimensions)"""

    @classmethod
    def between(
        cls, parent: str, before: NDArray[np.float32], after: NDArray[np.float32]
    ) -> TunedRows:
        """What differs between two tables, as it is when it was written and read again."""
        pieces = np.flatnonzero((before != after).any(axis=1)).astype(np.int32)
        rows, scales = in_bytes(after[pieces])
        return cls(parent, pieces, rows * scales[:, None])

    def summed(self, table: NDArray[np.float32], pieces: NDArray[np.int32]) -> NDArray[np.float32]:
        """(dimensions,) sum of the rows of ``pieces``, those of ``table`` where none is here."""
        at = np.searchsorted(self.pieces, pieces)
        here = at < len(self.pieces)
        here[here] = self.pieces[at[here]] == pieces[here]
        total: NDArray[np.float32] = table[pieces[~here]].sum(axis=0)
        return total + self.rows[at[here]].sum(axis=0)

    def on(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """A whole table with these rows in it."""
        whole = table.copy()
        whole[self.pieces] = self.rows
        return whole

    def save(self, file: Path) -> str:
        """Write ``file``; gives its fingerprint."""
        from safetensors.numpy import save_file

        rows, scales = in_bytes(self.rows)
        save_file(
            {"pieces": self.pieces, "rows": rows, "scales": scales},
            file,
            metadata={_PARENT: self.parent},
        )
        return fingerprint(file.read_bytes())


def load(file: Path, expected: str, parent: str, dimensions: int) -> TunedRows:
    """The rows in ``file``.

    Args:
        expected: the fingerprint that :meth:`TunedRows.save` gave.
        parent: fingerprint of the embedding that they are to be used with.

    Raises:
        ModelError: it is missing or damaged, or belongs to another embedding.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if fingerprint(file.read_bytes()) != expected:
            raise ModelError(f"{file.name} is not as it was written", hint=_HINT)
        with safe_open(file, "numpy") as opened:
            found: str = (opened.metadata() or {}).get(_PARENT, "")
            rows: NDArray[np.float32] = opened.get_tensor("rows").astype(np.float32)
            rows *= opened.get_tensor("scales")[:, None]
            pieces: NDArray[np.int32] = opened.get_tensor("pieces")
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ModelError(f"{file.name} is missing or damaged: {error}", hint=_HINT) from error
    if found != parent or rows.shape != (len(pieces), dimensions):
        raise ModelError(f"{file.name} was tuned from another embedding", hint=_HINT)
    return TunedRows(parent, pieces, rows)


def fingerprint(data: bytes) -> str:
    """16 hex digits of the SHA-256 of a file's bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


def in_bytes(rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Each row as whole numbers up to 127, and what they are multiplied by."""
    largest = np.abs(rows).max(axis=1, initial=0.0)
    scales = (np.maximum(largest, 1e-12) / 127).astype(np.float32)
    return np.rint(rows / scales[:, None]).astype(np.int8), scales
