"""What the tokens of a step cost before it learned from them, in all and by example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gardenerd.train import dataset


@dataclass(slots=True)
class Costs:
    """What the tokens of one rank's part of a step cost."""

    nats: float
    """All of them."""
    examples: dict[int, tuple[float, int]]
    """Nats and tokens of each example, by its number; no anchors."""


def measured(
    parts: Sequence[Sequence[dataset.Row]],
    batches: Sequence[dataset.Batch],
    losses: Sequence[torch.Tensor],
) -> Costs:
    """Of the tokens that ``batches`` predict.

    Args:
        losses: nats of each predicted token, for each batch.
    """
    found = Costs(0.0, {})
    for part, batch, costs in zip(parts, batches, losses, strict=True):
        found.nats += float(costs.sum())
        documents = [document for row in part for document in row.documents]
        # What fills the batch up comes after them.
        for document, cost in zip(documents, costs.cpu().split(batch.counts), strict=False):
            if not document.anchor:
                nats, tokens = found.examples.get(document.example, (0.0, 0))
                found.examples[document.example] = (nats + float(cost.sum()), tokens + len(cost))
    return found


def by_example(found: Sequence[Costs]) -> dict[int, float]:
    """Nats a token of each example, over all ranks."""
    whole: dict[int, tuple[float, int]] = {}
    for each in found:
        for number, (nats, tokens) in each.examples.items():
            before, count = whole.get(number, (0.0, 0))
            whole[number] = (before + nats, count + tokens)
    return {number: nats / max(1, tokens) for number, (nats, tokens) in whole.items()}
