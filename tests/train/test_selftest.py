"""A device that sees ahead, or computes nonsense, is found before anything trains on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation gives it

from gardenerd.errors import TrainingError
from gardenerd.models.load import load_base
from gardenerd.train import attention, selftest
from gardenerd.train import model as adapted
from gardenerd.workers.train_jobs import Hyperparameters

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("by_documents", [False, True])
def test_a_sound_device_passes(
    architecture: str, dtype: torch.dtype, by_documents: bool, request: pytest.FixtureRequest
) -> None:
    base = load_base(request.getfixturevalue(architecture), dtype=dtype)
    if by_documents:
        assert attention.use(base, 256)
    model = adapted.prepare(base, Hyperparameters(), None)
    selftest.require_sound(base, model)
    assert model.training


@pytest.mark.parametrize("ahead", [1, 3])
def test_attention_that_sees_ahead_is_found(
    ahead: int, llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = load_base(llama)
    exact = F.scaled_dot_product_attention

    def leaks(q: Any, k: Any, v: Any, **options: Any) -> Any:
        options.pop("is_causal", None)
        options["attn_mask"] = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(ahead)
        return exact(q, k, v, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", leaks)
    assert attention.use(base, 256)
    model = adapted.prepare(base, Hyperparameters(), None)
    with pytest.raises(TrainingError, match="not causal"):
        selftest.require_sound(base, model)
