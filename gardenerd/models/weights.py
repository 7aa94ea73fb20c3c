"""The tensors of an adapter on disk. Needs torch, and not peft, which takes seconds to import."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from gardenerd.errors import AdapterError
from gardenerd.models import card as cards


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The adapter's tensors; every number in them is finite."""
    try:
        weights = load_file(folder / cards.WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"the weights in {folder} are damaged: {error}") from error
    broken = [key for key, value in weights.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise AdapterError(
            f"the adapter in {folder} holds numbers that are not finite ({broken[0]})",
            hint="roll back to another version with `gardenerctl rollback VERSION`",
        )
    return weights
