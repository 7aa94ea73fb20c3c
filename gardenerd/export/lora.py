"""The matrices of an adapter, and a base's weights with them merged in."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gardenerd.errors import AdapterError, RefusedError
from gardenerd.export.tensors import Array, TensorFile, floats, stored
from gardenerd.models.card import CONFIG, WEIGHTS

_PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True)
class Pair:
    """What is added to a matrix is ``scale * b @ a``."""

    a: NDArray[np.float32]
    """Rank by what goes in."""
    b: NDArray[np.float32]
    """What comes out by rank."""


@dataclass(frozen=True, slots=True)
class Lora:
    pairs: dict[str, Pair]
    """By the name of the module, such as ``model.layers.0.self_attn.q_proj``."""
    alpha: float
    """The scale is this over the rank."""
    rank: int

    def merged(self, file: TensorFile, name: str) -> Array:
        """The tensor ``name`` of the base with what the adapter adds, as the base stores it.

        Raises:
            AdapterError: the matrices do not fit, or the sum is no finite number of that kind.
        """
        base = file.read(name)
        pair = self.pairs.get(name.removesuffix(".weight"))
        if pair is None:
            return base
        entry = file.entries[name]
        if (pair.b.shape[0], pair.a.shape[1]) != entry.shape:
            raise AdapterError(f"the adapter does not fit the base: {name} has another shape")
        added = (self.alpha / self.rank) * (pair.b @ pair.a)
        total = np.asarray(floats(base, entry.dtype) + added, dtype=np.float32)
        with np.errstate(over="ignore"):
            found = stored(total, entry.dtype)
        if not bool(np.isfinite(floats(found, entry.dtype)).all()):
            raise AdapterError(
                f"{name} with the adapter holds numbers that {entry.dtype} cannot",
                hint="export with --format peft, which leaves the base as it is",
            )
        return found


def read_lora(folder: Path) -> Lora:
    """The adapter in ``folder``, whose digests were checked before.

    Raises:
        RefusedError: it is of a kind that gardener does not make.
        AdapterError: it is damaged.
    """
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(f"the configuration in {folder} is damaged: {error}") from error
    odd = ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "fan_in_fan_out")
    set_ = [name for name in odd if config.get(name)]
    if set_ or config.get("bias", "none") != "none":
        raise RefusedError(
            f"the adapter in {folder} is no plain LoRA ({', '.join(set_) or 'bias'})",
            hint="export it with --format peft",
        )
    rank, alpha = int(config["r"]), float(config["lora_alpha"])
    if config.get("use_rslora"):
        alpha *= math.sqrt(rank)
    file = TensorFile(folder / WEIGHTS)
    halves = {
        name.removeprefix(_PREFIX).removesuffix(".weight"): floats(
            file.read(name), file.entries[name].dtype
        )
        for name in file.entries
    }
    modules = [name.removesuffix(".lora_A") for name in halves if name.endswith(".lora_A")]
    try:
        pairs = {m: Pair(halves.pop(f"{m}.lora_A"), halves.pop(f"{m}.lora_B")) for m in modules}
    except KeyError as error:
        raise AdapterError(f"the weights in {folder} lack {error}") from error
    if halves or not pairs:
        raise AdapterError(f"the weights in {folder} are no LoRA matrices alone")
    return Lora(pairs, alpha, rank)
