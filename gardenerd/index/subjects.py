"""Which files the subjects of commits speak of: a small file for each project beside the table.

It holds numbers alone, made from words and paths, and for each word the files whose commits said it
and how much that tells of each (BM25 over files). So a search adds up a few short arrays. It
follows from the project's history and what was forgotten, not from what the table holds: a file
that is not in the table has no rows that it could bring up.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gardenerd.index.generation import subjects_files
from gardenerd.index.query import Query

log = logging.getLogger(__name__)

_TITLE_WEIGHT, _OTHER_WEIGHT = 2.0, 1.0

Ids = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Subjects:
    """What is known of one project's files, in arrays."""

    files: Ids
    """(files,) by :func:`file_id`, ascending."""
    words: Ids
    """(words,) likewise."""
    starts: NDArray[np.int64]
    """(words + 1,) where each word's part of the two below begins, and where the last ends."""
    places: NDArray[np.int32]
    """Files, by their place in ``files``."""
    tells: NDArray[np.float32]
    """How much the word tells of the file; more than 0."""

    def scores(self, query: Query) -> NDArray[np.float32]:
        """(files,) what the words of the query tell of each."""
        title = set(query.title_words)
        asked = sorted(title.union(query.words))
        numbers = np.array([number_of(word) for word in asked], np.uint64)
        first = np.searchsorted(self.words, numbers)
        behind = np.searchsorted(self.words, numbers, side="right")
        places, tells = [np.empty(0, np.int32)], [np.empty(0, np.float32)]
        for word, at, known in zip(asked, first.tolist(), first < behind, strict=True):
            if known:
                part = slice(self.starts[at], self.starts[at + 1])
                places.append(self.places[part])
                tells.append(self.tells[part] * (_TITLE_WEIGHT if word in title else _OTHER_WEIGHT))
        return np.bincount(
            np.concatenate(places), np.concatenate(tells), minlength=len(self.files)
        ).astype(np.float32)


class Told:
    """What the subjects tell of files, for one query and some projects."""

    def __init__(self, subjects: Iterable[Subjects], query: Query) -> None:
        known = [(each.files, each.scores(query)) for each in subjects]
        files = np.concatenate([np.empty(0, np.uint64), *(files for files, _ in known)])
        scores = np.concatenate([np.empty(0, np.float32), *(scores for _, scores in known)])
        told = np.flatnonzero(scores)
        told = told[np.argsort(files[told], kind="stable")]  # each project's are in order already
        self._files, self._scores = files[told], scores[told]

    def best(self, count: int) -> list[int]:
        """The files of which most is told, at most ``count``, best first."""
        best = np.arange(len(self._files))
        if len(best) > count:
            best = np.argpartition(-self._scores, count)[:count]
        return self._files[best[np.argsort(-self._scores[best], kind="stable")]].tolist()

    def of(self, files: Sequence[int]) -> list[float]:
        """By file how much is told of it; 0 where nothing is."""
        if not len(self._files):
            return [0.0] * len(files)
        wanted = np.asarray(files, np.uint64)
        at = np.minimum(np.searchsorted(self._files, wanted), len(self._files) - 1)
        return np.where(self._files[at] == wanted, self._scores[at], 0).tolist()


class SubjectsReader:
    """Follows the files in an index folder. For one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[Path, Subjects]] = {}

    def latest(self) -> Mapping[str, Subjects]:
        """By project, as they are now."""
        found: dict[str, tuple[Path, Subjects]] = {}
        for project, path in subjects_files(self._folder).items():
            known = self._known.get(project)
            if known is not None and known[0] == path:
                found[project] = known
            elif (read := _read(path)) is not None:
                found[project] = (path, read)
        self._known = found
        return {project: read for project, (_, read) in found.items()}


@lru_cache(maxsize=1 << 15)
def file_id(project: str, path: str) -> int:
    """The number of a file."""
    return number_of(f"{project}\0{path}")


def number_of(text: str) -> int:
    """64 bits that stand for a text."""
    digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _read(path: Path) -> Subjects | None:
    """None when it has just given way to another, or is damaged: then it goes, to be made anew."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return Subjects(*(arrays[name] for name in Subjects.__slots__))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("what commits said does not load", extra={"cause": str(error)})
        with contextlib.suppress(OSError):
            path.unlink()
        return None
