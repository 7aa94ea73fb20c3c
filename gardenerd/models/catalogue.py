"""Models that are recommended, by the memory that there is. Light.

Shapes, sizes and licences are those of the repositories' config.json and cards (November 2024).
"""

from __future__ import annotations

from typing import Any

import msgspec

from gardenerd.models import estimate

# The rest of the memory is the user's, who is away when a run takes its share.
_SERVING, _TRAINING = 0.5, 0.8


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be pulled."""

    name: str
    parameters: int
    bytes: int
    """To download."""
    licence: str
    config: dict[str, Any]


def _qwen(
    size: str, parameters: int, licence: str, shape: tuple[int, int, int, int, int], vocabulary: int
) -> Offer:
    layers, hidden, intermediate, heads, keys = shape
    return Offer(
        name=f"Qwen/Qwen2.5-Coder-{size}-Instruct",
        parameters=parameters,
        bytes=2 * parameters,
        licence=licence,
        config={
            "num_hidden_layers": layers,
            "hidden_size": hidden,
            "intermediate_size": intermediate,
            "num_attention_heads": heads,
            "num_key_value_heads": keys,
            "vocab_size": vocabulary,
            "max_position_embeddings": 32_768,
            "tie_word_embeddings": size != "7B",
        },
    )


OFFERS = (
    _qwen("0.5B", 494_032_768, "apache-2.0", (24, 896, 4_864, 14, 2), 151_936),
    _qwen("1.5B", 1_543_714_304, "apache-2.0", (28, 1_536, 8_960, 12, 2), 151_936),
    _qwen("3B", 3_085_938_688, "qwen-research", (36, 2_048, 11_008, 16, 2), 151_936),
    _qwen("7B", 7_615_616_512, "apache-2.0", (28, 3_584, 18_944, 28, 4), 152_064),
)
"""Smallest first. They chat and fill in the middle."""


def recommend(memory_bytes: int) -> Offer | None:
    """The largest that serves in half of the memory and trains in four fifths of it, in half
    precision, and whose licence lets it be used at work; None if not even the smallest does."""

    def fits(offer: Offer) -> bool:
        serving, training = needs(offer)
        return serving <= _SERVING * memory_bytes and training <= _TRAINING * memory_bytes

    fitting = [offer for offer in OFFERS if offer.licence == "apache-2.0" and fits(offer)]
    return fitting[-1] if fitting else None


def needs(offer: Offer) -> tuple[int, int]:
    """Bytes to serve it and to train it, in half precision."""
    return (
        estimate.serving(offer.config, offer.parameters, bytes_each=2),
        estimate.training(offer.config, offer.parameters, bytes_each=2),
    )
