"""From the last commits of a project to its file of subjects (:mod:`gardenerd.index.subjects`)."""

from __future__ import annotations

import asyncio
import io
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gardenerd import durable
from gardenerd.core.secrets import redact
from gardenerd.host.subjects import Commit, subjects
from gardenerd.index.identifiers import search_words
from gardenerd.index.subjects import Subjects, file_id, number_of
from gardenerd.workers.jobs import Done, ReadSubjects

# Of one file the last ones count.
_MAX_SUBJECTS = 40
# As usual for BM25.
_K1, _B = 1.2, 0.75


def read_subjects(job: ReadSubjects) -> Done:
    """Make ``job.target`` the one file of its project; counts the files that it knows.

    Raises:
        StorageError: it cannot be written; what was there stays.
    """
    commits = asyncio.run(subjects(Path(job.root), job.commit, job.left_out))
    made = made_of(job.project, commits)
    target = Path(job.target)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = io.BytesIO()
    np.savez(data, **{name: getattr(made, name) for name in Subjects.__slots__})
    durable.write_file(target, data.getvalue())
    for other in target.parent.glob(f"*{job.project}-*"):
        if other != target:
            other.unlink(missing_ok=True)
    return Done(count=len(made.files))


def made_of(project: str, commits: Iterable[Commit]) -> Subjects:
    """The same for the same commits, which come newest first."""
    said: dict[str, list[str]] = defaultdict(list)
    for commit in commits:
        words = search_words(redact(commit.subject)[0])
        for path in commit.paths:
            if len(said[path]) < _MAX_SUBJECTS:
                said[path].append(words)
    by_file = sorted((file_id(project, path), " ".join(all).split()) for path, all in said.items())
    mean = sum(len(words) for _, words in by_file) / max(1, len(by_file))
    by_word: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for place, (_, words) in enumerate(by_file):
        length = _K1 * (1 - _B + _B * len(words) / mean) if mean else 1.0
        for word, count in Counter(words).items():
            by_word[word].append((place, count * (_K1 + 1) / (count + length)))
    numbered = sorted((number_of(word), found) for word, found in by_word.items())
    rarity = [_rarity(len(found), len(by_file)) for _, found in numbered]
    return Subjects(
        np.array([file for file, _ in by_file], np.uint64),
        np.array([number for number, _ in numbered], np.uint64),
        np.cumsum([0, *(len(found) for _, found in numbered)], dtype=np.int64),
        np.array([place for _, found in numbered for place, _ in found], np.int32),
        np.array(
            [rare * tells for rare, (_, found) in zip(rarity, numbered, strict=True)
             for _, tells in found],
            np.float32,
        ),
    )  # fmt: skip


def _rarity(holders: int, files: int) -> float:
    return math.log1p((files - holders + 0.5) / (holders + 0.5))
