"""The strength of an adapter: as much as general code allows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from gardenerd import seedling
from gardenerd.models import adapters, nll
from gardenerd.models.card import WEIGHTS
from gardenerd.models.load import load_base
from gardenerd.train import anchor, evaluate, shrink
from gardenerd.workers.jobs import AdapterRef
from tests.tiny_models import make_adapter

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

# As they are; a fixture puts a shorter list in their place.
JUDGING, CHOOSING = evaluate.general_modules()


@pytest.fixture(autouse=True)
def little_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seedling, "GENERAL_MODULES", ("bisect", "colorsys"))


@pytest.fixture
def adapter(llama: Path, tmp_path: Path) -> Path:
    return make_adapter(llama, tmp_path / "adapter")


def test_what_harms_no_general_code_keeps_its_strength(
    llama: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (adapter / WEIGHTS).read_bytes()
    monkeypatch.setattr(shrink, "TARGET", 10.0)
    assert shrink.shrink(load_base(llama), adapter, None, lambda: None) == 1.0
    assert (adapter / WEIGHTS).read_bytes() == before


def test_what_harms_is_lowered_and_the_card_fits_the_new_weights(
    llama: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = adapters.load_weights(adapter)
    monkeypatch.setattr(shrink, "TARGET", -10.0)  # nothing is good enough
    assert shrink.shrink(load_base(llama), adapter, None, lambda: None) == shrink.STRENGTHS[-1]
    base = load_base(llama)
    adapters.verify(adapter, base.info.fingerprint)
    for name, value in adapters.load_weights(adapter).items():
        scale = shrink.STRENGTHS[-1] if "lora_B" in name else 1.0
        torch.testing.assert_close(value, whole[name] * scale)


def with_costs(monkeypatch: pytest.MonkeyPatch, *costs: float) -> None:
    """General code costs so much: first under the base, then each time that it is asked for."""
    left = iter(costs)
    monkeypatch.setattr(
        shrink.nll,
        "score",
        lambda *_args, **_named: [nll.TextScore(nats=next(left), tokens=1, bytes=1)],
    )


def test_a_step_from_a_parent_is_shortened_toward_it(
    llama: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = make_adapter(llama, tmp_path / "parent", seed=2)
    began, whole = adapters.load_weights(parent), adapters.load_weights(adapter)
    # Of 15 ways the eighth is tried first, then the fourth (0.4), the second (0.8), the third.
    with_costs(monkeypatch, 100.0, 100.1, 100.3, 102.0, 100.9)
    ref = AdapterRef(version="v1", folder=str(parent))
    assert shrink.shrink(load_base(llama), adapter, ref, lambda: None) == 0.6
    for name, value in adapters.load_weights(adapter).items():
        torch.testing.assert_close(value, began[name] + 0.6 * (whole[name] - began[name]))
    adapters.verify(adapter, load_base(llama).info.fingerprint)


def test_from_a_parent_that_is_too_far_itself_a_short_step_is_followed_by_a_way_back(
    llama: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = make_adapter(llama, tmp_path / "parent", seed=2)
    began, whole = adapters.load_weights(parent), adapters.load_weights(adapter)
    with_costs(monkeypatch, 100.0, 102.0, 100.5, 100.9, 101.5)  # to keep 0.95, 0.7, 0.85, 0.9
    ref = AdapterRef(version="v1", folder=str(parent))
    assert shrink.shrink(load_base(llama), adapter, ref, lambda: None) == 0.2 * 0.85
    for name, value in adapters.load_weights(adapter).items():
        stepped = began[name] + 0.2 * (whole[name] - began[name])
        torch.testing.assert_close(value, stepped * (0.85 if "lora_B" in name else 1.0))


def test_what_fits_nowhere_is_lowered_as_far_as_it_goes(
    llama: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = make_adapter(llama, tmp_path / "parent", seed=2)
    monkeypatch.setattr(shrink, "TARGET", -10.0)
    ref = AdapterRef(version="v1", folder=str(parent))
    least = shrink.SHORT * shrink.BACK[-1]
    assert shrink.shrink(load_base(llama), adapter, ref, lambda: None) == least


def test_what_chooses_is_neither_trained_on_nor_judged_by() -> None:
    assert len(JUDGING) > 4 and len(CHOOSING) > 4
    assert not set(JUDGING) & set(CHOOSING)
    assert not set(JUDGING + CHOOSING) & set(anchor.modules())


def test_cancelled(llama: Path, adapter: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(adapter, tmp_path / "copy")

    def cancel() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shrink.shrink(load_base(llama), adapter, None, cancel)
    assert (adapter / WEIGHTS).read_bytes() == (copy / WEIGHTS).read_bytes()
