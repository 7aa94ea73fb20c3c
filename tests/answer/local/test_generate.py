"""The loop that writes, on a small real model."""

from pathlib import Path
from typing import Any

import pytest
import torch

from gardenerd.answer.backend import Drawing
from gardenerd.answer.local.draw import Chooser
from gardenerd.answer.local.generate import generate
from gardenerd.errors import CancelledError, ModelError
from gardenerd.models.load import load_base
from tests.tiny_models import make_base


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = make_base(tmp_path_factory.mktemp("models") / "base")
    return load_base(folder, device=torch.device("cpu")).model


def write(model: Any, ids: list[int], **given: Any) -> list[int]:
    options: dict[str, Any] = {"room": 20, "ends": frozenset(), "check": lambda: None, **given}
    return list(generate(model, ids, **options))


def test_each_token_is_the_most_probable_one_after_all_before_it(model: Any) -> None:
    ids = list(range(20, 60))
    written = write(model, ids)
    assert len(written) == 20
    with torch.inference_mode():
        scores = model(input_ids=torch.tensor([ids + written]), use_cache=False).logits[0]
    assert scores.argmax(-1)[len(ids) - 1 : -1].tolist() == written


def test_it_ends_before_an_end_token(model: Any) -> None:
    ids = list(range(20, 60))
    written = write(model, ids)
    end = next(token for token in written if token != written[0])
    assert write(model, ids, ends=frozenset([end])) == written[: written.index(end)]


def test_it_is_left_between_two_tokens(model: Any) -> None:
    left = 3

    def check() -> None:
        nonlocal left
        if left == 0:
            raise CancelledError("enough")
        left -= 1

    written: list[int] = []
    with pytest.raises(CancelledError):
        for token in generate(model, [20], room=20, ends=frozenset(), check=check):
            written.append(token)  # noqa: PERF402 - what came before the error is kept
    assert len(written) == 3


def test_the_mode_without_gradients_does_not_leak_out_of_a_suspended_loop(model: Any) -> None:
    loop = generate(model, [20, 21], room=5, ends=frozenset(), check=lambda: None)
    next(loop)
    assert not torch.is_inference_mode_enabled()


def test_output_that_is_not_a_number_is_an_error(tmp_path: Path) -> None:
    model = load_base(make_base(tmp_path / "base"), device=torch.device("cpu")).model
    model.get_input_embeddings().weight[25] = torch.nan
    with pytest.raises(ModelError, match="not a number"):
        write(model, [25])


def test_a_seed_draws_the_same_text_and_another_one_another(model: Any) -> None:
    ids = list(range(20, 60))

    def drawn(seed: int, temperature: float = 1.0, top_p: float = 1.0) -> list[int]:
        drawing = Drawing(temperature=temperature, top_p=top_p, seed=seed)
        return write(model, ids, drawing=drawing)

    assert drawn(1) == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(8)}) > 4
    # With nothing to choose from it is the likeliest one.
    assert drawn(1, top_p=1e-6) == drawn(2, temperature=1e-4) == write(model, ids)


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
