"""How far an adapter has gone from its base on code that it was not to learn.

KL(base || candidate), in nats a token: what is forgotten of a task grows with it, while the norm of
the weights and the adapter's rank say little (Shenfeld et al., 2025, for the way back).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation gives it

from gardenerd.core.memory import HEAD_POSITIONS
from gardenerd.models import nll
from gardenerd.models.load import Base

_BYTES = 16_000
"""Read at most, of all texts together: the mean over some thousand tokens is known well enough."""
_TOKENS = 512  # in one row


def distance(
    base: Base, model: Any, texts: Sequence[str], check: Callable[[], None] = lambda: None
) -> float:
    """The mean over the tokens of ``texts``, their beginnings; 0 for no text.

    Args:
        model: the base with the adapter active.
        check: called between rows; it may raise to cancel.
    """
    total, count = 0.0, 0
    share = _BYTES // max(1, len(texts))
    for text in texts:
        check()
        tokens = [base.start_token, *nll.encode(base, text[:share])][:_TOKENS]
        row = torch.tensor([tokens], device=base.device)
        wanted = torch.ones_like(row, dtype=torch.bool)
        with torch.inference_mode():
            features, head = nll.predict(model, row, wanted)
            with model.disable_adapter():
                known, _ = nll.predict(model, row, wanted)
            for now, before in zip(
                features.split(HEAD_POSITIONS), known.split(HEAD_POSITIONS), strict=True
            ):
                total += float(
                    F.kl_div(
                        F.log_softmax(head(now).float(), dim=-1),
                        F.log_softmax(head(before).float(), dim=-1),
                        reduction="sum",
                        log_target=True,
                    )
                )
        count += len(tokens)
    return total / count if count else 0.0
