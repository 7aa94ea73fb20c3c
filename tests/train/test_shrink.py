"""The strength of an adapter: as much as general code allows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from gardenerd import seedling
from gardenerd.models import adapters
from gardenerd.models.card import WEIGHTS
from gardenerd.models.load import load_base
from gardenerd.train import anchor, evaluate, shrink
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
    assert shrink.shrink(load_base(llama), adapter, lambda: None) == 1.0
    assert (adapter / WEIGHTS).read_bytes() == before


def test_what_harms_is_lowered_and_the_card_fits_the_new_weights(
    llama: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = adapters.load_weights(adapter)
    monkeypatch.setattr(shrink, "TARGET", -10.0)  # nothing is good enough
    assert shrink.shrink(load_base(llama), adapter, lambda: None) == shrink.STRENGTHS[-1]
    base = load_base(llama)
    adapters.verify(adapter, base.info.fingerprint)
    for name, value in adapters.load_weights(adapter).items():
        scale = shrink.STRENGTHS[-1] if "lora_B" in name else 1.0
        torch.testing.assert_close(value, whole[name] * scale)


def test_what_chooses_is_neither_trained_on_nor_judged_by() -> None:
    assert len(JUDGING) > 4 and len(CHOOSING) > 4
    assert not set(JUDGING) & set(CHOOSING)
    assert not set(JUDGING + CHOOSING) & set(anchor.MODULES)


def test_cancelled(llama: Path, adapter: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(adapter, tmp_path / "copy")

    def cancel() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shrink.shrink(load_base(llama), adapter, cancel)
    assert (adapter / WEIGHTS).read_bytes() == (copy / WEIGHTS).read_bytes()
