"""From texts to packed rows of tokens. Everything is a function of the seed: no loader has state.

A document is ``start, tokens, end``, or, in the share ``fim_rate`` of the cases and if the base
has the tokens for it, rearranged so that a model learns to fill in: prefix, suffix, the middle.
Documents are packed into rows of ``max_length``; positions begin anew with each, and attention
stays within it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from gardenerd.models import nll
from gardenerd.models.load import Base
from gardenerd.train.anchor import KIND
from gardenerd.train.spans import Spans, spans_of
from gardenerd.workers.train_jobs import Example, Hyperparameters

_FIM_NAMES = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, the seedling
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder
)
_PADDING = 128  # tokens in one document of padding
_NODES = 0.7  # of the spans to fill in are nodes of the syntax tree, where there is one
_WHOLE_LINES = 0.7  # of the others; the rest begin within a line


@dataclass(frozen=True, slots=True)
class Document:
    tokens: list[int]
    weight: float = 1.0
    quiet: frozenset[int] = frozenset()
    """Tokens that are marks and not text: they are not predicted."""
    anchor: bool = False
    """General code, on which the model shall stay as it is."""
    example: int = -1
    """The number of the example that it is of."""


@dataclass(slots=True)
class Row:
    documents: list[Document] = field(default_factory=list)
    length: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Packed rows as one long row of tensors."""

    tokens: torch.Tensor
    """(1, n)"""
    positions: torch.Tensor
    """(1, n), from 0 in each document."""
    wanted: torch.Tensor
    """(1, n), true where the next token is predicted: m times."""
    targets: torch.Tensor
    """(m,), those next tokens."""
    weights: torch.Tensor
    """(m,)"""
    anchors: torch.Tensor
    """(m,), true in documents that are anchors."""
    documents: list[int]
    """Length of each document; n in all."""
    counts: list[int]
    """How many tokens are predicted in each; m in all."""


def fim_tokens(base: Base) -> tuple[int, int, int] | None:
    """Prefix, suffix and middle mark of the base's vocabulary, or None if it has none."""
    vocabulary = base.tokenizer.get_vocab()
    for names in _FIM_NAMES:
        if all(name in vocabulary for name in names):
            prefix, suffix, middle = (vocabulary[name] for name in names)
            return prefix, suffix, middle
    return None


class Rows:
    """The training set as steps of packed rows.

    Args:
        max_length: tokens in a row.
        rows_per_step: rows in one optimizer step.
        fim_rate: share of the documents to fill in; 0 if the base has no tokens for it.
    """

    def __init__(
        self,
        base: Base,
        examples: Sequence[Example],
        *,
        max_length: int,
        rows_per_step: int,
        fim_rate: float,
        seed: int,
    ) -> None:
        self._base = base
        self._examples = examples
        self._spans: dict[int, Spans] = {}
        """By number of the example: each is parsed once, when it is first to be filled in."""
        self._max_length = max_length
        self.rows_per_step = rows_per_step
        self._fim = fim_tokens(base) if fim_rate > 0 else None
        self._fim_rate = fim_rate
        self._seed = seed
        self._steps: list[list[Row]] = []
        self._epochs = 0

    def steps_in(self, epochs: int) -> int:
        """How many steps so many passes over the set take."""
        while self._epochs < epochs:
            self._extend()
        return len(self._steps)

    def step(self, number: int) -> list[Row]:
        """The rows of a step: a pure function of the set, the seed and the number."""
        while len(self._steps) <= number:
            self._extend()
        return self._steps[number]

    def seen(self, steps: int) -> list[int]:
        """The numbers of the examples, anchors aside, of which so many first steps had a part."""
        numbers = {
            document.example
            for step in self._steps[:steps]
            for row in step
            for document in row.documents
            if not document.anchor
        }
        return sorted(numbers)

    def _extend(self) -> None:
        draw = random.Random(f"{self._seed}/{self._epochs}")
        documents = [
            piece for number in range(len(self._examples)) for piece in self._encode(number, draw)
        ]
        draw.shuffle(documents)
        rows = pack(documents, self._max_length)
        draw.shuffle(rows)
        # The rest of one pass shares a step with the next pass's first rows, so no step is small.
        rest = []
        if self._steps and len(self._steps[-1]) < self.rows_per_step:
            rest = self._steps.pop()
        rows = rest + rows
        size = self.rows_per_step
        self._steps += [rows[i : i + size] for i in range(0, len(rows), size)]
        self._epochs += 1

    def _encode(self, number: int, draw: random.Random) -> list[Document]:
        base, example = self._base, self._examples[number]
        anchor = example.kind == KIND
        text = example.text if example.text.endswith("\n") else example.text + "\n"
        if self._fim is not None and draw.random() < self._fim_rate:
            if number not in self._spans:
                self._spans[number] = spans_of(text, example.language)
            parts = cut(text, draw, self._spans[number])
            prefix, suffix, middle = (nll.encode(base, part) for part in parts)
            before, after, here = self._fim
            tokens = [before, *prefix, after, *suffix, here, *middle, base.end_token]
            if len(tokens) <= self._max_length:
                return [Document(tokens, example.weight, frozenset(self._fim), anchor, number)]
        tokens = [base.start_token, *nll.encode(base, text), base.end_token]
        size = self._max_length
        # The piece after a cut begins with the last token of the one before, which it goes on from.
        return [
            Document(tokens[i : i + size], example.weight, anchor=anchor, example=number)
            for i in range(0, len(tokens) - 1, size - 1)
        ]


