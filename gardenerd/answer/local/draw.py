"""Which token comes next, given the model's scores: the likeliest, or one drawn by chance."""

from __future__ import annotations

import torch

from gardenerd.answer.backend import Drawing


class Chooser:
    """Chooses the tokens of one text, in order."""

    def __init__(self, drawing: Drawing | None) -> None:
        self._drawing = drawing
        # On the processor, whatever device the scores come from: the same seed draws the same.
        self._chance = None if drawing is None else torch.Generator().manual_seed(drawing.seed)

    def choose(self, scores: torch.Tensor) -> int:
        """One of ``scores`` (shape ``[vocabulary]``); where they are no numbers, one of those."""
        best = int(scores.argmax())
        if self._drawing is None or not scores[best].isfinite():
            return best
        shares = (scores.float().cpu() / self._drawing.temperature).softmax(-1)
        ordered, ids = shares.sort(descending=True)
        # Those before which less than top_p is used up: the likeliest is always among them.
        nucleus = ordered[ordered.cumsum(-1) - ordered < self._drawing.top_p]
        return int(ids[int(torch.multinomial(nucleus, 1, generator=self._chance))])
