"""Which table the index holds, which version of it is whole, and where the rest lies. Imports
nothing heavy: the supervisor reads it too."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from pathlib import Path

from gardenerd import durable

FORMAT = 4
"""Rises when the same files would give other rows: other columns, words, chunks, or other vectors
under the same name. An index of another format is made anew."""

SUBJECTS_FORMAT = 1
"""Rises when the same commits would give another file of subjects."""

_NAME = "generation"
_VERSION = "version"
_SUBJECTS = "subjects"


def read_generation(index_dir: Path) -> str | None:
    """The name of the table now in ``index_dir``; None when there is none yet.

    It changes when the table was lost and made anew: then every file must be indexed again.
    """
    try:
        text = (index_dir / _NAME).read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    return text or None


def new_generation(index_dir: Path) -> str:
    """Write a name never used before, durably, and return it."""
    name = uuid.uuid4().hex
    durable.write_file(index_dir / _NAME, name.encode("ascii"))
    return name


def read_version(index_dir: Path) -> int | None:
    """The newest version of the table at which a write was whole; None if that is not known."""
    try:
        return int((index_dir / _VERSION).read_text(encoding="ascii", errors="replace"))
    except (FileNotFoundError, ValueError):
        return None


def tell_version(index_dir: Path, version: int) -> None:
    """Tell readers of a version. Not made durable: the writer tells again when it opens."""
    partial = index_dir / f".{_VERSION}"
    partial.write_text(str(version), encoding="ascii")
    partial.replace(index_dir / _VERSION)


def subjects_folder(index_dir: Path) -> Path:
    """Where the files of subjects lie, one for each project."""
    return index_dir / _SUBJECTS


def subjects_file(index_dir: Path, project: str, commit: str, left_out: Iterable[str]) -> Path:
    """Where the subjects of the commits up to ``commit`` lie, without what touched ``left_out``.

    The name says all that the file is made of: where it exists, it is the right one.
    """
    made_of = "\0".join([str(SUBJECTS_FORMAT), commit, *sorted(left_out)])
    digest = hashlib.blake2b(made_of.encode(errors="replace"), digest_size=16).hexdigest()
    return subjects_folder(index_dir) / f"{project}-{digest}"


def subjects_files(index_dir: Path) -> dict[str, Path]:
    """By project its file of subjects; of two, one of which is about to go, either."""
    try:
        found = sorted(subjects_folder(index_dir).iterdir())
    except FileNotFoundError:
        return {}
    # What is being written begins with a point.
    return {path.name.rpartition("-")[0]: path for path in found if path.name[0] != "."}
