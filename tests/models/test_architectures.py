"""Every architecture that matters, by the same code: loaded, scored, written with, trained."""

from __future__ import annotations

import json
import math
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from gardenerd.answer.local.backend import LocalBackend
from gardenerd.errors import ModelError
from gardenerd.models import adapters, check, estimate, info, nll
from gardenerd.models.card import Card, write_card
from gardenerd.models.load import Base, load_base
from gardenerd.train import lora
from gardenerd.train import model as adapted
from gardenerd.workers.jobs import AdapterRef
from gardenerd.workers.train_jobs import Hyperparameters
from tests.tiny_models import Architecture, make_adapter, make_base

# peft asks transformers by a name that it will change; the trainer's log leaves this out too.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

TEXT = "def area(width: float, height: float) -> float:\n    return width * height\n"
# What follows from the architecture: linear projections in a layer, without embeddings and head.
PROJECTIONS = {"gpt_neox": 4, "starcoder2": 6}
CHOSEN = Hyperparameters(rank=4, alpha=8)
CASES = [(name, True) for name in get_args(Architecture)]
CASES += [("qwen2", False), ("llama", False), ("gpt_neox", False)]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a base, its architecture, and whether its embeddings are the head as well."""
    architecture, tied = request.param
    folder = tmp_path_factory.mktemp(architecture) / "base"
    make_base(folder, architecture=architecture, tied=tied, width=32, chat=tied, fim=tied)
    return folder, architecture, tied


@pytest.fixture(scope="module")
def base(case: Any) -> Base:
    return load_base(case[0])


def test_it_is_known_and_described(case: Any, base: Base) -> None:
    folder, _, tied = case
    check.check(folder)
    assert (base.info.chat, base.info.fim, base.info.window) == (tied, tied, 512)
    assert base.info.parameters == sum(p.numel() for p in base.model.parameters())
    config = info.read_config(folder)
    serve = estimate.serving(config, base.info.parameters, bytes_each=4)
    assert estimate.training(config, base.info.parameters, bytes_each=4) > serve > 700_000_000


def test_its_score_is_what_its_own_logits_say(base: Base) -> None:
    tokens = [base.start_token, *nll.encode(base, TEXT)]
    with torch.inference_mode():
        logits = base.model(input_ids=torch.tensor([tokens])).logits[0, :-1].float()
    nats = torch.nn.functional.cross_entropy(logits, torch.tensor(tokens[1:]), reduction="sum")
    (found,) = nll.score(base, [TEXT])
    assert math.isclose(found.nats, float(nats), rel_tol=1e-4)


def test_an_adapter_trains_on_every_projection_and_serves(case: Any, tmp_path: Path) -> None:
    folder, architecture, _ = case
    base = load_base(folder)
    model = adapted.prepare(base, CHOSEN, None)
    rows = torch.tensor([nll.encode(base, TEXT)])
    with lora.fused(model, adapted.NAME) as count:
        assert count == 2 * PROJECTIONS.get(architecture, 7)
        losses = _learn(model, rows)
    assert losses[-1] < losses[0] - 0.1
    adapted.save(model, tmp_path / "adapter")
    write_card(tmp_path / "adapter", _card(base))

    fresh = load_base(folder)
    before = nll.score(fresh, [TEXT])[0].nats
    served = adapters.attach(fresh, tmp_path / "adapter", name="one")
    assert nll.score(fresh, [TEXT], model=served)[0].nats < before

    backend = LocalBackend(folder, cache=None, max_memory_mb=4_096)
    ref = AdapterRef(version="v1", folder=str(tmp_path / "adapter"))
    with backend.open(ref, max_adapters=1) as session:
        assert session.warning == ""
        writing = session.fill("def area(width", "\n", max_tokens=4, check=lambda: None)
        assert "".join(writing) is not None
        assert 0 < writing.tokens <= 4
    with backend.open(None, max_adapters=1) as session:
        if session.can_chat:
            said = [{"role": "user", "content": "what is an area?"}]
            writing = session.chat(said, max_tokens=3, check=lambda: None)
            list(writing)
            assert writing.tokens <= 3


def _learn(model: Any, rows: torch.Tensor) -> list[float]:
    optimizer = torch.optim.AdamW(adapted.trainable(model).values(), lr=5e-3)
    losses: list[float] = []
    for _ in range(15):
        loss = model(input_ids=rows, labels=rows).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def _card(base: Base) -> Card:
    return Card(
        base=base.info.name,
        fingerprint=base.info.fingerprint,
        rank=CHOSEN.rank,
        alpha=CHOSEN.alpha,
        target_modules="all-linear",
        parent=None,
        run="made-by-hand",
        data_digest="",
        created="2026-01-01T00:00:00Z",
    )


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_four_bits_serve_with_an_adapter(tmp_path: Path) -> None:
    folder = make_base(tmp_path / "base", width=128)
    packed = load_base(folder, dtype=torch.bfloat16, four_bit=True)
    kinds = {type(layer).__name__ for layer in packed.model.modules()}
    assert "Linear4bit" in kinds
    bare = nll.score(packed, [TEXT])[0].nats
    whole = nll.score(load_base(folder), [TEXT])[0].nats
    assert abs(bare - whole) < 0.3 * whole
    served = adapters.attach(packed, make_adapter(folder, tmp_path / "adapter"), name="one")
    assert nll.score(packed, [TEXT], model=served)[0].nats != bare


def flip(folder: Path) -> None:
    """A byte of the shard's header, which tells where each tensor lies."""
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    data[8 + length // 2] ^= 0xFF
    file.write_bytes(data)


def shrink(folder: Path) -> None:
    """As many tokens as the weights have are not enough for the tokenizer."""
    tokenizer = json.loads((folder / "tokenizer.json").read_bytes())
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][-1], "id": 999, "content": "!x"})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def lose(folder: Path) -> None:
    """The configuration speaks of a layer more than the weights have."""
    config = json.loads((folder / "config.json").read_bytes())
    config["num_hidden_layers"] = 3
    config.pop("layer_types", None)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "words"),
    [(flip, "damaged"), (shrink, "another model's"), (lose, "lacks weights")],
)
def test_what_is_wrong_with_the_files_is_said(tmp_path: Path, damage: Any, words: str) -> None:
    folder = make_base(tmp_path / "base", width=32)
    damage(folder)
    with pytest.raises(ModelError, match=words) as caught:
        load_base(folder)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"architectures": ["MysteryForCausalLM"]}, "does not have"),
        ({"architectures": ["T5ForConditionalGeneration"]}, "writes on"),
        ({"auto_map": {"AutoConfig": "evil.Config"}}, "code of its own"),
        ({"vocab_size": 10}, "another model's"),
    ],
)
def test_what_cannot_serve_is_known_without_loading_it(
    tmp_path: Path, values: dict[str, Any], words: str
) -> None:
    folder = make_base(tmp_path / "base", width=32)
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, **values}))
    with pytest.raises(ModelError, match=words):
        check.check(folder)
