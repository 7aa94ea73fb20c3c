"""What a step minimises: the cost of a project's tokens, and on anchors the way from the base.

On anchors, general code, it is not the next token that is learned but the base's own distribution,
by KL(base || model): it says more per token than the token alone, and asks for nothing where the
model still is as it was. Measured on celery at rank 64, 330 steps: at the strength at which 1.0 %
of general code is lost, to learn the anchors left 11.7 % of gain on next weeks' code, to be held
by them 12.2 %. (Hinton et al., 2015, for the loss; Li and Hoiem, 2016, to keep what was known.)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation gives it

from gardenerd.core.memory import HEAD_POSITIONS
from gardenerd.models import nll
from gardenerd.models.card import read_card
from gardenerd.models.load import Base
from gardenerd.train import dataset
from gardenerd.train.shapes import filled
from gardenerd.workers.jobs import AdapterRef
from gardenerd.workers.train_jobs import Hyperparameters

# Multiples of so many (:mod:`gardenerd.train.shapes`).
_ANCHOR_TOKENS = 256
_ROWS = 64
_FIRMER, _LOOSER, _HOLD_RANGE = 2.0, 0.8, 16.0


def costs(
    base: Base, model: Any, rows: Sequence[dataset.Row], batch: dataset.Batch, hold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The costs of all predicted tokens of packed rows.

    Args:
        model: the base with the adapter that trains.
        batch: the rows as tensors.
        hold: how much a nat of distance weighs, beside a nat of a project's token.

    Returns:
        Two of (n,), float32: what is to be minimised, with gradients, weighted by the documents'
        weights; and -ln p of each token, without.
    """
    held = _as_base(base, model, rows)
    features, head = _predict(model, batch)
    wanted, plain = list[torch.Tensor](), list[torch.Tensor]()
    pieces = (each.split(HEAD_POSITIONS) for each in (features, batch.targets, batch.anchors))
    seen = 0
    for part, answers, anchors in zip(*pieces, strict=True):
        logits = _logits(head, part)
        cost = F.cross_entropy(logits, answers, reduction="none")
        plain.append(cost.detach())
        count = int(anchors.sum())
        if count:
            with torch.no_grad():
                known = F.log_softmax(_logits(head, held[seen : seen + count]), dim=-1)
            distance = F.kl_div(
                F.log_softmax(logits[anchors], dim=-1), known, reduction="none", log_target=True
            )
            cost = cost.masked_scatter(anchors, hold * distance.sum(dim=-1))
            seen += count
        wanted.append(cost)
    return torch.cat(wanted) * batch.weights, torch.cat(plain)


def held(chosen: Hyperparameters, parent: AdapterRef | None) -> Hyperparameters:
    """How firmly general code is held: as set in a first run; twice as firmly as in the parent's if
    that had to be lowered in strength, and a fifth less if not.

    So it settles where the weights need not be lowered afterwards, by which more is lost than by
    holding on while they are learned (a dual ascent on the limit, one step a night).
    """
    if parent is None:
        return chosen
    card = read_card(Path(parent.folder))
    wanted = card.hold * (_FIRMER if card.strength < 1 else _LOOSER)
    least, most = chosen.hold / _HOLD_RANGE, chosen.hold * _HOLD_RANGE
    return msgspec.structs.replace(chosen, hold=min(max(wanted, least), most))


def _logits(head: Any, features: torch.Tensor) -> torch.Tensor:
    """The head's logits in float32, made of a number of rows that few others differ from."""
    count = features.shape[0]
    return head(F.pad(features, (0, 0, 0, filled(count, _ROWS) - count)))[:count].float()


def _as_base(base: Base, model: Any, rows: Sequence[dataset.Row]) -> torch.Tensor:
    """What stands before the head at the anchors' predictions, in order, under the base alone."""
    anchors = dataset.anchors_of(rows)
    if not anchors:
        return torch.zeros(0, device=base.device)
    size = filled(anchors[0].length, _ANCHOR_TOKENS)
    batch = dataset.collate(anchors, padding=base.end_token, device=base.device, size=size)
    with torch.no_grad(), model.disable_adapter():
        return _predict(model, batch)[0]


def _predict(model: Any, batch: dataset.Batch) -> tuple[torch.Tensor, Any]:
    return nll.predict(
        model,
        batch.tokens,
        batch.wanted,
        position_ids=batch.positions,
        documents=batch.documents,
    )
