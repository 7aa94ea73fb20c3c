"""Which files are never trained on: a stable choice by the hash of the path. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

SHARE = 0.1
"""Of the files of a project, on average."""
# The gate bets file by file and needs about nine that agree to pass its bar of 100, so projects
# under 120 files hold out more than a tenth: a fifth, at least three files, up to twelve.
_SMALL_SHARE = 0.2
_AT_LEAST = 3
_ENOUGH = 12


def draw(path: str) -> float:
    """A number in [0, 1) that depends on the path alone."""
    digest = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def is_held_out(path: str) -> bool:
    """Whether the path is held out whatever else its project has."""
    return draw(path) < SHARE


def held_out(paths: Collection[str]) -> set[str]:
    """The files of a project, by relative path, that are held out.

    Those with :func:`is_held_out`; in a small project also the lowest draws until three are held
    out (half of the files, if it has fewer than six), or a fifth of them up to twelve. A new file
    can move another only from held out into training, which harms nothing, except when the
    project grows past a multiple of five files: then one more is held out.
    """
    wanted = min(_ENOUGH, max(_AT_LEAST, int(len(paths) * _SMALL_SHARE)), len(paths) // 2)
    lowest = sorted(paths, key=lambda path: (draw(path), path))
    return set(lowest[:wanted]) | {path for path in paths if is_held_out(path)}
