"""On what a model is computed and what it takes: decided by figures, on any machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gardenerd.errors import ModelError
from gardenerd.models import catalogue, check, estimate, fit
from gardenerd.workers.fetch_jobs import Gpu, Hardware

SMALL, LARGE = catalogue.OFFERS[0], catalogue.OFFERS[-1]
PLAIN = Hardware(memory_bytes=16 * 10**9, free_bytes=12 * 10**9, processor_bfloat16=False)


def gpu(free_gb: float, *, bfloat16: bool = True) -> Gpu:
    return Gpu(
        name="Card", total_bytes=24 * 10**9, free_bytes=int(free_gb * 1e9), bfloat16=bfloat16
    )


def chosen(offer: catalogue.Offer, **more: Any) -> fit.Choice:
    values = {name: getattr(PLAIN, name) for name in PLAIN.__struct_fields__}
    return fit.choose(offer.config, offer.parameters, offer.bytes, Hardware(**values | more))


@pytest.mark.parametrize(
    ("offer", "found", "device", "precision", "words"),
    [
        (SMALL, {}, "cpu", "bfloat16", "no GPU was found; bfloat16: half the memory; this device"),
        (SMALL, {"processor_bfloat16": True}, "cpu", "bfloat16", "fast here"),
        (SMALL, {"cuda": gpu(20)}, "cuda", "bfloat16", "Card, bfloat16"),
        (SMALL, {"cuda": gpu(20, bfloat16=False)}, "cuda", "float32", "exact"),
        (LARGE, {"cuda": gpu(20)}, "cuda", "bfloat16", "Card"),
        (LARGE, {"cuda": gpu(10), "four_bit": True}, "cuda", "4bit", "would not fit otherwise"),
        (SMALL, {"apple_bytes": 10**10}, "mps", "bfloat16", "Apple's GPU"),
    ],
)
def test_what_is_there_decides(
    offer: catalogue.Offer,
    found: Mapping[str, Any],
    device: str,
    precision: str,
    words: str,
) -> None:
    choice = chosen(offer, **found)
    assert (choice.device, choice.precision) == (device, precision)
    assert words in choice.reason
    assert choice.warning == ""


def test_a_model_of_a_few_megabytes_is_exact() -> None:
    config = {"num_hidden_layers": 2, "hidden_size": 64, "vocab_size": 400}
    assert fit.choose(config, 100_000, 400_000, PLAIN).precision == "float32"


def test_four_bits_keep_a_model_under_what_the_worker_may_hold() -> None:
    middle = catalogue.OFFERS[2]
    card = msgspec.structs.replace(PLAIN, four_bit=True, cuda=gpu(20))

    def under(limit: int, found: Hardware) -> str:
        return fit.choose(
            middle.config, middle.parameters, middle.bytes, found, limit * 10**9
        ).precision

    assert [under(limit, card) for limit in (8, 4)] == ["bfloat16", "4bit"]
    assert under(4, PLAIN) == "bfloat16"


def test_short_memory_is_told_and_the_processor_is_used() -> None:
    choice = chosen(SMALL, cuda=gpu(1))
    assert choice.device == "cpu"
    assert "GPU memory is short: Card has 1.0 GB of 24.0 GB free and 1.9 GB" in choice.warning
    choice = chosen(LARGE, apple_bytes=10**10)
    assert choice.device == "cpu"
    assert "Apple's GPU may take 10.0 GB" in choice.warning
    assert "memory is short: it takes 16.7 GB, 12.0 GB free" in choice.warning


@pytest.mark.parametrize(
    ("gigabytes", "size"),
    [(4, None), (8, "0.5B"), (16, "1.5B"), (32, "1.5B"), (64, "7B"), (512, "7B")],
)
def test_the_recommendation_follows_the_memory(gigabytes: int, size: str | None) -> None:
    offer = catalogue.recommend(gigabytes * 10**9)
    assert (offer and offer.name) == (size and f"Qwen/Qwen2.5-Coder-{size}-Instruct")


def test_estimates_grow_with_the_model_and_shrink_with_the_precision() -> None:
    needs = [catalogue.needs(offer) for offer in catalogue.OFFERS]
    assert needs == sorted(needs)
    for offer in catalogue.OFFERS:
        each = [
            estimate.serving(offer.config, offer.parameters, bytes_each=count)
            for count in (4, 2, 0.5)
        ]
        assert each == sorted(each, reverse=True)
        assert each[1] > offer.bytes


def test_what_does_not_fit_is_refused_with_the_estimate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(check, "NVIDIA", tmp_path / "none")
    monkeypatch.setattr(check, "has_four_bit", lambda: False)

    def refuse(limit: int) -> None:
        check.refuse_too_large("big", LARGE.config, LARGE.parameters, LARGE.bytes, limit)

    refuse(20 * 10**9)
    with pytest.raises(ModelError, match=r"big takes 16\.7 GB .* has 10\.0 GB") as caught:
        refuse(10 * 10**9)
    assert "in 4 bits it takes about 7.4 GB: ollama serves it so" in caught.value.hint
    monkeypatch.setattr(check, "NVIDIA", tmp_path)
    with pytest.raises(ModelError) as caught:
        refuse(10 * 10**9)
    assert "pip install 'gardener[4bit]'" in caught.value.hint
    with pytest.raises(ModelError) as caught:
        refuse(10**9)
    assert "choose a smaller one" in caught.value.hint
    monkeypatch.setattr(check, "has_four_bit", lambda: True)
    refuse(10 * 10**9)
