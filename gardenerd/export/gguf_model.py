"""A base model as a GGUF file, with or without an adapter merged in.

Matrices stay in the kind of number that the base has them in; vectors (norms, biases) are written
in float32, which is what llama.cpp computes them in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from gardenerd.errors import RefusedError
from gardenerd.export.lora import Lora
from gardenerd.export.shape import Shape, shape_of
from gardenerd.export.tensors import Array, TensorFile, floats
from gardenerd.export.vocabulary import Vocabulary

_Types = gguf.GGMLQuantizationType
_KINDS = {"F32": _Types.F32, "F16": _Types.F16, "BF16": _Types.BF16}
_FILE_KINDS = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "BF16": gguf.LlamaFileType.MOSTLY_BF16,
}
# Buffers that old checkpoints carry along; they are computed anew.
_COMPUTED = "rotary_emb.inv_freq"


def write_model(
    files: Sequence[TensorFile],
    config: dict[str, Any],
    vocabulary: Vocabulary,
    lora: Lora | None,
    target: Path,
    *,
    name: str,
    step: Callable[[int], None],
) -> None:
    """Write all of it, tensor by tensor.

    Args:
        step: called after each tensor with its bytes; raises to break off.

    Raises:
        RefusedError: the model is none that is written as GGUF.
        AdapterError: the adapter does not fit it.
    """
    shape = shape_of(config)
    writer = gguf.GGUFWriter(target, shape.architecture)
    _describe(writer, shape, config, name)
    _describe_tokens(writer, vocabulary)
    matrices = {entry.dtype for file in files for entry in file.entries.values()}
    most = "BF16" if "BF16" in matrices else "F16" if "F16" in matrices else "F32"
    writer.add_file_type(_FILE_KINDS[most])
    if lora is not None:
        shape.check(lora)
    plan = list(_plan(files, config, shape))
    turns = _turns(config, shape)
    if turns is not None:
        writer.add_tensor_info("rope_freqs.weight", turns.shape, turns.dtype, turns.nbytes)
    for file, own, there in plan:
        entry = file.entries[own]
        kind = entry.dtype if len(entry.shape) > 1 else "F32"
        numbers = math.prod(entry.shape)
        nbytes = numbers * (4 if kind == "F32" else 2)
        writer.add_tensor_info(
            there, entry.shape, np.dtype(np.float32), nbytes, raw_dtype=_KINDS[kind]
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        if turns is not None:
            writer.write_tensor_data(turns)
        for file, own, there in plan:
            writer.write_tensor_data(_tensor(file, own, there, shape, lora))
            step(file.entries[own].nbytes)
    finally:
        writer.close()


def _plan(
    files: Sequence[TensorFile], config: dict[str, Any], shape: Shape
) -> Iterator[tuple[TensorFile, str, str]]:
    """Each tensor of the base with its name in the file."""
    tied = bool(config.get("tie_word_embeddings"))
    for file in files:
        for own in file.entries:
            module, _, part = own.rpartition(".")
            if own.endswith(_COMPUTED) or (tied and module == "lm_head"):
                continue
            yield file, own, f"{shape.module(module)}.{part}"


def _tensor(file: TensorFile, own: str, there: str, shape: Shape, lora: Lora | None) -> Array:
    tensor = file.read(own) if lora is None else lora.merged(file, own)
    if tensor.ndim == 1:
        tensor = floats(tensor, file.entries[own].dtype)
    return np.ascontiguousarray(shape.rows(there.rpartition(".")[0], tensor))


def _describe(writer: gguf.GGUFWriter, shape: Shape, config: dict[str, Any], name: str) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_vocab_size(int(config["vocab_size"]))
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    size = _head_size(config, shape)
    if size * shape.heads != shape.width:
        writer.add_key_length(size)
        writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    rope = _rope(config)
    writer.add_rope_freq_base(float(rope.get("rope_theta", 10_000.0)))
    match rope.get("rope_type", "default"):
        case "default" | "llama3":
            pass
        case "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(float(rope["factor"]))
        case kind:
            raise RefusedError(
                f"its positions are scaled by {kind!r}, which is not written as GGUF",
                hint="export it with --format merged or peft, for transformers",
            )


def _describe_tokens(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")  # what llama.cpp calls any byte-level BPE
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    writer.add_token_merges(vocabulary.merges)
    # Without a number of its own llama.cpp takes 11 for the first token of a text.
    writer.add_bos_token_id(vocabulary.end if vocabulary.begin is None else vocabulary.begin)
    writer.add_add_bos_token(vocabulary.begin is not None)
    writer.add_eos_token_id(vocabulary.end)
    if vocabulary.pad is not None:
        writer.add_pad_token_id(vocabulary.pad)
    for key, number in vocabulary.fill.items():
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", number)
    if vocabulary.template:
        writer.add_chat_template(vocabulary.template)


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """How positions are told apart: as transformers 5 writes it, or as earlier versions did."""
    found = config.get("rope_parameters")
    if isinstance(found, dict):
        return found
    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    theta = config.get("rope_theta", 10_000.0)
    return {**scaling, "rope_type": kind, "rope_theta": theta}


def _head_size(config: dict[str, Any], shape: Shape) -> int:
    return int(config.get("head_dim") or shape.width // shape.heads)


def _turns(config: dict[str, Any], shape: Shape) -> Array | None:
    """What each frequency is divided by in Llama 3.1's scaling; None without it.

    Long waves are stretched by the factor, short ones stay, those between are blended.
    """
    rope = _rope(config)
    if rope.get("rope_type") != "llama3":
        return None
    size = _head_size(config, shape)
    exponents = np.arange(0, size, 2, dtype=np.float64) / size
    waves = 2 * math.pi * float(rope["rope_theta"]) ** exponents
    factor, low, high = (
        float(rope[key]) for key in ("factor", "low_freq_factor", "high_freq_factor")
    )
    trained = float(rope["original_max_position_embeddings"])
    blend = np.clip((trained / waves - low) / (high - low), 0.0, 1.0)
    return (1 / ((1 - blend) / factor + blend)).astype(np.float32)
