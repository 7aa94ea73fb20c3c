"""What a model takes of memory, to serve and to train, by its configuration. Light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gardenerd.core import memory
from gardenerd.workers.train_jobs import Hyperparameters

WINDOW = 4_096
"""Tokens that are read at once when it serves."""

# Bytes of a number in NF4: 4 bits, and a float32 scale for each 64 of them.
_FOUR_BITS = 0.5625


def serving(
    config: Mapping[str, Any], parameters: int, *, bytes_each: float, window: int = WINDOW
) -> int:
    """Bytes of a process that serves the model: its libraries, the weights, keys and values of a
    full window, and what one layer makes of that window.

    Args:
        bytes_each: of a number: 4, 2, or 0.5 for four bits (embeddings stay in two bytes).
    """
    shape = memory.shape_of(config, parameters)
    weights = loaded(config, parameters, bytes_each=bytes_each)
    computed = max(2.0, bytes_each)
    tokens = min(window, int(config.get("max_position_embeddings") or window))
    kept = 2 * shape.layers * _keys(config) * tokens * computed
    passing = tokens * (4 * shape.hidden + 3 * shape.intermediate) * computed
    return int(memory.LIBRARIES + weights + kept + passing)


def loaded(config: Mapping[str, Any], parameters: int, *, bytes_each: float) -> int:
    """Bytes of the weights alone."""
    if bytes_each >= 1:
        return int(bytes_each * parameters)
    shape = memory.shape_of(config, parameters)
    tied = config.get("tie_word_embeddings", True)
    embedded = shape.vocabulary * shape.hidden * (1 if tied else 2)
    return int(2 * embedded + _FOUR_BITS * max(0, parameters - embedded))


def training(config: Mapping[str, Any], parameters: int, *, bytes_each: int) -> int:
    """Bytes at the peak of a run with the general hyperparameters."""
    shape = memory.shape_of(config, parameters)
    return memory.expected(shape, Hyperparameters(), bytes_each=bytes_each)


def _keys(config: Mapping[str, Any]) -> int:
    """Numbers in the keys of one token in one layer."""
    heads = int(config.get("num_attention_heads") or config.get("n_head") or 1)
    hidden = int(config.get("hidden_size") or config.get("n_embd") or 0)
    width = int(config.get("head_dim") or hidden // max(1, heads))
    return int(config.get("num_key_value_heads") or heads) * width
