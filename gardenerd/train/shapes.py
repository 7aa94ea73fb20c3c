"""Few shapes: oneDNN, torch's kernels on a processor, makes and keeps one for each that it meets.

Rows and documents of every length made a run of minutes grow by 2 GB, 0.2 MB a shape, and cost it a
tenth of its speed (measured). So tensors are filled up to a multiple of a fixed number.
"""

from __future__ import annotations


def filled(count: int, multiple: int) -> int:
    """The next multiple, from ``count`` on."""
    return -(-count // multiple) * multiple
