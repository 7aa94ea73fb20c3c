"""The fused projection computes what peft's modules do, and leaves the model as it came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gardenerd.models.load import load_base
from gardenerd.train import lora
from gardenerd.train import model as adapted
from gardenerd.workers.train_jobs import Hyperparameters

# peft asks transformers by a name that it will change; the trainer's log leaves this out too.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

_PROJECTIONS = 7 * 2  # of each of two layers: q, k, v, o, gate, up, down


def _model(folder: Path, dtype: torch.dtype, **chosen: Any) -> Any:
    base = load_base(folder, dtype=dtype)
    model = adapted.prepare(base, Hyperparameters(**chosen), None)
    with torch.no_grad():  # B begins at zero, where half of the gradients are
        for name, weight in adapted.trainable(model).items():
            weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(len(name)))
    return model


def _learn(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    rows = torch.arange(40).view(2, 20)
    with torch.autocast("cpu", enabled=model.dtype == torch.bfloat16):
        logits = model(input_ids=rows).logits.float()
    logits.square().mean().backward()
    grads = {name: weight.grad.clone() for name, weight in adapted.trainable(model).items()}
    model.zero_grad()
    return logits.detach(), grads


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])  # qwen2's projections have biases
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.1)], ids=str
)
def test_output_and_gradients_are_those_of_peft(
    architecture: str, dtype: torch.dtype, tolerance: float, request: pytest.FixtureRequest
) -> None:
    model = _model(request.getfixturevalue(architecture), dtype)
    logits, grads = _learn(model)
    with lora.fused(model, adapted.NAME) as count:
        assert count == _PROJECTIONS
        fused_logits, fused_grads = _learn(model)
    assert torch.linalg.norm(fused_logits - logits) <= tolerance * torch.linalg.norm(logits)
    assert fused_grads.keys() == grads.keys()
    for name, expected in grads.items():
        assert fused_grads[name].dtype == torch.float32
        error = torch.linalg.norm(fused_grads[name] - expected)
        assert error <= tolerance * torch.linalg.norm(expected), name


def test_the_model_leaves_as_it_came(llama: Path) -> None:
    model = _model(llama, torch.float32)
    before, _ = _learn(model)
    with lora.fused(model, adapted.NAME):
        pass
    assert not any("forward" in vars(module) for module in model.modules())
    assert torch.equal(_learn(model)[0], before)


def test_dropout_is_left_to_peft(llama: Path) -> None:
    with lora.fused(_model(llama, torch.float32, dropout=0.1), adapted.NAME) as count:
        assert count == 0
