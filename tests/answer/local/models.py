"""Random models of each architecture that is served, in memory: two layers, float32."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from gardenerd.answer.local.lora import Adapter, LoraRows

# So small a model gains nothing from threads, and loses much when they wait for each other.
torch.set_num_threads(1)

WINDOW = 24
"""Of the architectures with a sliding window: shorter than the texts of the tests."""

_SHAPE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
# With one matrix for both, Gemma repeats its last token.
_UNTIED = {"tie_word_embeddings": False}
_OWN: dict[str, dict[str, Any]] = {
    "qwen2": {"tie_word_embeddings": True},
    "llama": {"head_dim": 16, **_UNTIED},
    "gemma": {"head_dim": 16, **_UNTIED},
    "gemma2": {
        "head_dim": 16,
        "sliding_window": WINDOW,
        "query_pre_attn_scalar": 16,
        **_UNTIED,
    },
    "starcoder2": {"sliding_window": WINDOW},
    "gpt_neox": {"rotary_pct": 0.25, **_UNTIED},
}
ARCHITECTURES = list(_OWN)


def make_model(architecture: str = "llama", **fields: Any) -> Any:
    """A random model, always the same for the same arguments."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(architecture, **{**_SHAPE, **_OWN[architecture], **fields})
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def make_adapters(model: Any, lora: LoraRows, count: int = 3) -> list[Adapter]:
    """Adapters of different ranks that change much of what the model writes."""
    names = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    made: list[Adapter] = []
    for number in range(count):
        torch.manual_seed(number + 1)
        pairs = {
            name: (
                torch.randn(4 + number, model.get_submodule(name).in_features) / 8,
                torch.randn(4 + number, model.get_submodule(name).out_features) / 8,
            )
            for name in names[number:]  # not all have the same layers
            if not name.endswith(("lm_head", "embed_out"))
        }
        made.append(Adapter(pairs))
        lora.hook(pairs)
    return made


@torch.inference_mode()
def alone(model: Any, lora: LoraRows, adapter: Adapter | None, ids: list[int], n: int) -> list[int]:
    """The likeliest continuation, each token by the model's own pass over the whole text."""
    lora.choose([adapter])
    text = list(ids)
    for _ in range(n):
        text.append(int(model(input_ids=torch.tensor([text])).logits[0, -1].argmax()))
    lora.rest()
    return text[len(ids) :]
