"""What llama.cpp calls the parts of a model, and the order in which it wants their rows.

Names and the order of rows are those of llama.cpp's own conversion (gguf-py's tensor map; Llama's
query and key rows go from halves to pairs, since its rotary embedding turns neighbours).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from gardenerd.errors import AdapterError, RefusedError
from gardenerd.export.lora import Lora
from gardenerd.export.tensors import Array

_HINT = "export it with --format merged or peft, for transformers"
_PARTS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a model matters to its adapters."""

    architecture: Literal["llama", "qwen2"]
    layers: int
    width: int
    heads: int
    kv_heads: int

    def module(self, name: str) -> str:
        """llama.cpp's name of a module, such as ``blk.0.attn_q``.

        Raises:
            RefusedError: it has no such part.
        """
        if name in _WHOLE:
            return _WHOLE[name]
        layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", name)
        if layer is None or layer[2] not in _PARTS:
            raise RefusedError(f"{name} has no place in a GGUF file", hint=_HINT)
        return f"blk.{layer[1]}.{_PARTS[layer[2]]}"

    def rows(self, module: str, tensor: Array) -> Array:
        """The tensor with its rows in llama.cpp's order; ``module`` by its name there."""
        part = module.rpartition(".")[2]
        if self.architecture != "llama" or part not in ("attn_q", "attn_k"):
            return tensor
        heads = self.heads if part == "attn_q" else self.kv_heads
        halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
        return halves.swapaxes(1, 2).reshape(tensor.shape)

    def check(self, lora: Lora) -> None:
        """Refuse an adapter of a model of another shape.

        Raises:
            AdapterError: it has other layers, or another width.
        """
        layers = {int(found[1]) for m in lora.pairs if (found := re.search(r"layers\.(\d+)\.", m))}
        inward = {p.a.shape[1] for m, p in lora.pairs.items() if m.endswith((".q_proj", ".k_proj"))}
        count = max(layers, default=-1) + 1
        if count not in (0, self.layers) or (inward and inward != {self.width}):
            wide = f", {min(inward)} wide" if inward else ""
            raise AdapterError(
                f"the adapter was trained on another model: of {count} layers{wide}; "
                f"this one has {self.layers}, {self.width} wide",
                hint="set model.base to the model that the server runs, and train on it",
            )


def shape_of(config: dict[str, Any]) -> Shape:
    """The shape of a model by its ``config.json``.

    Raises:
        RefusedError: llama.cpp has no such model, or it is not written here.
    """
    architecture = str((config.get("architectures") or [config.get("model_type")])[0])
    kinds: dict[str, Literal["llama", "qwen2"]] = {
        "LlamaForCausalLM": "llama",
        "Qwen2ForCausalLM": "qwen2",
    }
    if architecture not in kinds:
        raise RefusedError(
            f"{architecture} is not written as GGUF: only Llama and Qwen2 are", hint=_HINT
        )
    odd = [name for name in ("use_sliding_window", "mlp_bias") if config.get(name)]
    if config.get("hidden_act", "silu") != "silu":
        odd.append("hidden_act")
    if odd:
        raise RefusedError(
            f"this {architecture} is not written as GGUF ({', '.join(odd)})", hint=_HINT
        )
    heads = int(config["num_attention_heads"])
    return Shape(
        architecture=kinds[architecture],
        layers=int(config["num_hidden_layers"]),
        width=int(config["hidden_size"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
    )


def shape_there(info: dict[str, Any]) -> Shape:
    """The shape of a GGUF model by its own keys, as ollama shows them.

    Raises:
        RefusedError: an adapter cannot be written for such a model.
    """
    kind = info.get("general.architecture")
    try:
        return Shape(
            architecture={"llama": "llama", "qwen2": "qwen2"}[str(kind)],  # type: ignore[arg-type]
            layers=int(info[f"{kind}.block_count"]),
            width=int(info[f"{kind}.embedding_length"]),
            heads=int(info[f"{kind}.attention.head_count"]),
            kv_heads=int(info[f"{kind}.attention.head_count_kv"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RefusedError(
            f"adapters are written for models of llama and qwen2, and this one is {kind!r}",
            hint="docs/backends.md tells which models take adapters",
        ) from error
