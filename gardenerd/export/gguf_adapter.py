"""An adapter as a GGUF file, as llama.cpp and ollama load it beside a base."""

from __future__ import annotations

from pathlib import Path

import gguf

from gardenerd.export.lora import Lora
from gardenerd.export.shape import Shape


def write_adapter(lora: Lora, shape: Shape, target: Path, *, name: str) -> None:
    """Write all of it, in float32.

    Raises:
        AdapterError: it was made for a model of another shape.
        RefusedError: it changes a part that has no place in the format.
    """
    shape.check(lora)
    writer = gguf.GGUFWriter(target, shape.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, lora.alpha)
    writer.add_name(name)
    for module, pair in lora.pairs.items():
        there = shape.module(module)
        writer.add_tensor(f"{there}.weight.lora_a", pair.a)
        # Rows of what comes out are rows of this half alone.
        writer.add_tensor(f"{there}.weight.lora_b", shape.rows(there, pair.b).copy())
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
