"""What a run needs of the machine, and what is said when it is not there."""

from __future__ import annotations

import pytest

from gardenerd.core import memory
from gardenerd.models.load import load_base
from gardenerd.paths import Home
from gardenerd.seedling import MODEL_DIR
from gardenerd.service.base import BaseInUse
from gardenerd.service.needs import lacking
from gardenerd.settings import Loop, Settings, Train
from gardenerd.store.stores import Stores
from gardenerd.train import model as adapted
from gardenerd.workers.train_jobs import Hyperparameters
from tests.service.conftest import PROJECT

SEEDLING = memory.Shape(
    parameters=6_900_000, layers=6, hidden=256, intermediate=704, vocabulary=8_192
)


def ended(stores: Stores, *, peak: int, numbers: int) -> None:
    stores.runs.begin("r1", PROJECT, 1.0, {})
    report = {"peak_rss_bytes": peak, "planned_parameters": numbers}
    stores.runs.end("r1", outcome="promoted", reason="", now=2.0, report=report)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_the_adapter_of_the_seedling_is_counted_exactly() -> None:
    chosen = Hyperparameters(rank=8)
    model = adapted.prepare(load_base(MODEL_DIR), chosen, None)
    assert memory.adapter_numbers(SEEDLING, 8) == adapted.count(model, 8)[0]


def test_more_of_anything_is_expected_to_take_more() -> None:
    usual = memory.expected(SEEDLING, Hyperparameters(), bytes_each=4)
    assert memory.LIBRARIES < usual < 2_000_000_000
    for more in (Hyperparameters(rank=512), Hyperparameters(max_length=16_384)):
        assert memory.expected(SEEDLING, more, bytes_each=4) > usual
    large = memory.Shape(
        parameters=500_000_000, layers=24, hidden=896, intermediate=4_864, vocabulary=151_936
    )
    assert memory.expected(large, Hyperparameters(), bytes_each=4) > 4 * 500_000_000


def missing(home: Home, stores: Stores, settings: Settings, base: str = "seedling") -> str:
    return lacking(PROJECT, BaseInUse(base, home), home, settings, stores)


def test_where_enough_is_there_nothing_is_lacking(home: Home, stores: Stores) -> None:
    assert missing(home, stores, Settings(loop=Loop(min_free_disk_mb=0))) == ""


def test_what_the_last_run_took_counts_if_it_was_of_the_same_kind(
    home: Home, stores: Stores
) -> None:
    numbers = memory.adapter_numbers(SEEDLING, 64)
    ended(stores, peak=10**15, numbers=numbers)
    said = missing(home, stores, Settings(loop=Loop(min_free_disk_mb=0)))
    assert "about 1,100,000,000 MB of memory" in said
    other = Settings(loop=Loop(min_free_disk_mb=0), train=Train(rank=8))
    assert missing(home, stores, other) == ""


def test_a_disk_that_is_nearly_full_is_named_with_its_figures(home: Home, stores: Stores) -> None:
    said = missing(home, stores, Settings(loop=Loop(min_free_disk_mb=90_000_000)))
    assert said.startswith("not enough room on the disk")
    assert "90,000,000 MB shall stay free" in said


def test_a_base_that_is_missing_is_left_to_the_run(home: Home, stores: Stores) -> None:
    assert missing(home, stores, Settings(), base="nowhere") == ""


def test_what_goes_through_at_once_is_bounded_by_memory_but_never_less_than_a_row() -> None:
    assert memory.micro_tokens(SEEDLING, 1_024, bytes_each=2) == 4_096
    qwen = {"num_hidden_layers": 24, "hidden_size": 896, "intermediate_size": 4_864}
    large = memory.shape_of({**qwen, "vocab_size": 151_936}, 494_000_000)
    assert memory.micro_tokens(large, 1_024, bytes_each=2) == 1_024
    assert memory.micro_tokens(large, 256, bytes_each=2) == 1_024
    assert memory.micro_tokens(large, 32_768, bytes_each=4) == 32_768
    # So half a billion parameters in half precision leave room on a machine of 16 GB.
    assert memory.expected(large, Hyperparameters(), bytes_each=2) < 8_000_000_000


def test_gpt2_names_its_shape_otherwise() -> None:
    found = memory.shape_of({"n_layer": 12, "n_embd": 768, "vocab_size": 50_257}, 124_000_000)
    assert (found.layers, found.hidden, found.intermediate) == (12, 768, 3_072)
