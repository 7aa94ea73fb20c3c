"""Tunes the rows by which queries are embedded, so that a question lies near the code it asks for.

The code stays where the packaged table puts it. In numpy: a batch is two sparse products and two
dense ones, so torch would bring nothing but its start and its memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gardenerd.index.embedding.counts import Rows

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run is given; the defaults were measured (docs/retrieval.md)."""

    passes: int = 6
    batch: int = 512
    least_batch: int = 64
    steps_in_pass: int = 10
    """A small set has smaller batches, down to ``least_batch``, so that it has as many steps."""
    learning_rate: float = 0.01
    """In parts of a row's own length."""
    anchor: float = 1e-3
    """Weight of the squared distance from the packaged rows, again in parts of their length."""
    scale: float = 20.0
    """By which likeness is multiplied before the softmax, at first."""
    wrong: int = 4_096
    """Other code that each question of a batch is told from, beside that of the batch."""
    group: int = 8
    """Neighbours from one file kept together in a batch: the hardest wrong answers."""
    seconds: float = 60.0
    """Of the processor, after which the run ends early; waiting for it does not count."""
    seed: int = 2026


@dataclass(frozen=True, slots=True)
class Pairs:
    """Row i of ``questions`` belongs to row ``code[i]`` of ``vectors``."""

    questions: Rows
    """(pairs, vocabulary) counts."""
    code: NDArray[np.int64]
    """(pairs,)"""
    vectors: Floats
    """(passages, dimensions), of length one."""
    keys: NDArray[np.int64]
    """(pairs,) pairs of one key (a commit) are never each other's wrong answers."""
    files: NDArray[np.int64]
    """(pairs,) which file the code is from."""

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Tuned:
    table: Floats
    """(vocabulary, dimensions)"""
    steps: int
    losses: Sequence[float]
    """Of each step, in nats."""


class _Adam:
    """Adam (Kingma and Ba 2015) on one array, changed in place."""

    def __init__(self, shape: tuple[int, ...], first: float = 0.9, second: float = 0.98) -> None:
        self._mean = np.zeros(shape, np.float32)
        self._square = np.zeros(shape, np.float32)
        self._first, self._second, self._steps = first, second, 0

    def step(self, value: Floats, gradient: Floats, rate: float) -> None:
        self._steps += 1
        self._mean += (1 - self._first) * (gradient - self._mean)
        self._square += (1 - self._second) * (gradient * gradient - self._square)
        mean = self._mean / (1 - self._first**self._steps)
        square = self._square / (1 - self._second**self._steps)
        value -= rate * mean / (np.sqrt(square) + 1e-8)


