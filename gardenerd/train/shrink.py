"""How far from the base an adapter may go: its strength is lowered until general code is kept.

Near the base the gain on a project grows with an adapter's strength and soon flattens, while what
is lost of general code grows with its square. Measured on celery after one and two nights: at 0.6
of the trained strength 91 and 94 % of the gain are left, and 21 and 22 % of the loss. The same is
known of weights between a base and its fine-tuned form (Wortsman et al., 2022). The product of
LoRA is linear in B, so to scale B is exact, and costs nothing when it serves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from gardenerd.models import adapters, nll
from gardenerd.models import card as cards
from gardenerd.models.load import Base
from gardenerd.train import evaluate

STRENGTHS = (1.0, 0.8, 0.6, 0.4)
TARGET = 0.01
"""Of bits per byte, relative to the base: how much worse general code may be at the strength that
is chosen. Below the gate's limit, which is checked on other code."""


def shrink(base: Base, folder: Path, check: Callable[[], None]) -> float:
    """Lower the strength of the adapter in ``folder`` as far as general code asks; gives it.

    The folder's card is written anew, with the digest of the new weights. The base's model holds
    the adapter at that strength afterwards.

    Args:
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
    model = adapters.attach(base, folder, name="shrunk")
    model.set_adapter("shrunk")
    chosen, weights = STRENGTHS[0], trained
    for chosen in STRENGTHS:
        weights = {
            name: value * chosen if "lora_B" in name else value for name, value in trained.items()
        }
        adapters.put_weights(model, weights, "shrunk", where=str(folder))
        if cost(model) <= allowed:
            break
    if chosen != STRENGTHS[0]:
        save_file(
            {name: value.contiguous() for name, value in weights.items()},
            folder / cards.WEIGHTS,
            metadata={"format": "pt"},
        )
        cards.write_card(folder, cards.read_card(folder))
    return chosen
