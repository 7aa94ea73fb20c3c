"""What a candidate writes when it is let run: one that only repeats itself must not serve.

Bits per byte do not show it: a model can predict each next token well and yet, fed with its own,
fall into a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gardenerd.models.greedy import continued
from gardenerd.models.load import Base

_PROMPTS = (
    "def read_lines(path):\n",
    "class Stack:\n    def __init__(self):\n",
    "import os\n\n\ndef main():\n",
    "# Count the words of each line\n",
)
_TOKENS = 64
_GROUP = 4


def variety(base: Base, model: Any, check: Callable[[], None]) -> float:
    """How little the model repeats itself: 1 if no four tokens come twice, near 0 in a loop.

    The mean over fixed prompts, each continued greedily by 64 tokens or to the text's end.

    Args:
        model: the base with an adapter, or the base's own model.
        check: called between prompts; it may raise to cancel.
    """
    shares: list[float] = []
    for prompt in _PROMPTS:
        check()
        shares.append(distinct(continued(base, model, prompt, _TOKENS)))
    return sum(shares) / len(shares)


def distinct(tokens: Sequence[int]) -> float:
    """Of all runs of four tokens, the share that is not a repetition; 1 for a shorter text."""
    groups = [tuple(tokens[i : i + _GROUP]) for i in range(len(tokens) - _GROUP + 1)]
    return len(set(groups)) / len(groups) if groups else 1.0
