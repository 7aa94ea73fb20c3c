"""What is measured of a candidate before anyone decides on it: of the weights that would serve."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import torch

from gardenerd.models import adapters
from gardenerd.models import card as cards
from gardenerd.models.load import load_base
from gardenerd.train import canary, drift, evaluate, filling, shrink
from gardenerd.workers.jobs import AdapterRef, HeldOutText
from gardenerd.workers.train_jobs import PairedScore

_CONTEST = 0.7  # of the time: base, incumbent and candidate on held-out code


class Validation(msgspec.Struct, kw_only=True, frozen=True):
    """See :class:`gardenerd.workers.train_jobs.RunReport` for what each says."""

    scores: list[PairedScore]
    strength: float
    base_variety: float
    variety: float
    incumbent_variety: float
    distance: float
    filling: list[tuple[float, float]]
    load_seconds: float
    adapter_bytes: int


def validate(
    base_folder: Path,
    candidate: Path,
    card: cards.Card,
    heldout: Sequence[HeldOutText],
    *,
    parent: AdapterRef | None,
    incumbent: AdapterRef | None,
    check: Callable[[float], None],
) -> Validation:
    """Lower the candidate's strength as far as needed, then measure it.

    Args:
        card: of the candidate; written with the base's fingerprint and the strength.
        parent: from which training went on; None: from the base.
        incumbent: what serves; None: the base.
        check: called often with the share done, 0 to 1; it may raise to cancel.

    Raises:
        AdapterError: the candidate or the incumbent is damaged or of another base.
        ModelError: a score was not finite.
    """

    done = 0.0

    def pause() -> None:
        check(done)

    # On the base as it serves, from its file, in float32.
    base = load_base(base_folder, dtype=torch.float32)
    card = msgspec.structs.replace(card, fingerprint=base.info.fingerprint)
    cards.write_card(candidate, card)
    base_variety = canary.variety(base, base.model, pause)
    done = 0.05
    strength = shrink.shrink(base, candidate, parent, pause)
    done = 0.2
    cards.write_card(candidate, msgspec.structs.replace(card, strength=strength))

    base = load_base(base_folder, dtype=torch.float32)
    began = time.monotonic()
    model = adapters.attach(base, candidate, name="candidate")
    model.set_adapter("candidate")
    load_seconds = time.monotonic() - began
    variety = canary.variety(base, model, pause)
    done = 0.25
    general = [text.text for text in heldout if text.slice == "general"]
    own = [text.text for text in heldout if text.slice != "general"]
    distance = drift.distance(base, model, general, pause)
    filled = filling.costs(base, model, own + general, pause)
    incumbent_variety = base_variety
    if incumbent is not None:
        adapters.attach(base, Path(incumbent.folder), name="incumbent", model=model)
        model.set_adapter("incumbent")
        incumbent_variety = canary.variety(base, model, pause)

    base = load_base(base_folder, dtype=torch.float32)
    first = 1 - _CONTEST
    scores = evaluate.compare(
        base,
        heldout,
        incumbent=incumbent,
        candidate=candidate,
        check=lambda share: check(first + _CONTEST * share),
    )
    return Validation(
        scores=scores,
        strength=strength,
        base_variety=base_variety,
        variety=variety,
        incumbent_variety=incumbent_variety,
        distance=distance,
        filling=filled,
        load_seconds=load_seconds,
        adapter_bytes=(candidate / cards.WEIGHTS).stat().st_size,
    )
