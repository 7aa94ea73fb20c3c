"""Does a candidate still fill in? Bits per byte are read from left to right and do not show it.

The cost of the right middle and of ending it there, at fixed places of code that is never trained
on, in the base's own format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gardenerd.models import nll
from gardenerd.models.load import Base
from gardenerd.train.dataset import fim_tokens

PLACES = 48
_AROUND = 10  # lines before and after
_MIDDLE = 2  # lines to fill in


def costs(
    base: Base, model: Any, texts: Sequence[str], check: Callable[[], None] = lambda: None
) -> list[tuple[float, float]]:
    """By place, nats a token under the base and under ``model``; none if the base cannot fill in.

    Args:
        model: the base with the adapter active.
        texts: as many places are taken of each as make :data:`PLACES`, spread over its length.
        check: called between batches; it may raise to cancel.

    Raises:
        ModelError: a cost was not finite.
    """
    marks = fim_tokens(base)
    if marks is None or not texts:
        return []
    before, after, here = marks
    windows: list[nll.Window] = []
    for prefix, middle, suffix in _places(texts):
        first, last, wanted = (nll.encode(base, part) for part in (prefix, suffix, middle))
        tokens = [before, *first, after, *last, here, *wanted, base.end_token]
        windows.append(nll.Window(text=len(windows), tokens=tokens, scored=len(wanted) + 1))

    def scored() -> list[float]:
        return nll.nats(
            base, windows, len(windows), model=model, check=lambda _done, _total: check()
        )

    with model.disable_adapter():
        plain = scored()
    return [
        (one / window.scored, two / window.scored)
        for one, two, window in zip(plain, scored(), windows, strict=True)
    ]


def _places(texts: Sequence[str]) -> list[tuple[str, str, str]]:
    """Prefix, middle and suffix, whole lines each."""
    wanted = -(-PLACES // len(texts))
    found: list[tuple[str, str, str]] = []
    for text in texts:
        lines = text.splitlines(keepends=True)
        span = 2 * _AROUND + _MIDDLE
        room = len(lines) - span
        if room < 0:
            continue
        for begin in sorted({room * i // wanted for i in range(wanted)}):
            first, last = begin + _AROUND, begin + _AROUND + _MIDDLE
            middle = "".join(lines[first:last])
            if middle.strip():
                found.append(
                    (
                        "".join(lines[begin:first]),
                        middle,
                        "".join(lines[last : begin + span]),
                    )
                )
    return found[:PLACES]
