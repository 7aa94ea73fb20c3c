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
from gardenerd.train.shapes import filled

NAME = "gardener_documents"
# Up to here a document's matrix of weights is cheaper to keep than to make again in the backward
# pass, on a processor: a quarter of attention's time at 128 and 256 tokens, even at 512 (measured).
_SHORT = 512
# Documents are filled up to a multiple of so many tokens (:mod:`gardenerd.train.shapes`).
_STEP = 32


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
    base.model.set_attn_implementation(NAME)
    return base.model.config._attn_implementation == NAME


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
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    lengths = [query.shape[2]] if documents is None else list(documents)
    if query.device.type == "cpu" and kind == torch.bfloat16:
        if documents is not None and max(lengths) <= _SHORT and dropout == 0:
            scale = query.shape[-1] ** -0.5 if scaling is None else scaling
            return _ShortDocuments.apply(query, key, value, lengths, scale), None
        # torch 2.13 on a processor: the backward pass is twice as fast in float32, and exact.
        query, key, value = query.float(), key.float(), value.float()
    pieces = [
        F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling, is_causal=True)
        for q, k, v in zip(
            *(part.split(lengths, dim=2) for part in (query, key, value)), strict=True
        )
    ]
    return torch.cat(pieces, dim=2).transpose(1, 2).to(kind).contiguous(), None


class _ShortDocuments(torch.autograd.Function):
    """Causal attention of one row's documents, each by whole matrices.

    What fills a document up stands after it, where nothing of it is seen, and gets no gradient.
    Scores and their softmax are float32, the products with values and gradients bfloat16. One
    function for the whole row, so that autograd neither cuts nor joins tensors per document.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        lengths: list[int],
        scale: float,
    ) -> torch.Tensor:
        """From (1, heads, tokens, width) each to (1, tokens, heads, width)."""
        _, heads, tokens, width = query.shape
        out = query.new_empty(1, tokens, heads, width)
        kept: list[torch.Tensor] = []
        most = filled(max(lengths), _STEP)
        forbidden = torch.full((most, most), -torch.inf).triu_(1)
        for q, k, v, o in zip(
            *(part[0].split(lengths, dim=1) for part in (query, key, value)),
            out[0].split(lengths),
            strict=True,
        ):
            length = q.shape[1]
            n = filled(length, _STEP)
            q, k, v = (F.pad(part, (0, 0, 0, n - length)) for part in (q, k, v))
            scores = torch.baddbmm(
                forbidden[:n, :n], q.float(), k.float().transpose(1, 2), alpha=scale
            )
            weights = torch.softmax(scores, dim=-1).to(q.dtype)
            o.copy_((weights @ v)[:, :length].transpose(0, 1))
            kept += [q, k, v, weights]
        ctx.save_for_backward(*kept)
        ctx.lengths, ctx.scale = lengths, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Gradients of query, key and value, each (1, heads, tokens, width)."""
        kept = ctx.saved_tensors
        (grad,) = grads
        _, tokens, heads, width = grad.shape
        found = [grad.new_empty(1, heads, tokens, width) for _ in range(3)]
        pieces = zip(*(part[0].split(ctx.lengths, dim=1) for part in found), strict=True)
        for i, (piece, (dq, dk, dv)) in enumerate(
            zip(grad[0].split(ctx.lengths), pieces, strict=True)
        ):
            q, k, v, weights = kept[4 * i : 4 * i + 4]
            length = piece.shape[0]
            g = F.pad(piece.transpose(0, 1), (0, 0, 0, weights.shape[1] - length))
            dv.copy_((weights.transpose(1, 2) @ g)[:, :length])
            # The softmax's gradient: weights times (what comes, less its mean under the weights).
            scores = g @ v.transpose(1, 2)
            scores = torch.ops.aten._softmax_backward_data(scores, weights, -1, weights.dtype)
            scores *= ctx.scale
            dq.copy_((scores @ k)[:, :length])
            dk.copy_((scores.transpose(1, 2) @ q)[:, :length])
        return *found, None, None


AttentionInterface.register(NAME, _attend)
