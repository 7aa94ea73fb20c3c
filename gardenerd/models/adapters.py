"""Put an adapter on a base model in memory, strictly: every weight fits, or it is refused.

peft loads adapters leniently (unknown keys ignored, missing ones left at zero), which turns an
adapter of another base into a silent no-op or worse; here both are errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from peft.utils import get_peft_model_state_dict

from gardenerd.errors import AdapterError
from gardenerd.models.card import Card, read_card, verify, write_card
from gardenerd.models.load import Base
from gardenerd.models.weights import load_weights

__all__ = ["Card", "attach", "detach", "load_weights", "read_card", "verify", "write_card"]


def attach(base: Base, folder: Path, *, name: str, model: Any = None) -> PeftModel:
    """Load the adapter in ``folder`` onto the base under ``name``, in float32, inactive gradients.

    Args:
        model: the :class:`PeftModel` that holds other adapters of this base already; None wraps
            the base. Adapters of other ranks may stand side by side.

    Returns:
        The model; choose who serves with ``model.set_adapter(name)``.

    Raises:
        AdapterError: of another base, damaged, not finite, or its weights do not fit.
    """
    verify(folder, base.info.fingerprint)
    weights = load_weights(folder)
    try:
        config = LoraConfig.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise AdapterError(f"the configuration in {folder} is damaged: {error}") from error
    config.inference_mode = True
    config.base_model_name_or_path = None  # the fingerprint has said whose it is
    if model is None:
        model = get_peft_model(base.model, config, adapter_name=name)
    else:
        model.add_adapter(name, config)
    try:
        put_weights(model, weights, name, where=str(folder))
    except AdapterError:
        detach(model, name)
        raise
    model.eval()
    return model


def detach(model: PeftModel, name: str) -> None:
    """Take the adapter ``name`` off; the base stays as it was."""
    others = [other for other in model.peft_config if other != name]
    if others and name in model.active_adapters:
        model.set_adapter(others[0])
    model.delete_adapter(name)


def put_weights(
    model: PeftModel, weights: dict[str, torch.Tensor], name: str, *, where: str
) -> None:
    """Set all the weights of the adapter ``name``; keys and shapes must match exactly."""
    own = get_peft_model_state_dict(model, adapter_name=name)
    wrong = sorted(own.keys() ^ weights.keys()) or sorted(
        key for key in own if own[key].shape != weights[key].shape
    )
    if wrong:
        raise AdapterError(
            f"the adapter in {where} does not fit the base: {wrong[0]} "
            f"and {len(wrong) - 1} more differ",
            hint="it was made for another model or another configuration: train a new one",
        )
    set_peft_model_state_dict(model, weights, adapter_name=name)
