from __future__ import annotations

from pathlib import Path

import pytest

from gardenerd.models.load import load_base
from gardenerd.train import canary
from tests.tiny_models import make_base, teach


@pytest.mark.parametrize(
    ("tokens", "share"),
    [
        ([], 1.0),
        ([1, 2, 3], 1.0),
        (list(range(64)), 1.0),
        ([7] * 64, 1 / 61),
        ([1, 2] * 32, 2 / 61),
    ],
)
def test_the_share_that_is_no_repetition(tokens: list[int], share: float) -> None:
    assert canary.distinct(tokens) == share


def test_a_model_in_a_loop_has_little_variety(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "_PROMPTS", ("def read_lines(path):\n",) * 2)
    folder = make_base(tmp_path / "base", architecture="llama")
    teach(folder, "def read_lines(path):\n", "x = 1\n" * 30, steps=60)
    base = load_base(folder)
    asked: list[None] = []
    found = canary.variety(base, base.model, lambda: asked.append(None))
    assert found < 0.3
    assert len(asked) == 2
