"""Can a model be loaded here at all? Asked before it is, without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gardenerd.core import memory
from gardenerd.errors import ModelError
from gardenerd.models import estimate
from gardenerd.models.fit import whole_bytes
from gardenerd.models.info import inspect, read_config

NVIDIA = Path("/proc/driver/nvidia/version")
"""There is such a file where NVIDIA's driver is loaded."""

_ENDINGS = ("ForCausalLM", "LMHeadModel")
_OTHERS = "name a model whose architecture transformers has, such as Qwen2, Llama or Gemma"


def check(folder: Path) -> None:
    """Refuse what cannot serve: no language model, an architecture that is not known, or a
    tokenizer of another model.

    Raises:
        ModelError: says which, and what to do.
    """
    config = read_config(folder)
    check_architecture(config, str(folder))
    tokens, rows = vocabulary(folder), _text_config(config).get("vocab_size")
    if isinstance(rows, int) and tokens > rows:
        raise ModelError(
            f"the tokenizer in {folder} has {tokens:,} tokens and the model {rows:,}: "
            "it is another model's",
            hint="copy tokenizer.json again from where the weights came from",
        )


def check_architecture(config: Mapping[str, Any], where: str) -> None:
    """Refuse a configuration that names no causal language model that transformers has.

    Raises:
        ModelError: says which, and what to do.
    """
    if "quantization_config" in config:
        raise ModelError(
            f"{where} holds weights that are packed already, which adapters cannot be trained on",
            hint="name the model in its plain form; gardener packs it itself where it must",
        )
    named = [str(name) for name in config.get("architectures") or []]
    causal = [name for name in named if name.endswith(_ENDINGS)]
    if config.get("is_encoder_decoder") or (named and not causal):
        raise ModelError(
            f"{where} holds {named[0] if named else 'an encoder'}, which is no model that writes "
            "on from a text",
            hint="name a causal language model (its architecture ends with ForCausalLM)",
        )
    if causal and not known(causal[0], str(config.get("model_type", ""))):
        raise ModelError(
            f"{where} holds {causal[0]}, an architecture that this transformers does not have",
            hint=_OTHERS,
        )


def require_room(folder: Path, name: str, limit: int, allowed: int) -> None:
    """Refuse a model that needs more than ``limit`` bytes of memory to serve, however it is held.

    Args:
        allowed: bytes that the model worker may hold, by ``model.max_memory_mb``.

    Raises:
        ModelError: with the estimate.
    """
    info, config = inspect(folder, digest=False), read_config(folder)
    refuse_too_large(name, config, info.parameters, info.bytes, limit)
    least = least_bytes(config, info.parameters, info.bytes)
    if least > allowed:
        needed = estimate.serving(
            config, info.parameters, bytes_each=0.5 if has_four_bit() else whole_bytes(info.bytes)
        )
        raise ModelError(
            f"{name} takes {least / 1e9:.1f} GB of memory before it reads anything, and "
            f"model.max_memory_mb allows {allowed / 1e9:.1f} GB",
            hint=f"set max_memory_mb = {-(-needed // 10**8) * 100} under [model] in config.toml, "
            "then `gardenerctl restart`",
        )


def least_bytes(config: Mapping[str, Any], parameters: int, stored_bytes: int) -> int:
    """Bytes of a process that holds the model, in four bits where they are installed."""
    each = 0.5 if has_four_bit() else whole_bytes(stored_bytes)
    return memory.LIBRARIES + estimate.loaded(config, parameters, bytes_each=each)


def refuse_too_large(
    name: str, config: Mapping[str, Any], parameters: int, stored_bytes: int, limit: int
) -> None:
    """
    Args:
        stored_bytes: of the weights; small ones are held in float32, see :mod:`.fit`.

    Raises:
        ModelError: with the estimate.
    """
    needed = estimate.serving(config, parameters, bytes_each=whole_bytes(stored_bytes))
    if needed <= limit:
        return
    packed = estimate.serving(config, parameters, bytes_each=0.5)
    if has_four_bit() and packed <= limit:
        return
    hint = "choose a smaller one: see `gardenerctl model list`"
    if packed <= limit:
        ways = "ollama serves it so (docs/backends.md)"
        if NVIDIA.exists():
            ways = "pip install 'gardener[4bit]'"
        hint = f"in 4 bits it takes about {packed / 1e9:.1f} GB: {ways}; or {hint}"
    raise ModelError(
        f"{name} takes {needed / 1e9:.1f} GB of memory to serve and this machine has "
        f"{limit / 1e9:.1f} GB",
        hint=hint,
    )


def has_four_bit() -> bool:
    """Whether a CUDA device may hold weights in four bits: bitsandbytes is installed."""
    return NVIDIA.exists() and find_spec("bitsandbytes") is not None


@cache
def known(architecture: str, kind: str) -> bool:
    """Whether transformers has the class ``architecture``, found without importing it: that takes
    seconds and torch."""
    spec = find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return False
    models = Path(spec.submodule_search_locations[0]) / "models"
    wanted = f"class {architecture}(".encode()
    # Mostly the kind names the folder; a few share that of another.
    for pattern in (f"{kind}/modeling_*.py", "*/modeling_*.py"):
        if any(wanted in file.read_bytes() for file in models.glob(pattern)):
            return True
    return False


def vocabulary(folder: Path) -> int:
    """One more than the highest token that ``tokenizer.json`` names.

    Raises:
        ModelError: it is missing or damaged.
    """
    file = folder / "tokenizer.json"
    try:
        found = json.loads(file.read_bytes())
        vocab = found["model"]["vocab"]
        # Unigram models list their pieces, others map them to numbers.
        highest = len(vocab) - 1 if isinstance(vocab, list) else max(vocab.values(), default=-1)
        added = [token["id"] for token in found.get("added_tokens") or []]
        return max([highest, *added]) + 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{file} is damaged or no tokenizer: {error}", hint="copy the model again"
        ) from error


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config