def tune(
    table: Floats, pairs: Pairs, recipe: Recipe, check: Callable[[], None] = lambda: None
) -> Tuned:
    """The table after ``recipe``; rows of pieces that no question has stay as they are.

    Args:
        table: (vocabulary, dimensions), as packaged.
        check: called between steps; what it raises ends the run.
    """
    seen = np.unique(pairs.questions.indices)
    start = table[seen]
    lengths = np.maximum(np.linalg.norm(start, axis=1, keepdims=True), 1e-6)
    questions = pairs.questions[:, seen]
    answers = _Answers(pairs)
    random = np.random.default_rng(recipe.seed)
    change, grown = np.zeros_like(start), np.full(1, np.log(recipe.scale), np.float32)
    rows, scale = _Adam(start.shape), _Adam((1,))
    size = max(recipe.least_batch, len(pairs) // recipe.steps_in_pass)
    size = min(size, recipe.batch, len(pairs))
    planned = recipe.passes * (len(pairs) // max(size, 1))
    ends = time.process_time() + recipe.seconds
    losses: list[float] = []
    for chosen in _batches(pairs, recipe, size, planned, random):
        check()
        if time.process_time() > ends:
            break
        done = len(losses)
        rate = min(1.0, (done + 1) / 10) * max(0.02, 0.5 * (1 + np.cos(np.pi * done / planned)))
        wrong = random.permutation(len(pairs.vectors))[: recipe.wrong]
        loss, gradient, by_scale = _gradient(
            start + change * lengths,
            questions[chosen],
            pairs.vectors[np.concatenate([pairs.code[chosen], wrong])],
            answers.also(chosen, wrong),
            float(np.exp(grown[0])),
        )
        gradient = gradient * lengths + 2 * recipe.anchor * change
        rows.step(change, gradient, recipe.learning_rate * rate)
        scale.step(grown, np.array([by_scale], np.float32), 0.003 * rate)
        losses.append(loss)
    tuned = table.copy()
    tuned[seen] = start + change * lengths
    return Tuned(tuned, len(losses), losses)


class _Answers:
    """Which passages answer a question beside the one that it is paired with."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        order = np.argsort(pairs.keys, kind="stable")
        bounds = np.searchsorted(pairs.keys[order], np.arange(pairs.keys.max(initial=-1) + 2))
        self._of = [pairs.code[order[a:b]] for a, b in pairwise(bounds)]

    def also(self, chosen: NDArray[np.int64], wrong: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(chosen, chosen + wrong) true where code must not be called wrong."""
        keys, code = self._pairs.keys[chosen], self._pairs.code[chosen]
        # One passage may answer several questions of a batch, too.
        in_batch = (keys[:, None] == keys[None]) | (code[:, None] == code[None])
        np.fill_diagonal(in_batch, False)
        place = np.full(len(self._pairs.vectors), -1, np.int64)
        place[wrong] = np.arange(len(wrong))
        beside = np.zeros((len(chosen), len(wrong)), np.bool_)
        for row, key in enumerate(keys):
            at = place[self._of[key]]
            beside[row, at[at >= 0]] = True
        return np.concatenate([in_batch, beside], axis=1)


def _batches(
    pairs: Pairs, recipe: Recipe, size: int, planned: int, random: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """``planned`` batches of ``size``: neighbours stay in groups, the groups are shuffled."""
    told = 0
    while told < planned:
        mixed = np.lexsort((random.random(len(pairs)), pairs.files))
        groups = [mixed[i : i + recipe.group] for i in range(0, len(mixed), recipe.group)]
        order = np.concatenate([groups[i] for i in random.permutation(len(groups))])
        for first in range(0, len(order) - size + 1, size):
            if told == planned:
                return
            told += 1
            yield order[first : first + size]


def _gradient(
    table: Floats, questions: Rows, shown: Floats, also: NDArray[np.bool_], scale: float
) -> tuple[float, Floats, float]:
    """The loss of a batch and its gradient by the table and by the logarithm of ``scale``.

    Each question is told from all of ``shown``, and each answer from the other questions.
    """
    asked, lengths = directions(questions @ table)
    logits = scale * (asked @ shown.T)
    logits[also] = -1e4
    size = len(asked)
    own = np.arange(size)
    by_row, by_column = _softmax(logits, 1), _softmax(logits[:, :size], 0)
    right = np.maximum(by_row[own, own], 1e-30), np.maximum(by_column[own, own], 1e-30)
    loss = -float(np.log(right[0]).mean() + np.log(right[1]).mean()) / 2
    error = by_row
    error[:, :size] += by_column
    error[own, own] -= 2
    error /= 2 * size
    error[also] = 0
    by_scale = float((error * logits).sum())
    gradient = scale * (error @ shown)
    along = np.einsum("nd,nd->n", gradient, asked)[:, None]
    return loss, questions.T @ ((gradient - along * asked) / lengths), by_scale


def directions(sums: Floats) -> tuple[Floats, Floats]:
    """Rows as they are at length one, and the lengths that they had."""
    lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return sums / lengths, lengths


def _softmax(logits: Floats, axis: int) -> Floats:
    raised = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return raised / raised.sum(axis=axis, keepdims=True)
