"""How far an adapter may go: its last step is shortened until general code is kept.

What a run did leads from its parent, or from the base, to what was trained. Near its beginning the
gain on a project grows with the way and soon flattens, while what is lost of general code grows
with its square. Measured on celery after one and two nights, from the base: at 0.6 of the way 91
and 94 % of the gain are left, and 21 and 22 % of the loss. The same is known of weights between a
base and its fine-tuned form (Wortsman et al., 2022). What the parent knew stays: to go back toward
the base instead gave up what earlier nights had learned, and every later candidate fell behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from gardenerd.models import adapters, nll
from gardenerd.models import card as cards
from gardenerd.models.load import Base
from gardenerd.train import evaluate
from gardenerd.workers.jobs import AdapterRef

STRENGTHS = (1.0, 0.8, 0.6, 0.4)
"""From the base, whose own cost is the measure; less would not be worth a night."""
FROM_PARENT = (1.0, 0.8, 0.6, 0.4, 0.2)
TARGET = 0.01
"""Of bits per byte, relative to the base: how much worse general code may be at the strength that
is chosen. Below the gate's limit, which is checked on other code."""

Weights = dict[str, torch.Tensor]


def shrink(base: Base, folder: Path, parent: AdapterRef | None, check: Callable[[], None]) -> float:
    """Go back in the adapter in ``folder`` as far as general code asks; gives how far it then is.

    The folder's card is written anew, with the digest of the new weights. The base's model holds
    the adapter at that strength afterwards. If no step from the parent is short enough, since the
    parent is beyond what is allowed itself, the way back leads toward the base.

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
    step = 1.0, trained
    for step in _steps(trained, began):
        adapters.put_weights(model, step[1], "shrunk", where=str(folder))
        if cost(model) <= allowed:
            break
    strength, weights = step
    if weights is not trained:
        save_file(
            {name: value.contiguous() for name, value in weights.items()},
            folder / cards.WEIGHTS,
            metadata={"format": "pt"},
        )
        cards.write_card(folder, cards.read_card(folder))
    return strength


def _steps(trained: Weights, began: Weights | None) -> Iterator[tuple[float, Weights]]:
    """Weights to try, each with its strength: the whole way first."""
    if began is not None:
        for strength in FROM_PARENT:
            yield strength, trained if strength == 1.0 else _between(began, trained, strength)
    for strength in STRENGTHS:
        if began is None or strength < 1.0:
            yield strength, trained if strength == 1.0 else _scaled(trained, strength)


def _scaled(weights: Weights, strength: float) -> Weights:
    """Toward the base. LoRA's product is linear in B: to scale B is exact, and free to serve."""
    return {
        name: value * strength if "lora_B" in name else value for name, value in weights.items()
    }


def _between(began: Weights, trained: Weights, strength: float) -> Weights:
    return {name: torch.lerp(began[name], value, strength) for name, value in trained.items()}
