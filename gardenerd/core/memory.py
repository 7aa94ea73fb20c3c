"""What a training run is expected to take, before it starts. Pure.

Counted is what grows with the base and the settings; a constant stands for the interpreter and its
libraries. What earlier runs of the same kind really took is worth more than any count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gardenerd.workers.train_jobs import Hyperparameters

LIBRARIES = 700_000_000
"""Bytes of an interpreter with torch, transformers and peft, and of what torch's kernels keep."""
ACTIVATIONS = 2_000_000_000
"""Bytes that one forward pass may leave for its backward pass."""
_MICRO_TOKENS = 4_096  # in one forward pass at most: more of them are no faster
SCORED_TOKENS = 8_192
"""In one forward pass of validation."""
HEAD_POSITIONS = 1_024
"""Logits are made for so many positions at a time, which bounds their memory."""
_SPARE = 1.1  # what a run took once it may take a little more of again
CHECKPOINTS = 3  # adapter, and two moments of the optimizer, as on disk
_COPIES = 4  # a number that trains: itself, its gradient, two moments


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What a base model's configuration says."""

    parameters: int
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int


def shape_of(config: Mapping[str, Any], parameters: int) -> Shape:
    """The shape that a model's ``config.json`` tells, by its usual names or GPT-2's."""
    hidden = int(config.get("hidden_size") or config.get("n_embd") or 0)
    return Shape(
        parameters=parameters,
        layers=int(config.get("num_hidden_layers") or config.get("n_layer") or 0),
        hidden=hidden,
        intermediate=int(config.get("intermediate_size") or 4 * hidden),
        vocabulary=int(config.get("vocab_size") or 0),
    )


def micro_tokens(
    shape: Shape, max_length: int, *, bytes_each: int, budget: int = ACTIVATIONS
) -> int:
    """Tokens in one forward pass of training: whole rows, one at least.

    Args:
        max_length: tokens in a row.
        bytes_each: of a number while it trains.
        budget: bytes that it may leave for the backward pass.
    """
    fitting = budget // max(1, _token_bytes(shape, bytes_each))
    return max(1, min(_MICRO_TOKENS, fitting) // max_length) * max_length


def _token_bytes(shape: Shape, bytes_each: int) -> int:
    """What the backward pass needs of each token: in each layer the inputs of seven projections,
    and what attention and the gates were made of."""
    return shape.layers * (12 * shape.hidden + 5 * shape.intermediate) * bytes_each


def adapter_numbers(shape: Shape, rank: int) -> int:
    """About how many numbers an adapter on all linear layers has."""
    attention = 4 * 2 * shape.hidden
    feed_forward = 3 * (shape.hidden + shape.intermediate)
    return rank * shape.layers * (attention + feed_forward)


def expected(shape: Shape, chosen: Hyperparameters, *, bytes_each: int) -> int:
    """Bytes at a run's peak: of training or of validation, whichever takes more.

    Args:
        bytes_each: of a number of the base while it trains: 2 in half precision, else 4.
    """
    at_once = micro_tokens(shape, chosen.max_length, bytes_each=bytes_each)
    micro = max(chosen.max_length, min(at_once, chosen.batch_tokens))
    adapter = 4 * adapter_numbers(shape, chosen.rank)
    activations = micro * _token_bytes(shape, bytes_each)
    logits = 3 * 4 * min(micro, HEAD_POSITIONS) * shape.vocabulary
    training = shape.parameters * bytes_each + _COPIES * adapter + activations + logits
    scoring = 4 * SCORED_TOKENS * (4 * shape.hidden + 3 * shape.intermediate)
    validating = 4 * shape.parameters + 3 * adapter + scoring + logits
    return LIBRARIES + max(training, validating)


def needed(expected: int, taken: int | None) -> int:
    """Bytes to ask for: what the last run of the same kind took, if any, and some spare."""
    return expected if not taken else int(taken * _SPARE)