def rows_of(base: Base, examples: Sequence[Example], chosen: Hyperparameters) -> Rows:
    """The training set of a run."""
    return Rows(
        base,
        examples,
        max_length=chosen.max_length,
        rows_per_step=max(1, chosen.batch_tokens // chosen.max_length),
        fim_rate=chosen.fim_rate,
        seed=chosen.seed,
    )


def cut(text: str, draw: random.Random, spans: Spans) -> tuple[str, str, str]:
    """Prefix, suffix and middle of a text: the middle is mostly one of its ``spans``, where it has
    any, else lines, or the rest of one and more."""
    if draw.random() < _NODES and (span := spans.draw(draw)):
        begin, end = span
        return text[:begin], text[end:], text[begin:end]
    lines = text.splitlines(keepends=True)
    first = draw.randrange(len(lines))
    last = min(len(lines), first + 1 + draw.randrange(max(1, len(lines) // 2)))
    begin = sum(map(len, lines[:first]))
    end = sum(map(len, lines[:last]))
    if draw.random() >= _WHOLE_LINES:
        begin += draw.randrange(len(lines[first]))
        end -= 1  # the line break stays in the suffix, as when one completes a line
    return text[:begin], text[max(begin, end) :], text[begin : max(begin, end)]


def pack(documents: Sequence[Document], max_length: int) -> list[Row]:
    """Documents in rows of at most ``max_length`` tokens, each whole: longest first, best fit."""
    by_room: dict[int, list[Row]] = {}
    rows: list[Row] = []
    for document in sorted(documents, key=lambda document: -len(document.tokens)):
        need = len(document.tokens)
        room = next((r for r in range(need, max_length + 1) if by_room.get(r)), None)
        if room is None:
            row = Row()
            rows.append(row)
        else:
            row = by_room[room].pop()
        row.documents.append(document)
        row.length += need
        by_room.setdefault(max_length - row.length, []).append(row)
    return rows


def predicted(rows: Sequence[Row]) -> int:
    """How many tokens of the rows are predicted."""
    return sum(
        token not in document.quiet
        for row in rows
        for document in row.documents
        for token in document.tokens[1:]
    )


def collate(
    rows: Sequence[Row], *, padding: int, device: torch.device, size: int | None = None
) -> Batch:
    """Rows as tensors, one document after another.

    Args:
        size: fill up with ``padding`` to so many tokens, for a device that wants fixed shapes.
    """
    documents = [document for row in rows for document in row.documents]
    total = sum(row.length for row in rows)
    if size is not None and size > total:
        # More documents, none of which is predicted; short, for attention costs their square.
        for left in range(size - total, 0, -_PADDING):
            padded = [padding] * min(left, _PADDING)
            documents.append(Document(padded, quiet=frozenset({padding})))
    tokens: list[int] = []
    positions: list[int] = []
    wanted: list[bool] = []
    weights: list[float] = []
    anchors: list[bool] = []
    counts: list[int] = []
    for document in documents:
        tokens += document.tokens
        positions += range(len(document.tokens))
        follows = [token not in document.quiet for token in document.tokens[1:]]
        wanted += [*follows, False]
        counts.append(sum(follows))
        weights += [document.weight] * counts[-1]
        anchors += [document.anchor] * counts[-1]
    row = torch.tensor([tokens], dtype=torch.long)
    mask = torch.tensor([wanted], dtype=torch.bool)
    return Batch(
        tokens=row.to(device),
        positions=torch.tensor([positions], dtype=torch.long).to(device),
        wanted=mask.to(device),
        targets=row[:, 1:][mask[:, :-1]].to(device),
        weights=torch.tensor(weights, dtype=torch.float32).to(device),
        anchors=torch.tensor(anchors, dtype=torch.bool).to(device),
        documents=[len(document.tokens) for document in documents],
        counts=counts,
    )


def anchors_of(rows: Sequence[Row]) -> list[Row]:
    """One row of the anchors alone, in the same order; none if there are none."""
    documents = [document for row in rows for document in row.documents if document.anchor]
    return [Row(documents, sum(len(d.tokens) for d in documents))] if documents else []
