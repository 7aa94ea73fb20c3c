from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from gardenerd.errors import ModelError, SettingsError
from gardenerd.models import info
from gardenerd.paths import Home
from gardenerd.settings import Train
from tests.tiny_models import make_base


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path / "base")


def test_what_a_base_is(base: Path) -> None:
    found = info.inspect(base)
    with safe_open(base / "model.safetensors", framework="pt") as file:
        numbers = sum(file.get_tensor(key).numel() for key in file.keys())  # noqa: SIM118
    assert found.parameters == numbers
    assert found.bytes == (base / "model.safetensors").stat().st_size
    assert (found.name, found.architecture) == ("base", "Qwen2ForCausalLM")
    assert (found.chat, found.fim) == (False, True)


def test_abilities_are_read_from_the_tokenizer(tmp_path: Path) -> None:
    found = info.inspect(make_base(tmp_path / "chatty", chat=True, fim=False))
    assert (found.chat, found.fim) == (True, False)


def test_where_a_base_is_found(base: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert info.find_base(str(base), home) == base
    make_base(home.models / "small")
    assert info.find_base("small", home) == home.models / "small"
    with pytest.raises(ModelError, match="no base model 'absent'"):
        info.find_base("absent", home)


def test_the_fingerprint_is_of_weights_configuration_and_tokenizer(
    base: Path, tmp_path: Path
) -> None:
    before = info.fingerprint(base)
    assert before == info.fingerprint(make_base(tmp_path / "same"))
    assert before != info.fingerprint(make_base(tmp_path / "other", seed=1))
    (base / "README.md").write_text("new")
    (base / "gardener.json").write_text("{}")
    assert info.fingerprint(base) == before
    tokenizer = base / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes() + b"\n")
    assert info.fingerprint(base) != before


def test_the_cache_of_fingerprints_notices_a_change(base: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    before = info.fingerprint(base, cache=cache)
    assert info.fingerprint(base, cache=cache) == before
    # The digest comes from the cache: one that lies is believed while size and time are the same.
    kept = json.loads(cache.read_text())
    weights = str(base / "model.safetensors")
    kept[weights][2] = "0" * 64
    cache.write_text(json.dumps(kept))
    assert info.fingerprint(base, cache=cache) != before
    os.utime(weights, ns=(1, 1))
    assert info.fingerprint(base, cache=cache) == before
    cache.write_text("damaged")
    assert info.fingerprint(base, cache=cache) == before


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def remote_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))


def lost_shard(folder: Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "../../../etc/passwd"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), "cannot read .*config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot read .*config.json"),
        (lambda folder: (folder / "config.json").write_text("[]"), "not a JSON object"),
        (lambda folder: (folder / "config.json").write_text("{}"), "no model_type"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "is damaged"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 99), "is damaged"),
        (cut_short, "is damaged"),
        (pickled, "a format that can run code"),
        (remote_code, "auto_map"),
        (lost_shard, "lacks"),
    ],
)
def test_what_is_refused(base: Path, damage, words: str) -> None:
    damage(base)
    with pytest.raises(ModelError, match=words) as caught:
        info.inspect(base)
    assert caught.value.hint


def test_hyperparameters_come_from_the_user_then_the_base_then_the_defaults(base: Path) -> None:
    (base / "gardener.json").write_text('{"train": {"rank": 8, "learning_rate": 0.005}}')
    defaults = info.train_defaults(base)
    decided = info.resolve(Train(rank=4), defaults)
    assert (decided.rank, decided.learning_rate, decided.alpha) == (4, 0.005, 32)
    assert info.train_defaults(base.parent) == {}


def test_all_problems_are_named_together() -> None:
    defaults = {"rank": 0, "learning_rate": "fast", "ranks": 3, "dropout": 1.5}
    with pytest.raises(SettingsError) as caught:
        info.resolve(Train(batch_tokens=64, max_length=128), defaults)
    for name in ("rank must", "learning_rate", "ranks is not", "dropout must", "batch_tokens (64)"):
        assert name in caught.value.message


def test_the_supervisor_may_import_it() -> None:
    code = (
        "import sys; import gardenerd.models.info, gardenerd.models.card;"
        "print({'torch', 'transformers', 'peft', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
