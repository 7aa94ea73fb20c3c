"""The base with a new adapter on it, ready to train: only the adapter's numbers may change."""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

from gardenerd.errors import SettingsError, TrainingError
from gardenerd.models import adapters
from gardenerd.models.card import WEIGHTS, read_card
from gardenerd.models.load import Base
from gardenerd.workers.jobs import AdapterRef
from gardenerd.workers.train_jobs import Hyperparameters

log = logging.getLogger(__name__)

NAME = "candidate"


def continued(base: Base, chosen: Hyperparameters, parent: AdapterRef | None) -> AdapterRef | None:
    """The parent, if its weights can be gone on from; None: the adapter starts from the base.

    One of another rank or other modules cannot, and ``anew`` says that it shall not.

    Raises:
        AdapterError: the parent is damaged or of another base.
    """
    if parent is None or chosen.anew:
        return None
    adapters.verify(Path(parent.folder), base.info.fingerprint)
    if continues(chosen, parent):
        return parent
    log.warning("the adapter starts anew", extra={"parent": parent.version})
    return None


def continues(chosen: Hyperparameters, parent: AdapterRef | None) -> bool:
    """Whether the parent's card lets a run go on from it.

    Raises:
        AdapterError: there is no such card.
    """
    if parent is None or chosen.anew:
        return False
    card = read_card(Path(parent.folder))
    return (
        card.rank == chosen.rank
        and card.alpha == chosen.alpha
        and _names(card.target_modules) == _names(chosen.target_modules)
    )


def prepare(base: Base, chosen: Hyperparameters, parent: AdapterRef | None) -> PeftModel:
    """Put a trainable adapter on the base: new from the seed, or with the parent's weights.

    Args:
        parent: one that :func:`continued` gave.

    Raises:
        SettingsError: a target module that the base does not have.
        AdapterError: the parent is damaged.
        TrainingError: something other than the planned numbers would be trained.
    """
    torch.manual_seed(chosen.seed)
    targets = chosen.target_modules
    names = _names(targets)
    if targets != "all-linear":
        _require_modules(base.model, names)
    config = LoraConfig(
        r=chosen.rank,
        lora_alpha=chosen.alpha,
        lora_dropout=chosen.dropout,
        target_modules="all-linear" if targets == "all-linear" else sorted(names),
        task_type=TaskType.CAUSAL_LM,
        bias="none",
    )
    model = get_peft_model(base.model, config, adapter_name=NAME)
    if parent is not None:
        weights = adapters.load_weights(Path(parent.folder))
        adapters.put_weights(model, weights, NAME, where=parent.folder)
    trained, planned = count(model, chosen.rank)
    if trained != planned:
        raise TrainingError(f"{trained:,} parameters would be trained, {planned:,} are planned")
    model.train()
    return model


def count(model: Any, rank: int) -> tuple[int, int]:
    """Parameters that would be trained, and how many the plan has.

    The plan is rank x (inputs + outputs) for each adapted projection, none of them an embedding or
    the head. The first figure counts whatever has ``requires_grad``, LoRA's or not.
    """
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    causal = model.get_base_model()
    forbidden = {id(causal.get_input_embeddings()), id(causal.get_output_embeddings())}
    planned = 0
    for module in model.modules():
        layer = getattr(module, "base_layer", None)
        if layer is None or not hasattr(module, "lora_A") or NAME not in module.lora_A:
            continue
        if id(module) in forbidden or isinstance(layer, torch.nn.Embedding):
            raise TrainingError("embeddings and head are never adapted")
        planned += rank * (module.in_features + module.out_features)
    return trained, planned


def trainable(model: Any) -> dict[str, torch.nn.Parameter]:
    """The parameters that train, by name; all are LoRA's own and float32."""
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    strange = [name for name, p in found.items() if "lora_" not in name or p.dtype != torch.float32]
    if strange:
        raise TrainingError(f"{strange[0]} would be trained and is no float32 LoRA weight")
    return found


def base_digest(model: Any) -> str:
    """SHA-256 over all weights in memory that are not LoRA's."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if "lora_" in name:
            continue
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().view(-1)
        digest.update(memoryview(flat.view(torch.uint8).numpy()))
    return digest.hexdigest()


def _names(modules: str | tuple[str, ...]) -> set[str]:
    return {modules} if isinstance(modules, str) else set(modules)


def _require_modules(model: Any, names: set[str]) -> None:
    present = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    missing = sorted(names - present)
    if missing:
        raise SettingsError(
            f"train.target_modules names {', '.join(missing)}, which the base model does not have",
            hint="use all-linear, or names of this model's projections",
        )


def save(model: PeftModel, folder: Path) -> None:
    """Write the adapter as ``folder``, in float32, in place of what stands there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    state = get_peft_model_state_dict(model, adapter_name=NAME)
    save_file(
        {key: value.detach().float().cpu().contiguous() for key, value in state.items()},
        folder / WEIGHTS,
        metadata={"format": "pt"},
    )
    config = model.peft_config[NAME]
    config.base_model_name_or_path = None  # a path of this machine says nothing elsewhere
    config.save_pretrained(str(folder))
