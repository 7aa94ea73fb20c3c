"""Trains the table of the static embedding: one vector for each piece of a word.

A text is the sum of its pieces' vectors, scaled to length one. Questions and code of the same
example are drawn together, and apart from all others of the batch (InfoNCE both ways, Oord et al.
2018, with a learned temperature). Everything is linear in the table up to the scaling, so a batch
is two sparse products, and a few minutes of one core see every example many times.

The start is latent semantic analysis (Deerwester et al. 1990) of all texts by randomised subspace
iteration (Halko et al. 2011), beside random directions that keep rare words apart.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array, vstack

from gardenerd.index.embedding.counts import Counts, Rows
from gardenerd.index.embedding.passage import PASSAGE_CHARACTERS, SYMBOL_WEIGHT
from gardenerd.index.embedding.tuned import in_bytes
from gardenerd.index.embedding.words import pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from gardenerd.index.embedding.pairs import Example

log = logging.getLogger(__name__)

DIMENSIONS = 256
VOCABULARY = 32_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a training run is given; the defaults made the embedded model."""

    passes: float = 6.0
    """How often an example is seen; more of them learn these examples by heart."""
    seconds: float = 3600.0
    """After which the run ends early, its rate having fallen as planned for that."""
    batch: int = 2048
    learning_rate: float = 0.003
    keep: float = 1.0
    """Share of the words of a text that a pass sees; the rest is dropped at random."""
    place: float = 0.25
    """Share of passes that see the file and class beside the code."""
    name: float = 0.15
    """Share of passes that ask with the name alone, and then hide symbol and signature."""
    silent: float = 0.2
    """Share of the examples with nothing but a name to ask with that a pass sees."""
    first: float = 0.3
    """Share of passes that ask with the docstring's first paragraph whatever else there is."""
    group: int = 16
    """Neighbours from one file kept together in a batch: the hardest wrong answers."""
    dimensions: int = DIMENSIONS
    seed: int = 2026


