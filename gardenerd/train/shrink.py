"""How far an adapter may go: its last step is shortened until general code is kept.

What a run did leads from its parent, or from the base, to what was trained. Near its beginning the
gain on a project grows with the way and soon flattens, while what is lost of general code grows
with its square. Measured on celery after one and two nights, from the base: at 0.6 of the way 91
and 94 % of the gain are left, and 21 and 22 % of the loss. The same is known of weights between a
base and its fine-tuned form (Wortsman et al., 2022). What the parent knew stays: to go back toward
the base instead gave up what earlier nights had learned, and every later candidate fell behind it.

A parent that is at the limit itself leaves room for a short step and a little way back alone.
Measured on hono, from a parent at +0.9 % of general code and -30.0 % of the project's, where 1 % is
the limit: 0.2 of the step ends at +1.0 and -31.8 %; 0.4 of it and a tenth of the way to the base at
+1.0 and -31.5 %. All of it and 0.4 of the way, as it was once done, was 3 to 4 % worse than the
parent on older code, night after night.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from gardenerd.models import adapters, nll
from gardenerd.models import card as cards
from gardenerd.models.load import Base
from gardenerd.train import evaluate
from gardenerd.workers.jobs import AdapterRef

STRENGTHS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
"""From the base, whose own cost is the measure; less would not be worth a night."""
SHORT = 0.2
"""Of a step from a parent that is at the limit, or beyond it, itself."""
FROM_PARENT = (1.0, 0.8, 0.6, 0.4, 0.3, SHORT, SHORT / 2)
BACK = (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4)
"""How much of everything is kept after a short step, where that alone does not do."""
TARGET = 0.01
"""Of bits per byte, relative to the base: how much worse general code may be at the strength that
is chosen. Below the gate's limit, which is checked on other code."""

Weights = dict[str, torch.Tensor]


def shrink(base: Base, folder: Path, parent: AdapterRef | None, check: Callable[[], None]) -> float:
    """Go back in the adapter in ``folder`` as far as general code asks; gives how far it then is.

    The folder's card is written anew, with the digest of the new weights. The base's model holds
    the adapter at that strength afterwards. If no step from the parent is short enough, since the
    parent is beyond what is allowed itself, a short one is followed by a way back toward the base.

    Args:
        parent: from which training went on; None: from the base.
        check: called between batches; it may raise to cancel.

    Raises:
        AdapterError: the adapter is damaged or of another base.
        ModelError: a score was not finite.
    """
    _, choosing = evaluate.general_modules()
    texts = [text.text for text in evaluate.bound(evaluate.general_texts(choosing))]

    def cost(model: Any) -> float:
        scores = nll.score(base, texts, model=model, check=lambda _done, _total: check())
        return sum(score.nats for score in scores)

    allowed = cost(None) * (1 + TARGET)
    trained = adapters.load_weights(folder)
    began = adapters.load_weights(Path(parent.folder)) if parent is not None else None
    model = adapters.attach(base, folder, name="shrunk")
    model.set_adapter("shrunk")

    def kept(way: tuple[float, float]) -> bool:
        adapters.put_weights(model, _weights(trained, began, *way), "shrunk", where=str(folder))
        return cost(model) <= allowed

    # The ways are in the order of what they cost, dearest first.
    ways = [(1.0, rest) for rest in STRENGTHS]
    if began is not None:
        ways = [(step, 1.0) for step in FROM_PARENT] + [(SHORT, rest) for rest in BACK]
    step, rest = ways[min(bisect_left(ways, True, key=kept), len(ways) - 1)]
    weights = _weights(trained, began, step, rest)
    adapters.put_weights(model, weights, "shrunk", where=str(folder))
    if step * rest < 1.0:
        save_file(
            {name: value.contiguous() for name, value in weights.items()},
            folder / cards.WEIGHTS,
            metadata={"format": "pt"},
        )
        cards.write_card(folder, cards.read_card(folder))
    return step * rest


def _weights(trained: Weights, began: Weights | None, step: float, rest: float) -> Weights:
    """So much of the step from where it began, and of what that comes to, the rest toward the base.

    LoRA's product is linear in B: to scale B is exact, and free to serve.
    """
    if began is not None and step < 1.0:
        trained = {name: torch.lerp(began[name], value, step) for name, value in trained.items()}
    if rest == 1.0:
        return trained
    return {name: value * rest if "lora_B" in name else value for name, value in trained.items()}
