"""On a project's tokens their cost; on anchors the distance from the base."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from peft import PeftModel

from gardenerd.models import nll
from gardenerd.models.load import Base, load_base
from gardenerd.train import attention, dataset, lora, objective
from gardenerd.train import model as adapted
from tests.train.runs import FAST, example

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

HOLD = 4.0
CPU = torch.device("cpu")


def made(folder: Path) -> tuple[Base, PeftModel, list[dataset.Row]]:
    """A base with an adapter that changes something, and rows of which a third are anchors."""
    base = load_base(folder)
    attention.use(base, 128)
    model = adapted.prepare(base, FAST, None)
    torch.manual_seed(1)
    for name, value in adapted.trainable(model).items():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    examples = [example(i, kind="function" if i % 3 else "anchor") for i in range(9)]
    rows = dataset.Rows(base, examples, max_length=128, rows_per_step=4, fim_rate=0.0, seed=0).step(
        0
    )
    return base, model, rows


def by_hand(base: Base, model: PeftModel, document: dataset.Document) -> torch.Tensor:
    """Log probabilities of all tokens after each of a document's, alone: (tokens, vocabulary)."""
    row = torch.tensor([document.tokens])
    everywhere = torch.ones_like(row, dtype=torch.bool)
    features, head = nll.predict(model, row, everywhere)
    del base
    return F.log_softmax(head(features).float(), dim=-1)


def test_tokens_cost_what_they_say_and_anchors_what_they_moved(llama: Path) -> None:
    base, model, rows = made(llama)
    batch = dataset.collate(rows, padding=base.end_token, device=CPU, size=1_024)
    wanted: list[torch.Tensor] = []
    plain: list[torch.Tensor] = []
    with torch.no_grad(), lora.fused(model, adapted.NAME) as count:
        assert count > 0
        found, costs = objective.costs(base, model, rows, batch, HOLD)
        for document in (d for row in rows for d in row.documents):
            now = by_hand(base, model, document)[:-1]
            with model.disable_adapter():
                before = by_hand(base, model, document)[:-1]
            targets = torch.tensor(document.tokens[1:])
            cost = F.nll_loss(now, targets, reduction="none")
            distance = (before.exp() * (before - now)).sum(-1)
            plain.append(cost)
            wanted.append(HOLD * distance if document.anchor else cost)
    assert 0 < int(batch.anchors.sum()) < batch.targets.numel()
    torch.testing.assert_close(costs, torch.cat(plain), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found, torch.cat(wanted), rtol=1e-3, atol=1e-4)
    assert float(found[batch.anchors].mean()) > 0.01


def test_an_adapter_that_changes_nothing_is_not_pulled_by_anchors(llama: Path) -> None:
    base = load_base(llama)
    attention.use(base, 128)
    model = adapted.prepare(base, FAST, None)
    documents = [
        msgspec.structs.replace(example(i), kind="anchor", weight=1.0 + i) for i in range(3)
    ]
    rows = dataset.Rows(base, documents, max_length=128, rows_per_step=3, fim_rate=0.0, seed=0)
    step = rows.step(0)
    random.Random(0).shuffle(step)
    batch = dataset.collate(step, padding=base.end_token, device=CPU)
    with lora.fused(model, adapted.NAME):
        found, _ = objective.costs(base, model, step, batch, HOLD)
        found.sum().backward()
    assert float(found.detach().abs().max()) < 1e-4
    grads = [p.grad for p in adapted.trainable(model).values() if p.grad is not None]
    assert grads
    assert max(float(grad.abs().max()) for grad in grads) < 1e-2
    assert all(p.requires_grad for p in adapted.trainable(model).values())
    assert len(adapted.trainable(model)) == len(grads)
