"""How well a model predicts text: bits per byte, the one measure that training and ``score`` share.

A text is preceded by the tokenizer's start token (else its end token, as documents are joined in
training), so that every token of it, the first too, is predicted and every byte of it counts:

    bits per byte = sum of -ln p(token | what precedes it) / ln 2 / UTF-8 bytes of the text

A text longer than the window is read in windows that overlap by a quarter: the overlap is only
context, each token is scored once. The measure does not depend on the tokenizer, so it survives a
change of the base model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation gives it

from gardenerd.core.memory import HEAD_POSITIONS, SCORED_TOKENS
from gardenerd.errors import ModelError
from gardenerd.models.load import Base

WINDOW = 1_024
"""Tokens read at once, at most; less when the model's context is shorter."""
_OVERLAP = 4  # a window begins with a quarter of context

# Heads that do more to their input than one product: theirs are computed by the model itself.
_HEAD_TRANSFORMS = (
    "final_logit_softcapping",
    "logits_scaling",
    "logit_scale",
    "lm_head_multiplier",
)


@dataclass(frozen=True, slots=True)
class TextScore:
    """The cost of one text: ``nats`` in all, over ``tokens`` tokens and ``bytes`` bytes."""

    nats: float
    tokens: int
    bytes: int

    @property
    def bits_per_byte(self) -> float:
        return self.nats / math.log(2) / self.bytes if self.bytes else 0.0


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens that are read at once."""

    text: int
    """The number of the text that they are of."""
    tokens: list[int]
    scored: int
    """Of the tokens, how many at the end are scored."""


def encode(base: Base, text: str) -> list[int]:
    """Tokens of ``text``; names of special tokens in it are read as the plain text they are."""
    # `verbose` off: that a text is longer than the context is no surprise here, it is windowed.
    return base.tokenizer.encode(
        text, add_special_tokens=False, split_special_tokens=True, verbose=False
    )


def score(
    base: Base,
    texts: Sequence[str],
    *,
    model: Any = None,
    window: int = WINDOW,
    check: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[TextScore]:
    """Score each text.

    Args:
        model: scores instead of the base, with the base's tokenizer (the base with an adapter).
        window: tokens read at once.
        check: called with (tokens done, tokens in all) between batches; it may raise to cancel.

    Raises:
        ModelError: a loss was not finite.
    """
    model = base.model if model is None else model
    limit = getattr(base.model.config, "max_position_embeddings", None) or window
    encoded = [encode(base, text) for text in texts]
    windows = [
        piece
        for number, tokens in enumerate(encoded)
        for piece in _windows(number, [base.start_token, *tokens], min(window, limit))
    ]
    found = nats(base, windows, len(texts), model=model, check=check)
    return [
        TextScore(nats=cost, tokens=len(tokens), bytes=len(text.encode()))
        for cost, tokens, text in zip(found, encoded, texts, strict=True)
    ]


def nats(
    base: Base,
    windows: Sequence[Window],
    count: int,
    *,
    model: Any,
    check: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[float]:
    """What the scored tokens of each of ``count`` texts cost, in nats.

    Raises:
        ModelError: a loss was not finite.
    """
    # Longest first: like lengths share a batch, and memory is at its highest at once.
    ordered = sorted(windows, key=lambda window: -len(window.tokens))
    found = [0.0] * count
    total, done = sum(len(window.tokens) for window in ordered), 0
    with torch.inference_mode():
        for batch in _batches(ordered):
            check(done, total)
            for window, cost in zip(batch, _costs(base, model, batch), strict=True):
                found[window.text] += cost
            done += sum(len(window.tokens) for window in batch)
    check(total, total)
    return found


def _windows(number: int, tokens: list[int], window: int) -> Iterator[Window]:
    # A window of n tokens predicts the n - 1 after its first.
    scored_until = 1
    while scored_until < len(tokens):
        begin = 0 if scored_until == 1 else scored_until - window // _OVERLAP
        end = min(begin + window, len(tokens))
        yield Window(text=number, tokens=tokens[begin:end], scored=end - scored_until)
        scored_until = end


def _batches(windows: list[Window]) -> Iterator[list[Window]]:
    batch: list[Window] = []
    for piece in windows:
        if batch and len(batch[0].tokens) * (len(batch) + 1) > SCORED_TOKENS:
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def _costs(base: Base, model: Any, batch: list[Window]) -> list[float]:
    length = len(batch[0].tokens)
    # Padding stands on the right, where no token that counts can see it: no mask is needed.
    rows = torch.full((len(batch), length), base.end_token, dtype=torch.long)
    wanted = torch.zeros((len(batch), length), dtype=torch.bool)
    for i, piece in enumerate(batch):
        n = len(piece.tokens)
        rows[i, :n] = torch.tensor(piece.tokens)
        wanted[i, n - 1 - piece.scored : n - 1] = True
    targets = rows[:, 1:][wanted[:, :-1]]
    losses = token_losses(
        model,
        rows.to(base.device),
        wanted.to(base.device),
        targets.to(base.device),
    )
    if not bool(torch.isfinite(losses).all()):
        raise ModelError(
            "the model gives probabilities that are not finite",
            hint="its weights or the adapter's are damaged: copy the model again, or roll back",
        )
    costs = losses.double().cpu().split([piece.scored for piece in batch])
    return [float(part.sum()) for part in costs]


def token_losses(
    model: Any,
    rows: torch.Tensor,
    wanted: torch.Tensor,
    targets: torch.Tensor,
    **inputs: Any,
) -> torch.Tensor:
    """-ln p of ``targets`` at the positions ``wanted``.

    Args:
        rows: token ids, (batch, length).
        wanted: which positions predict, (batch, length), n of them true.
        targets: the tokens that follow them, (n,).
        inputs: given to the model too (``position_ids``, ...).

    Returns:
        float32, (n,), in nats, in row-major order of ``wanted``.
    """
    features, head = predict(model, rows, wanted, **inputs)
    pieces = [
        F.cross_entropy(head(part).float(), answer, reduction="none")
        for part, answer in zip(
            features.split(HEAD_POSITIONS), targets.split(HEAD_POSITIONS), strict=True
        )
    ]
    return torch.cat(pieces) if pieces else features.new_zeros(0, dtype=torch.float32)


def predict(
    model: Any, rows: torch.Tensor, wanted: torch.Tensor, **inputs: Any
) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
    """What stands before the head at the positions ``wanted``, and the head, which makes logits.

    The head runs at those positions alone, and may be given a part of them at a time: the logits
    of a long row never stand in memory together.

    Args:
        rows: token ids, (batch, length).
        wanted: (batch, length), n of them true.
        inputs: given to the model too.

    Returns:
        (n, width), and a function from (k, width) to (k, vocabulary).
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = causal.config
    if any(getattr(config, name, None) for name in _HEAD_TRANSFORMS):
        logits = model(input_ids=rows, use_cache=False, **inputs).logits[wanted]
        return logits, torch.nn.Identity()
    hidden = causal.get_decoder()(input_ids=rows, use_cache=False, **inputs).last_hidden_state
    return hidden[wanted], causal.get_output_embeddings()
