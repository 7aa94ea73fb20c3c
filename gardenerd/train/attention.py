"""Attention within each document of a packed row, and no further.

transformers' own way to pack is one mask over the whole row. Its cost grows with the square of the
row, most of it for pairs that the mask then forbids: on a processor half of a training step of a
small model. Here each document attends by itself, causally, without a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation gives it
from transformers import AttentionInterface

from gardenerd.models.load import Base

_NAME = "gardener_documents"


def use(base: Base, max_length: int) -> bool:
    """Let the base attend by documents; False if its architecture needs an attention of its own.

    Where it is False, transformers' mask, made from the positions, does the same more slowly.

    Args:
        max_length: tokens in the longest document; a sliding window no shorter changes nothing.
    """
    config = base.model.config
    window = getattr(config, "sliding_window", None) or max_length
    sliding = getattr(config, "use_sliding_window", True) and window < max_length
    if getattr(config, "attn_logit_softcapping", None) or sliding:
        return False
    base.model.set_attn_implementation(_NAME)
    return base.model.config._attn_implementation == _NAME


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    *,
    documents: Sequence[int] | None = None,
    **_others: Any,
) -> tuple[torch.Tensor, None]:
    """One layer's attention.

    Args:
        query: (1, heads, tokens, width); key and value may have fewer heads.
        documents: the length of each document in the row; their sum is ``tokens``. None: each row
            is one document.

    Returns:
        (1, tokens, heads, width), and no attention weights.
    """
    del attention_mask
    kind = query.dtype
    if query.device.type == "cpu" and kind == torch.bfloat16:
        # torch 2.13 on a processor: the backward pass is twice as fast in float32, and exact.
        query, key, value = query.float(), key.float(), value.float()
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    lengths = [query.shape[2]] if documents is None else list(documents)
    pieces = [
        F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling, is_causal=True)
        for q, k, v in zip(
            *(part.split(lengths, dim=2) for part in (query, key, value)), strict=True
        )
    ]
    return torch.cat(pieces, dim=2).transpose(1, 2).to(kind).contiguous(), None


AttentionInterface.register(_NAME, _attend)
