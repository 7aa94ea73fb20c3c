"""Docstring to code on packages that training never saw, beside BM25 and random vectors.

The question is a docstring's first paragraph, the candidates are all functions and classes of all
held-out packages without their docstrings. Figures: MRR@10 and recall@k, in percent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array, diags_array

from gardenerd.index.embedding.counts import Rows, word_counts
from gardenerd.index.embedding.passage import passage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gardenerd.index.embedding.pairs import Example


@dataclass(frozen=True, slots=True)
class Task:
    """Questions, candidates, and which candidate answers each question."""

    questions: list[str]
    candidates: list[str]
    answers: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Figures:
    """Percentages over the questions of a task."""

    mrr_at_10: float
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float

    def __str__(self) -> str:
        return (
            f"MRR@10 {self.mrr_at_10:.1f}  recall@1 {self.recall_at_1:.1f}  "
            f"@5 {self.recall_at_5:.1f}  @10 {self.recall_at_10:.1f}"
        )


def task(examples: Sequence[Example], *, bare: bool = False) -> Task:
    """The retrieval task over `examples`: code as the index embeds it, or `bare` of its symbol."""
    answers = [index for index, example in enumerate(examples) if example.documented]
    return Task(
        questions=[examples[index].questions[0] for index in answers],
        candidates=[
            code if bare else passage(example.symbol, code)
            for example in examples
            for code in [f"{example.signature}\n{example.body}"]
        ],
        answers=np.array(answers, dtype=np.int64),
    )


def figures(scores: NDArray[np.floating], answers: NDArray[np.int64]) -> Figures:
    """Figures of (questions, candidates) `scores`; a tie counts half against the answer."""
    own = scores[np.arange(len(answers)), answers][:, None]
    ahead = (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2
    rank = ahead + 1
    reciprocal = np.where(rank <= 10, 1 / rank, 0)
    recalls = [100 * float((rank <= k).mean()) for k in (1, 5, 10)]
    return Figures(100 * float(reciprocal.mean()), *recalls)


def of_vectors(task: Task, encode: Callable[[Sequence[str]], NDArray[np.float32]]) -> Figures:
    """Figures of an embedder by cosine."""
    return figures(encode(task.questions) @ encode(task.candidates).T, task.answers)


def of_counts(
    questions: Rows,
    candidates: Rows,
    answers: NDArray[np.int64],
    table: NDArray[np.float32],
) -> Figures:
    """Figures of a table during training, from piece counts."""
    left, right = (rows @ table for rows in (questions, candidates))
    for rows in (left, right):
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return figures(left @ right.T, answers)


def bm25(
    questions: Rows, candidates: Rows, *, k1: float = 1.2, b: float = 0.75
) -> NDArray[np.float32]:
    """(questions, candidates) scores of BM25 (Robertson and Zaragoza 2009) over word counts."""
    frequency = np.bincount(candidates.indices, minlength=candidates.shape[1])
    number = candidates.shape[0]
    idf = np.log(1 + (number - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
    lengths = np.asarray(candidates.sum(axis=1)).ravel()
    norm = k1 * (1 - b + b * lengths / max(float(lengths.mean()), 1e-9))
    norms = np.repeat(norm, np.diff(candidates.indptr))
    data = candidates.data * (k1 + 1) / (candidates.data + norms)
    weighted: Rows = csr_array(
        (data, candidates.indices, candidates.indptr), shape=candidates.shape
    )
    weighted = weighted @ diags_array(idf)
    present: Rows = csr_array(
        (np.ones_like(questions.data), questions.indices, questions.indptr), shape=questions.shape
    )
    return np.asarray((present @ weighted.T).todense(), dtype=np.float32)


def bm25_of(task: Task) -> Figures:
    """Figures of BM25 on the same words: split identifiers, lower case, no stemming."""
    vocabulary: dict[str, int] = {}
    candidates = word_counts(task.candidates, vocabulary)
    questions = word_counts(task.questions, vocabulary)
    candidates.resize((candidates.shape[0], len(vocabulary)))
    return figures(bm25(questions, candidates), task.answers)


def random_of(task: Task, *, dimensions: int = 256, seed: int = 1) -> Figures:
    """Figures of the mean of one random vector a word: what no training gives."""
    vocabulary: dict[str, int] = {}
    candidates = word_counts(task.candidates, vocabulary)
    questions = word_counts(task.questions, vocabulary)
    candidates.resize((candidates.shape[0], len(vocabulary)))
    table = np.random.default_rng(seed).standard_normal((len(vocabulary), dimensions))
    return of_counts(questions, candidates, task.answers, table.astype(np.float32))
