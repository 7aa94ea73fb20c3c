from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from gardenerd.errors import AdapterError
from gardenerd.models import adapters, card
from gardenerd.models.load import Base, load_base
from tests.tiny_models import make_adapter, make_base

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def base(folder: Path) -> Base:
    return load_base(folder)


def logits(model: object) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(20)[None]).logits  # type: ignore[operator]


def resign(folder: Path) -> None:
    """Make the card agree with the files as they are now: damage that was there from the start."""
    card.write_card(folder, msgspec.structs.replace(card.read_card(folder), files={}))


def test_adapters_of_different_ranks_serve_side_by_side_and_leave_the_base_as_it_was(
    base: Base, folder: Path, tmp_path: Path
) -> None:
    plain = logits(base.model)
    model = adapters.attach(base, make_adapter(folder, tmp_path / "a", rank=4), name="one")
    model = adapters.attach(
        base, make_adapter(folder, tmp_path / "b", rank=8, seed=2), name="two", model=model
    )
    model.set_adapter("one")
    first = logits(model)
    model.set_adapter("two")
    second = logits(model)
    assert not torch.allclose(first, plain)
    assert not torch.allclose(first, second)
    adapters.detach(model, "two")
    model.set_adapter("one")
    assert torch.equal(logits(model), first)
    with model.disable_adapter():
        assert torch.equal(logits(model), plain)


def test_an_adapter_of_another_base_is_refused(base: Base, tmp_path: Path) -> None:
    other = make_base(tmp_path / "other", seed=5)
    with pytest.raises(AdapterError, match="the base in use is another") as caught:
        adapters.attach(base, make_adapter(other, tmp_path / "a"), name="one")
    assert "train a new adapter" in caught.value.hint


def test_an_adapter_that_only_claims_to_fit_is_refused(
    base: Base, folder: Path, tmp_path: Path
) -> None:
    other = make_base(tmp_path / "other", width=32)
    lying = make_adapter(other, tmp_path / "a", vouches_for=folder)
    with pytest.raises(AdapterError, match="does not fit"):
        adapters.attach(base, lying, name="one")


def _no_weights(folder: Path) -> None:
    (folder / card.WEIGHTS).unlink()


def _flipped_bit(folder: Path) -> None:
    file = folder / card.WEIGHTS
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))


def _pickle(folder: Path) -> None:
    (folder / "adapter_model.bin").write_bytes(b"")


def _no_card(folder: Path) -> None:
    (folder / card.CARD).unlink()


def _odd_card(folder: Path) -> None:
    (folder / card.CARD).write_text('{"base": 3}')


def _not_a_number(folder: Path) -> None:
    weights = load_file(folder / card.WEIGHTS)
    next(iter(weights.values()))[0, 0] = float("nan")
    save_file(weights, folder / card.WEIGHTS)
    resign(folder)


def _one_key_less(folder: Path) -> None:
    weights = load_file(folder / card.WEIGHTS)
    weights.popitem()
    save_file(weights, folder / card.WEIGHTS)
    resign(folder)


def _no_config(folder: Path) -> None:
    (folder / card.CONFIG).write_text("{")
    resign(folder)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_no_weights, "adapter_model.safetensors is missing"),
        (_flipped_bit, "is not the file that was saved"),
        (_pickle, "a format that can run code"),
        (_no_card, "cannot be read"),
        (_odd_card, "is damaged"),
        (_not_a_number, "not finite"),
        (_one_key_less, "does not fit the base"),
        (_no_config, "configuration .* is damaged"),
    ],
)
def test_a_damaged_adapter_is_refused_and_the_base_serves_on(
    base: Base, folder: Path, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    good = make_adapter(folder, tmp_path / "good")
    bad = tmp_path / "bad"
    shutil.copytree(good, bad)
    damage(bad)
    model = adapters.attach(base, good, name="good")
    model.set_adapter("good")
    before = logits(model)
    with pytest.raises(AdapterError, match=words):
        adapters.attach(base, bad, name="bad", model=model)
    model.set_adapter("good")
    assert torch.equal(logits(model), before)
