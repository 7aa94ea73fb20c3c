"""LoRA's forward and backward pass of one projection, without peft's copies.

peft runs the adapter as modules of its own beside the projection: the input is copied to the
adapter's type, each product is a tensor, and the sum another. Around a small model's matrices that
costs as much as the matrices. Here one function adds the adapter's product onto the projection's in
place, forward and backward, and computes only the gradients that train. (Unsloth does the same in
its kernels.)
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear


@contextmanager
def fused(model: Any, name: str) -> Generator[int]:
    """Run the adapter's projections fused; the model leaves as it came.

    Only plain LoRA on a plain linear layer, without dropout: others keep peft's way.

    Args:
        name: of the adapter, the only active one.

    Yields:
        How many projections are fused.
    """
    layers = [layer for layer in model.modules() if _plain(layer, name)]
    for layer in layers:
        layer.forward = partial(_project, layer, name)
    try:
        yield len(layers)
    finally:
        for layer in layers:
            del layer.forward


def _plain(layer: Any, name: str) -> bool:
    return (
        type(layer) is Linear
        and type(layer.base_layer) is torch.nn.Linear
        and name in layer.lora_A
        and not layer.lora_variant
        and not layer.lora_bias[name]
        and isinstance(layer.lora_dropout[name], torch.nn.Identity)
    )


def _project(layer: Any, name: str, x: torch.Tensor) -> torch.Tensor:
    base = layer.base_layer
    if layer.disable_adapters:
        return base(x)
    return _Projection.apply(
        x,
        base.weight,
        base.bias,
        layer.lora_A[name].weight,
        layer.lora_B[name].weight,
        layer.scaling[name],
    )


class _Projection(torch.autograd.Function):
    """y = x W' + b + scale (x A') B', where W and b are frozen and A' is the transposed of A."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        """The projection of x, (..., inputs), by W, (outputs, inputs), A and B in float32."""
        rows = x.reshape(-1, x.shape[-1]).to(weight.dtype)
        a, b = down.to(weight.dtype), (up * scale).to(weight.dtype)
        inner = rows @ a.t()
        y = rows @ weight.t() if bias is None else torch.addmm(bias, rows, weight.t())
        y.addmm_(inner, b.t())
        ctx.save_for_backward(rows, inner, weight, a, b)
        ctx.scale, ctx.shape, ctx.kind = scale, x.shape, x.dtype
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Gradients of x, A and B; the frozen have none."""
        rows, inner, weight, a, b = ctx.saved_tensors
        dy = grads[0].reshape(-1, weight.shape[0])
        outer = dy @ b
        dx = None
        if ctx.needs_input_grad[0]:
            dx = (dy @ weight).addmm_(outer, a).to(ctx.kind).view(ctx.shape)
        d_down = outer.t() @ rows
        d_up = (inner.t() @ dy).t()
        return dx, None, None, d_down.float(), d_up.float().mul_(ctx.scale), None
