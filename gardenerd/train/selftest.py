"""Is the model causal on this device? A model that sees the tokens it shall predict seems to learn.

A released torch let bfloat16 attention on Apple silicon see up to three tokens ahead (pytorch issue
195910, mended in 2.13): whatever is trained and validated so looks better than it is, and no
held-out figure shows it. So each run looks before it trains, by the path that it trains on.
"""

from __future__ import annotations

from typing import Any

import torch

from gardenerd.errors import TrainingError
from gardenerd.models.load import Base

_LENGTH = 96
_CUT = 64
_AHEAD = 16  # of the tokens before the cut, those that a leak would move most are the last
_TOLERANCE = 0.02  # of the states' spread: rounding, where kernels add in another order
_PARITY = 0.1  # between two devices, in bfloat16 through all layers


def require_sound(base: Base, model: Any) -> None:
    """Check that later tokens move no earlier state, and that the device computes as a processor.

    Args:
        model: the base with the adapter, as it is about to train.

    Raises:
        TrainingError: it is not so; nothing that this device learns could be trusted.
    """
    draw = torch.Generator().manual_seed(0)
    size = base.model.get_input_embeddings().weight.shape[0]
    rows = torch.randint(size, (1, _LENGTH), generator=draw)
    other = rows.clone()
    other[0, _CUT:] = torch.randint(size, (_LENGTH - _CUT,), generator=draw)
    first, second = (_states(model, tokens.to(base.device)) for tokens in (rows, other))
    moved = (first - second)[0, _CUT - _AHEAD : _CUT].abs().max() / first.std()
    # Numbers that are not finite are another fault: the run itself meets them and says so.
    if float(moved) > _TOLERANCE:
        raise TrainingError(
            f"the model is not causal on {base.device.type}: later tokens change what is "
            f"predicted before them (by {float(moved):.2g} of its spread)",
            hint="update torch: a kernel of this version lets attention see ahead",
        )
    if base.device.type == "cpu":
        return
    model.to("cpu")
    expected = _states(model, rows)
    model.to(base.device)
    apart = torch.linalg.norm(first - expected) / torch.linalg.norm(expected)
    if float(apart) > _PARITY:
        raise TrainingError(
            f"{base.device.type} computes something else than the processor: states differ by "
            f"{float(apart):.0%}",
            hint="update torch, or train on the processor",
        )


def _states(model: Any, rows: torch.Tensor) -> torch.Tensor:
    """Last hidden states, (1, length, width), float32 on the processor."""
    causal = model.get_base_model()
    training = model.training
    model.eval()
    with torch.no_grad():
        states = causal.get_decoder()(
            input_ids=rows,
            position_ids=torch.arange(rows.shape[1], device=rows.device)[None],
            use_cache=False,
            documents=[rows.shape[1]],
        ).last_hidden_state
    model.train(training)
    return states.float().cpu()
