"""One run: pairs in, rows and their measures out. Whether they serve is the daemon's to decide."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gardenerd.core import tuning
from gardenerd.errors import ModelError, RefusedError
from gardenerd.index.embed import FOLDER, StaticEmbedder
from gardenerd.index.embedding.counts import Counts
from gardenerd.index.embedding.tuned import TunedRows, load
from gardenerd.index.reader import project_rows
from gardenerd.index.tuning.measuring import Exam
from gardenerd.index.tuning.pairs import COLUMNS, Pair, digest_of, gather
from gardenerd.index.tuning.training import Pairs, Recipe, tune
from gardenerd.workers.tune_jobs import TuneEmbedding, TuneReport
from gardenerd.workers.tuned import TunedRef

STRENGTHS = (1.0, 0.7, 0.5)
"""Shares of the way from the packaged rows to the trained ones: the first that passes the gate is
taken, which asks for more evidence because of it."""
LEAST_PAIRS = 200
"""Below these nothing can be proven, and the attempt is not worth its minute."""


def run(job: TuneEmbedding, check: Callable[[], None] = lambda: None) -> TuneReport:
    """Do ``job``; ``check`` is called between steps and raises when it is cancelled.

    Raises:
        RefusedError: there are too few pairs, or none is new.
        IndexUnavailableError: the table does not open.
    """
    started = time.monotonic()
    packaged = StaticEmbedder(FOLDER)
    index = Path(job.index)
    rows = project_rows(index, packaged.fingerprint, packaged.dimensions, job.project, COLUMNS)
    found = gather(rows, job)
    digest = _checked(found, job)
    check()
    trained = [pair for pair in found if pair.question and not pair.held_out]
    recipe = Recipe(seconds=job.seconds, seed=job.seed)
    beside = [pair.passage for pair in found if pair.held_out]
    counts = Counts(Tokenizer.from_file(str(FOLDER / "tokenizer.json")))
    arrays = as_arrays(trained, beside, packaged, counts)
    tuned = tune(packaged.table, arrays, recipe, check)
    finite = bool(np.isfinite(tuned.table).all()) and all(map(math.isfinite, tuned.losses))
    incumbent = _incumbent(job.incumbent, packaged).on(packaged.table)
    exam = Exam(found, packaged, incumbent, counts)
    kinds = ("docstring", "commit", "answer")

    def at(strength: float) -> TuneReport:
        change = strength * (tuned.table - packaged.table) if finite else 0
        table = (packaged.table + change).astype(np.float32)
        candidate = TunedRows.between(packaged.fingerprint, packaged.table, table)
        return TuneReport(
            fingerprint=candidate.save(Path(job.target)),
            parent=packaged.fingerprint,
            digest=digest,
            pairs={kind: sum(pair.kind == kind for pair in trained) for kind in kinds},
            pieces=len(candidate.pieces),
            held_out=exam.compare(candidate.on(packaged.table)),
            finite=finite,
            strength=strength,
            steps=tuned.steps,
            loss_first=_mean(tuned.losses[:5]),
            loss_last=_mean(tuned.losses[-5:]),
            seconds=time.monotonic() - started,
        )

    for strength in STRENGTHS[:-1]:
        check()
        report = at(strength)
        if tuning.decide(report).outcome == "promoted":
            return report
    return at(STRENGTHS[-1])


def as_arrays(
    pairs: Sequence[Pair], beside: Sequence[str], packaged: StaticEmbedder, counts: Counts
) -> Pairs:
    """What is trained on; pairs that have no word on one side are left out.

    Args:
        beside: passages that are none's answer here, to be told apart from those that are. Those
            that are held out are among them: else the rows would learn to keep away from all code
            but that.
    """
    questions = counts([pair.question for pair in pairs])
    passages = list(dict.fromkeys([*(pair.passage for pair in pairs), *beside]))
    at = {passage: number for number, passage in enumerate(passages)}
    vectors = packaged.encode(passages)
    code = np.asarray([at[pair.passage] for pair in pairs], np.int64)
    spoken = np.asarray(vectors.any(axis=1), np.bool_)
    said = (questions.sum(axis=1) > 0) & spoken[code]
    return Pairs(
        questions=questions[said],
        code=code[said],
        vectors=vectors,
        keys=_numbered([pair.key for pair in pairs])[said],
        files=_numbered([pair.file for pair in pairs])[said],
    )


def _checked(found: Sequence[Pair], job: TuneEmbedding) -> str:
    """The digest of pairs that are worth a run."""
    count = sum(bool(pair.question) for pair in found)
    if count < LEAST_PAIRS:
        raise RefusedError(
            f"only {count} docstrings, commits and answers to tune the embedding by "
            f"({LEAST_PAIRS} are needed)",
            hint="see `gardenerctl projects`",
        )
    digest = digest_of(found)
    if digest in job.known:
        raise RefusedError(
            "nothing is new to tune the embedding by since the last time",
            hint="it is tuned again when the code, its history or the feedback has changed",
        )
    return digest


def _incumbent(ref: TunedRef | None, packaged: StaticEmbedder) -> TunedRows:
    nothing = TunedRows.between(packaged.fingerprint, packaged.table, packaged.table)
    if ref is None:
        return nothing
    try:
        return load(Path(ref.file), ref.fingerprint, packaged.fingerprint, packaged.dimensions)
    except ModelError:  # then the packaged rows do serve: see gardenerd.index.queries
        return nothing


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    if not names:
        return np.zeros(0, np.int64)
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
