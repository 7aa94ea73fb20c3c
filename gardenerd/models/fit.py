"""On what a model is computed, in which precision, and why; decided by what is there. Light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gardenerd.models import estimate
from gardenerd.workers.fetch_jobs import Hardware

Precision = Literal["float32", "bfloat16", "4bit"]
BYTES: dict[Precision, float] = {"float32": 4, "bfloat16": 2, "4bit": 0.5}

EXACT_BYTES = 200_000_000
"""Of weights as they are stored, above which half precision is worth more than exactness."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    device: Literal["cuda", "mps", "cpu"]
    precision: Precision
    needed_bytes: int
    """To serve."""
    reason: str
    warning: str = ""
    """What is short; empty if nothing is."""


def choose(
    config: Mapping[str, Any],
    parameters: int,
    stored_bytes: int,
    found: Hardware,
    limit: int | None = None,
) -> Choice:
    """The first of CUDA, Apple's GPU and the processor that has the memory to serve the model.

    A model that is small is computed in float32 anywhere: exact, and it costs nothing. Four bits
    are the last resort on CUDA, where they are installed.

    Args:
        limit: bytes that the model worker may hold; None: all of them.
    """
    limit = found.memory_bytes if limit is None else limit
    whole: Precision = "float32" if stored_bytes <= EXACT_BYTES else "bfloat16"
    passed: list[str] = []

    def needed(precision: Precision) -> int:
        return estimate.serving(config, parameters, bytes_each=BYTES[precision])

    def chosen(device: Literal["cuda", "mps", "cpu"], precision: Precision, why: str) -> Choice:
        bytes_needed = needed(precision)
        warning = "; ".join(passed)
        if device == "cpu" and bytes_needed > found.free_bytes:
            short = f"memory is short: it takes {_gb(bytes_needed)}, {_gb(found.free_bytes)} free"
            warning = f"{warning}; {short}" if warning else short
        return Choice(
            device=device,
            precision=precision,
            needed_bytes=bytes_needed,
            reason=why,
            warning=warning,
        )

    if found.cuda is not None:
        gpu = found.cuda
        half = whole if gpu.bfloat16 else "float32"
        ways: list[Precision] = [half, "4bit"] if found.four_bit else [half]
        for precision in ways:
            last = precision == ways[-1]
            if needed(precision) <= gpu.free_bytes and (last or needed(precision) <= limit):
                return chosen("cuda", precision, f"{gpu.name}, {_why(precision, gpu.bfloat16)}")
        passed.append(
            f"GPU memory is short: {gpu.name} has {_gb(gpu.free_bytes)} of "
            f"{_gb(gpu.total_bytes)} free and {_gb(needed(half))} are needed; "
            "the processor is used"
        )
    elif found.apple_bytes:
        if needed(whole) <= found.apple_bytes:
            return chosen("mps", whole, f"Apple's GPU, {_why(whole, True)}")
        passed.append(
            f"Apple's GPU may take {_gb(found.apple_bytes)} and {_gb(needed(whole))} are needed; "
            "the processor is used"
        )
    # Four bits save nothing here: they are unpacked for each product (measured: docs/models.md).
    where = "the processor" if passed else "the processor, since no GPU was found"
    return chosen("cpu", whole, f"{where}; {_why(whole, found.processor_bfloat16)}")


def whole_bytes(stored_bytes: int) -> int:
    """Bytes of a number of a model whose weights have ``stored_bytes``: exact if it is small."""
    return 4 if stored_bytes <= EXACT_BYTES else 2


def largest(found: Hardware) -> int:
    """Bytes that a model may take at most, on whatever there is."""
    return max(found.memory_bytes, found.cuda.total_bytes if found.cuda else 0)


def _why(precision: Precision, fast: bool) -> str:
    if precision == "float32":
        return "float32: exact"
    if precision == "4bit":
        return "4-bit NF4: it would not fit otherwise"
    return "bfloat16: half the memory" + (
        ", and fast here" if fast else "; this device has no instructions for it and is slow in it"
    )


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
