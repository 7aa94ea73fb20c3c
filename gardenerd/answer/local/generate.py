"""The loop that writes: one token at a time, the likeliest or one drawn, until something says stop.

transformers' own ``generate`` is not used: it cannot be left between two tokens without a thread
of its own, and most of its options have no user here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from gardenerd.answer.backend import Drawing
from gardenerd.answer.local.draw import Chooser
from gardenerd.answer.stops import TokenLoop
from gardenerd.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def generate(
    model: PreTrainedModel,
    ids: list[int],
    *,
    room: int,
    ends: frozenset[int],
    check: Callable[[], None],
    drawing: Drawing | None = None,
) -> Generator[int]:
    """Give the next tokens after ``ids``, at most ``room`` of them.

    Ends before a token of ``ends``, or when the tokens run in a circle. The same input gives the
    same tokens.

    Args:
        check: called before each token; raises to break off.
        drawing: None takes the likeliest token each time.

    Raises:
        ModelError: the model's scores are not finite numbers.
    """
    import torch

    loop = TokenLoop()
    chooser = Chooser(drawing)
    step = torch.tensor([ids], device=model.device)
    cache = None
    for _ in range(room):
        check()
        # Entered for each token: a generator must not leave the mode set while it is suspended.
        with torch.inference_mode():
            out = model(input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1)
            scores = out.logits[0, -1]
            token = chooser.choose(scores)
            finite = bool(scores[token].isfinite())
        if not finite:
            raise ModelError(
                "the model's output is not a number",
                hint="its weights, or those of the adapter, are damaged: pull the model again, "
                "or go back with `gardenerctl rollback`",
            )
        cache = out.past_key_values
        if token in ends:
            return
        yield token
        if loop.feed(token):
            return
        step = torch.tensor([[token]], device=model.device)