def train_tokenizer(texts: Iterator[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """Byte-pair merges inside the words of `texts`; every byte stays expressible."""
    from tokenizers import pre_tokenizers
    from tokenizers.trainers import BpeTrainer

    tokenizer = pipeline()
    tokenizer.train_from_iterator(
        texts,
        BpeTrainer(
            vocab_size=vocabulary,
            min_frequency=2,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
            max_token_length=24,
        ),
    )
    return tokenizer


class Pairs:
    """The examples as sparse rows, from which batches are drawn."""

    def __init__(self, examples: Sequence[Example], tokenizer: Tokenizer) -> None:
        counts = Counts(tokenizer)
        questions = [question for example in examples for question in example.questions]
        self.questions = counts(questions)
        numbers = np.array([len(example.questions) for example in examples], dtype=np.int64)
        self.bounds = np.concatenate(([0], np.cumsum(numbers)))
        self.names = counts([example.name for example in examples])
        self.places = counts([example.place for example in examples])
        self.signatures = counts([example.signature for example in examples])
        self.symbols = counts([example.symbol for example in examples]) * SYMBOL_WEIGHT
        self.bodies = counts([example.body[:PASSAGE_CHARACTERS] for example in examples])
        files = [example.place.split(" ", 1)[0] for example in examples]
        self.files = np.unique(np.array(files), return_inverse=True)[1] if files else numbers

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def steps(self, recipe: Recipe) -> int:
        """Batches of one pass, about."""
        asking = float((np.diff(self.bounds) > 0).sum())
        drawn = asking + recipe.silent * (len(self) - asking)
        return max(1, int(drawn / recipe.batch))

    def passes(self, recipe: Recipe, random: np.random.Generator) -> Iterator[Batch]:
        """One pass over all examples: neighbours stay in groups, the groups are shuffled."""
        jitter = np.lexsort((random.random(len(self)), self.files))
        asking = (np.diff(self.bounds) > 0)[jitter]
        jitter = jitter[asking | (random.random(len(self)) < recipe.silent)]
        groups = [jitter[i : i + recipe.group] for i in range(0, len(jitter), recipe.group)]
        order = np.concatenate([groups[i] for i in random.permutation(len(groups))])
        size = min(recipe.batch, len(order))
        for first in range(0, len(order) - size + 1, size):
            yield self.batch(order[first : first + size], recipe, random)

    def batch(self, rows: NDArray[np.int64], recipe: Recipe, random: np.random.Generator) -> Batch:
        """Questions and code of `rows`, with this pass's draws of what is asked and shown."""
        numbers = self.bounds[rows + 1] - self.bounds[rows]
        named = (numbers == 0) | (random.random(len(rows)) < recipe.name)
        drawn = np.floor(random.random(len(rows)) * np.maximum(numbers, 1)).astype(np.int64)
        drawn[random.random(len(rows)) < recipe.first] = 0
        asked = np.minimum(self.bounds[rows] + drawn, max(self.questions.shape[0] - 1, 0))
        if self.questions.shape[0]:
            question = _scaled(self.questions[asked], ~named) + _scaled(self.names[rows], named)
        else:
            question = self.names[rows]
        code = self.bodies[rows] + _scaled(self.signatures[rows] + self.symbols[rows], ~named)
        code = code + _scaled(self.places[rows], random.random(len(rows)) < recipe.place)
        return Batch(_thinned(question, recipe.keep, random), _thinned(code, recipe.keep, random))


@dataclass(frozen=True, slots=True)
class Batch:
    """Row i of `questions` belongs to row i of `code`; both (batch, vocabulary) counts."""

    questions: Rows
    code: Rows


def _scaled(rows: Rows, chosen: NDArray[np.bool_]) -> Rows:
    return csr_array(diags_array(chosen.astype(np.float32)) @ rows)


def _thinned(rows: Rows, keep: float, random: np.random.Generator) -> Rows:
    rows = csr_array(rows)
    rows.data = rows.data * (random.random(len(rows.data)) < keep)
    return rows


class _Product(torch.autograd.Function):
    """Sparse counts times the table; the gradient is the transposed product."""

    @staticmethod
    def forward(ctx: Any, table: torch.Tensor, rows: Rows) -> torch.Tensor:
        ctx.rows = rows
        return torch.from_numpy(rows @ table.detach().numpy())

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.from_numpy(ctx.rows.T @ gradients[0].contiguous().numpy()), None


def initial_table(
    rows: Rows, dimensions: int, random: np.random.Generator, *, noise: float = 0.5
) -> NDArray[np.float32]:
    """(vocabulary, dimensions) the start: latent semantic analysis of `rows` plus noise.

    Rows are weighted as log(1 + count) times inverse document frequency and scaled to length one;
    a piece's vector is its idf times its right singular vector's direction beside a random one.
    """
    frequency = np.bincount(rows.indices, minlength=rows.shape[1])
    idf = np.log((rows.shape[0] + 1) / (frequency + 1)).astype(np.float32)
    weighted: Rows = csr_array((np.log1p(rows.data), rows.indices, rows.indptr), shape=rows.shape)
    weighted = weighted @ diags_array(idf)
    lengths = np.sqrt(np.asarray(weighted.power(2).sum(axis=1)))
    weighted = csr_array(diags_array((1 / np.maximum(lengths, 1e-6)).astype(np.float32)) @ weighted)
    transposed = csr_array(weighted.T)
    basis = random.standard_normal((rows.shape[1], dimensions), dtype=np.float32)
    for _ in range(3):
        basis, _ = np.linalg.qr(transposed @ (weighted @ basis))
    known = _directions(basis) * np.sqrt(1 - noise**2)
    table = known + noise * _directions(
        random.standard_normal((rows.shape[1], dimensions), dtype=np.float32)
    )
    return (idf[:, None] * table / max(float(idf.max()), 1e-6)).astype(np.float32)


def _directions(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def train(
    pairs: Pairs,
    recipe: Recipe,
    watch: Callable[[NDArray[np.float32]], str] | None = None,
    *,
    watch_every: float = 120.0,
) -> NDArray[np.float32]:
    """(vocabulary, dimensions) float32, trained.

    `watch` is shown the table now and then, and what it says is logged.
    """
    random = np.random.default_rng(recipe.seed)
    began = time.monotonic()
    texts: Rows = csr_array(
        vstack([pairs.questions, pairs.bodies + pairs.signatures], format="csr")
    )
    if texts.shape[0] > 150_000:
        texts = csr_array(texts[np.sort(random.choice(texts.shape[0], 150_000, replace=False))])
    start = initial_table(texts, recipe.dimensions, random)
    del texts
    log.info("start ready after %.0f s", time.monotonic() - began)
    if watch:
        log.info("start: %s", watch(start))
    directions = torch.nn.Parameter(torch.from_numpy(start))
    weights = torch.nn.Parameter(torch.zeros(len(start), 1))
    scale = torch.nn.Parameter(torch.tensor(np.log(20.0), dtype=torch.float32))
    optimizer = torch.optim.Adam(
        [
            {"params": [directions], "lr": recipe.learning_rate},
            {"params": [weights], "lr": recipe.learning_rate},
            {"params": [scale], "lr": 0.003},
        ],
        betas=(0.9, 0.98),
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    planned = max(1, round(recipe.passes * pairs.steps(recipe)))
    begin = shown = time.monotonic()
    steps, seen, loss_sum, spent = 0, 0, 0.0, 0.0
    while spent < 1:
        for batch in pairs.passes(recipe, random):
            now = time.monotonic()
            spent = min(max((steps + 1) / planned, (now - begin) / recipe.seconds), 1.0)
            warm = min(1.0, (steps + 1) / 50)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * warm * max(0.02, 0.5 * (1 + np.cos(np.pi * spent)))
            table = directions * torch.exp(weights)
            question = torch.nn.functional.normalize(_product(table, batch.questions), dim=1)
            code = torch.nn.functional.normalize(_product(table, batch.code), dim=1)
            logits = torch.exp(scale.clamp(max=np.log(100.0))) * (question @ code.T)
            target = torch.arange(len(logits))
            loss = (
                torch.nn.functional.cross_entropy(logits, target)
                + torch.nn.functional.cross_entropy(logits.T, target)
            ) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps, loss_sum, seen = steps + 1, loss_sum + loss.item(), seen + 1
            if now - shown > watch_every or spent >= 1:
                said = watch(table.detach().numpy()) if watch else ""
                log.info(
                    "%4.0f s, step %d of %d, loss %.3f, scale %.1f %s",
                    now - begin, steps, planned, loss_sum / seen, scale.exp().item(), said,
                )  # fmt: skip
                shown, loss_sum, seen = now, 0.0, 0
            if spent >= 1:
                break
    return (directions * torch.exp(weights)).detach().numpy()


def _product(table: torch.Tensor, rows: Rows) -> torch.Tensor:
    product: torch.Tensor = _Product.apply(table, rows)  # pyright: ignore[reportAssignmentType]
    return product


def save(table: NDArray[np.float32], tokenizer: Tokenizer, folder: Path) -> None:
    """Write `folder` in model2vec's format: bytes for the directions, one float a piece for scale.

    model2vec multiplies row i of ``embeddings`` (int8) by ``weights[i]``: quantised row by row, a
    frequent piece with a short vector keeps as many digits as a rare one.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    embeddings, weights = in_bytes(table)
    save_file({"embeddings": embeddings, "weights": weights}, folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "hidden_dim": int(table.shape[1]),
        "embedding_dtype": "int8",
        "normalize": True,
        "max_length": None,
        "words": "gardener-1",
    }
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
