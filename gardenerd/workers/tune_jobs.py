"""Jobs and answers of the process that tunes the embedding; see `gardenerd.workers.jobs`."""

from __future__ import annotations

from typing import Literal

import msgspec

from gardenerd.workers.jobs import Added, Job
from gardenerd.workers.tuned import TunedRef


class TuneEmbedding(Job, kw_only=True, frozen=True):
    """Gather a project's pairs of a question and the code that answers it, tune the rows of the
    packaged embedding on them, measure those beside what serves, and leave them in ``target``."""

    index: str
    """Folder of the index, which is only read."""
    project: str
    held_out: list[str]
    """Files of which nothing is trained on."""
    added: list[Added] = msgspec.field(default_factory=list[Added])
    """By its last commits, newest first."""
    answers: list[tuple[str, str]] = msgspec.field(default_factory=list[tuple[str, str]])
    """Questions, each with the answer that was accepted."""
    incumbent: TunedRef | None = None
    """What serves; None: the packaged rows."""
    target: str
    known: list[str] = msgspec.field(default_factory=list[str])
    """Digests of pairs that it was tuned on before: these are refused."""
    seconds: float = 60.0
    seed: int = 0


class HeldOutPair(msgspec.Struct, kw_only=True, frozen=True):
    """One question that was not trained on: 1 / the rank of its answer under each of the rows."""

    kind: Literal["docstring", "commit"]
    cluster: str
    """The file, or the commit: what is in one shares what happened in it."""
    packaged: float
    incumbent: float
    candidate: float


class TuneReport(msgspec.Struct, kw_only=True, frozen=True):
    """What became of :class:`TuneEmbedding`; the daemon's gate decides on it."""

    fingerprint: str
    """Of the candidate's file."""
    parent: str
    """Of the packaged embedding, which it was trained from."""
    digest: str
    """SHA-256 of the pairs."""
    pairs: dict[str, int]
    """Trained on, by kind."""
    pieces: int
    """Rows that moved."""
    held_out: list[HeldOutPair]
    finite: bool
    strength: float
    """How far it went from the packaged rows to what was trained."""
    steps: int
    loss_first: float
    loss_last: float
    seconds: float
