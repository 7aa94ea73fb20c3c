"""The likeliest continuation of a text, token by token: for measures, which want no chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import StoppingCriteriaList

from gardenerd.models import nll
from gardenerd.models.load import Base


def continued(
    base: Base,
    model: Any,
    text: str,
    count: int,
    ended: Callable[[list[int]], bool] = lambda _written: False,
) -> list[int]:
    """At most ``count`` tokens after ``text``, fewer where the model ends it.

    Args:
        model: the base's own model, or the base with an adapter.
        ended: whether what is written so far is enough.
    """
    tokens = torch.tensor([[base.start_token, *nll.encode(base, text)]], device=base.device)

    def enough(written: torch.Tensor, _scores: object, **_others: object) -> torch.Tensor:
        done = ended(written[0, tokens.shape[1] :].tolist())
        return torch.tensor([done], device=written.device)

    with torch.inference_mode():
        written = model.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=count,
            do_sample=False,
            stopping_criteria=StoppingCriteriaList([enough]),
            pad_token_id=base.end_token,
        )
    return written[0, tokens.shape[1] :].tolist()
