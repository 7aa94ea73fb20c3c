"""Short documents in bfloat16 go their own way: it must lead to the same place."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation gives it
from transformers import AttentionInterface

from gardenerd.train import attention

_LENGTHS = [7, 64, 1, 24]
_WIDTH = 16


def _attend(*qkv: torch.Tensor, **options: Any) -> torch.Tensor:

    attend = AttentionInterface()[attention.NAME]
    return attend(SimpleNamespace(), *qkv, None, **options)[0]


def _alone(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float | None) -> torch.Tensor:
    groups = q.shape[1] // k.shape[1]
    k, v = (part.repeat_interleave(groups, dim=1) for part in (k, v))
    pieces = [
        F.scaled_dot_product_attention(*one, is_causal=True, scale=scale)
        for one in zip(*(part.split(_LENGTHS, dim=2) for part in (q, k, v)), strict=True)
    ]
    return torch.cat(pieces, dim=2).transpose(1, 2)


@pytest.mark.parametrize("heads_of_keys", [4, 2])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_short_documents_attend_as_each_does_alone(heads_of_keys: int, scale: float | None) -> None:
    draw = torch.Generator().manual_seed(0)
    shapes = [(1, heads, sum(_LENGTHS), _WIDTH) for heads in (4, heads_of_keys, heads_of_keys)]
    exact = [torch.randn(shape, generator=draw).requires_grad_() for shape in shapes]
    rounded = [part.detach().bfloat16().requires_grad_() for part in exact]
    came = torch.randn(1, sum(_LENGTHS), 4, _WIDTH, generator=draw)

    expected = _alone(*exact, scale)
    expected.backward(came)
    found = _attend(*rounded, scaling=scale, documents=_LENGTHS)
    found.backward(came.bfloat16())

    assert found.dtype == torch.bfloat16 and found.shape == expected.shape
    assert torch.linalg.norm(found.float() - expected) <= 0.01 * torch.linalg.norm(expected)
    for ours, true in zip(rounded, exact, strict=True):
        assert ours.grad is not None and true.grad is not None
        error = torch.linalg.norm(ours.grad.float() - true.grad)
        assert error <= 0.02 * torch.linalg.norm(true.grad)
