"""Load a base model and its tokenizer: safetensors only, no code of the model's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils import logging as transformers_logging

from gardenerd.errors import ModelError
from gardenerd.models import info

# Nothing may be fetched while a local model loads.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
transformers_logging.disable_progress_bar()


@dataclass(frozen=True, slots=True)
class Base:
    """A base model in memory, frozen, in evaluation mode."""

    model: Any
    tokenizer: Any
    info: info.BaseInfo
    device: torch.device
    start_token: int
    """Stands before the first token of a text, so that every token of it is predicted."""
    end_token: int


def pick_device() -> torch.device:
    """CUDA, else Apple's GPU, else the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def training_dtype() -> torch.dtype:
    """What a run computes in: bfloat16 where matrix products are faster in it, else float32."""
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if torch.backends.mps.is_available():
        return torch.bfloat16
    able = torch.cpu.get_capabilities()
    fast = able.get("avx512_bf16") or able.get("amx_bf16")
    return torch.bfloat16 if fast else torch.float32


def load_base(
    folder: Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
    cache: Path | None = None,
    four_bit: bool = False,
) -> Base:
    """Load the model in ``folder``.

    Args:
        four_bit: hold the projections in NF4, which takes bitsandbytes; they are computed with
            in ``dtype``.
        dtype: of the weights in memory. bfloat16 halves the time of matrix products where the
            processor has them; float32 is exact.
        cache: of fingerprints, see :func:`gardenerd.models.info.fingerprint`.

    Raises:
        ModelError: a missing or damaged file, an unknown architecture, no end-of-text token.
    """
    described = info.inspect(folder, cache=cache)
    device = device or pick_device()
    packed: dict[str, Any] = {}
    if four_bit:
        # Packed while it loads: the whole never stands in memory.
        nf4 = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
        )
        packed = {"quantization_config": nf4, "device_map": {"": device}}
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **packed,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, ImportError) as error:
        raise ModelError(
            f"the model in {folder} cannot be loaded: {error}", hint="copy the model again"
        ) from error
    model, report = loaded
    missing = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if missing:
        raise ModelError(
            f"the model in {folder} lacks weights: {', '.join(missing[:3])}",
            hint="copy the model again, completely",
        )
    end = tokenizer.eos_token_id
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else end
    if start is None or end is None:
        raise ModelError(
            f"the tokenizer in {folder} names no end-of-text token",
            hint="set eos_token in its tokenizer_config.json",
        )
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ModelError(
            f"the tokenizer in {folder} has {len(tokenizer):,} tokens and the model {rows:,}: "
            "it is another model's",
            hint="copy tokenizer.json again from where the weights came from",
        )
    model.requires_grad_(False)
    model.eval()
    if not four_bit:
        model.to(device)
    return Base(model, tokenizer, described, device, start, end)
