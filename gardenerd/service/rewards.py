"""What readers say of an adapter's answers: one that pleases less than before does not stay."""

from __future__ import annotations

import logging

from gardenerd.core import probation
from gardenerd.core.reward import reward
from gardenerd.core.targets import Judgement
from gardenerd.service import versions
from gardenerd.store.stores import Stores

log = logging.getLogger(__name__)


def watch(project: str, stores: Stores, now: float) -> str | None:
    """Roll back what serves ``project`` if its answers are proven to please less than those of what
    it replaced; gives what was done, in words, or None.

    Only while it is on probation: later its readers have grown used to it, and tests by days of
    code go on.
    """
    serving = stores.adapters.serving(project)
    since = stores.adapters.serving_since(project)
    if serving is None or since is None or now - since >= probation.SECONDS:
        return None
    previous = stores.adapters.previous(project)
    judged = stores.feedback.judgements(project)
    own = [worth(each) for each in judged if each.adapter == serving]
    before = [worth(each) for each in judged if each.adapter in (previous, None)]
    if not probation.disliked(own, before):
        return None
    versions.fall_back(project, previous, stores, now)
    words = f"{serving} pleased less than {previous or 'base'}, which serves again"
    log.warning("rolled back", extra={"project": project, "reason": words})
    return words


def worth(judged: Judgement) -> float:
    """Its reward, -1 to 1."""
    return reward(judged.verdict, judged.text, judged.correction, weak=judged.weak)
