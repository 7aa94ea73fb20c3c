"""The hardware as torch finds it, and a base model put on the part of it that suits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import psutil
import torch

from gardenerd.models import estimate, info
from gardenerd.models.check import has_four_bit
from gardenerd.models.fit import BYTES, Choice, Precision, choose
from gardenerd.models.load import Base, load_base
from gardenerd.workers.fetch_jobs import Gpu, Hardware

log = logging.getLogger(__name__)

_TYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "4bit": torch.bfloat16,  # of what is not packed, and of products
}


def look() -> Hardware:
    """What there is to compute on, and how much of its memory is free."""
    memory = psutil.virtual_memory()
    able = torch.cpu.get_capabilities()
    apple = 0
    if torch.backends.mps.is_available():
        apple = int(torch.mps.recommended_max_memory())
    return Hardware(
        memory_bytes=memory.total,
        free_bytes=memory.available,
        processor_bfloat16=bool(able.get("avx512_bf16") or able.get("amx_bf16")),
        cuda=_roomiest() if torch.cuda.is_available() else None,
        apple_bytes=apple,
        four_bit=has_four_bit(),
    )


def _roomiest() -> Gpu:
    number = max(range(torch.cuda.device_count()), key=lambda n: torch.cuda.mem_get_info(n)[0])
    free, total = torch.cuda.mem_get_info(number)
    return Gpu(
        name=torch.cuda.get_device_name(number),
        total_bytes=total,
        free_bytes=free,
        bfloat16=torch.cuda.is_bf16_supported(including_emulation=False),
        number=number,
    )


def load_for_serving(
    folder: Path,
    *,
    cache: Path | None,
    limit: int | None = None,
    admit: Callable[[int], None] = lambda _: None,
) -> Base:
    """Load the model in ``folder`` where and how it suits this machine; on the processor if a
    GPU's memory proves too small after all.

    Args:
        limit: bytes that this process may hold; None: all that there are.
        admit: told the bytes of the weights before they are read; raises if there is no room.

    Raises:
        ModelError: see :func:`gardenerd.models.load.load_base`.
    """
    described = info.inspect(folder, cache=cache)
    found = look()
    config = info.read_config(folder)
    choice = choose(config, described.parameters, described.bytes, found, limit)
    each = BYTES[choice.precision]
    admit(estimate.loaded(config, described.parameters, bytes_each=each))
    if choice.warning:
        log.warning("base model", extra={"warning": choice.warning})
    try:
        return _load(folder, choice, found, cache)
    except torch.OutOfMemoryError as error:
        log.warning("the processor is used", extra={"cause": str(error)[:200]})
        without = Hardware(
            memory_bytes=found.memory_bytes,
            free_bytes=found.free_bytes,
            processor_bfloat16=found.processor_bfloat16,
            four_bit=found.four_bit,
        )
    torch.cuda.empty_cache()
    choice = choose(config, described.parameters, described.bytes, without, limit)
    return _load(folder, choice, without, cache)


def _load(folder: Path, choice: Choice, found: Hardware, cache: Path | None) -> Base:
    device = torch.device(choice.device)
    if choice.device == "cuda" and found.cuda is not None:
        device = torch.device("cuda", found.cuda.number)
    log.info(
        "loading the base model",
        extra={
            "folder": folder.name,
            "device": str(device),
            "precision": choice.precision,
            "reason": choice.reason,
        },
    )
    return load_base(
        folder,
        dtype=_TYPES[choice.precision],
        device=device,
        cache=cache,
        four_bit=choice.precision == "4bit",
    )
