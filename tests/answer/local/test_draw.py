"""How often each token is drawn."""

import pytest
import torch

from gardenerd.answer.backend import Drawing
from gardenerd.answer.local.draw import Chooser


def test_tokens_are_drawn_by_their_share_among_the_likeliest() -> None:
    scores = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()

    def shares(temperature: float, top_p: float) -> list[float]:
        chooser = Chooser(Drawing(temperature=temperature, top_p=top_p, seed=0))
        drawn = [chooser.choose(scores) for _ in range(2_000)]
        return [drawn.count(token) / len(drawn) for token in range(4)]

    assert shares(1.0, 1.0) == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.05)
    assert shares(1.0, 0.7) == pytest.approx([0.625, 0.375, 0, 0], abs=0.05)
    squared = [0.25, 0.09, 0.0225, 0.0025]
    assert shares(0.5, 1.0) == pytest.approx([each / sum(squared) for each in squared], abs=0.05)
