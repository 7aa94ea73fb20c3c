from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gardenerd import seedling
from gardenerd.train import canary
from tests.tiny_models import make_base


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """The order of sums, and so the last bit, depends on the number of threads."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def little_general_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """One short module is enough to see that general code is scored."""
    monkeypatch.setattr(seedling, "GENERAL_MODULES", ("bisect",))


@pytest.fixture(autouse=True)
def little_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """To let each of three models go on from four prompts is most of a short run's time."""
    monkeypatch.setattr(canary, "_PROMPTS", canary._PROMPTS[:1])


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("llama"), architecture="llama")


@pytest.fixture(scope="session")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("qwen2"), architecture="qwen2")
