"""The backend for ollama against a double on a real socket; adapters are real."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file

from gardenerd.answer.remote import http
from gardenerd.answer.remote.ollama import OllamaBackend
from gardenerd.errors import ModelError, ServerError
from gardenerd.models.served import left_behind
from gardenerd.paths import Home
from gardenerd.workers.jobs import AdapterRef, ServerRef
from tests.answer.remote.ollama_double import OllamaDouble
from tests.tiny_models import make_adapter, make_base

QUESTION = [{"role": "user", "content": "where?"}]


def never() -> None:
    """Nobody cancels."""


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[OllamaDouble]:
    monkeypatch.setattr(http, "_WAITS", (0.01, 0.01, 0.01))
    running = OllamaDouble()
    yield running
    running.close()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    return make_adapter(make_base(folder / "base"), folder / "adapter")


def backend(double: OllamaDouble, home: Path, **fields: Any) -> OllamaBackend:
    fields = {"url": double.url, **fields}
    return OllamaBackend(ServerRef(kind="ollama", **fields), Home(home))


def ask(backend: OllamaBackend, adapter: AdapterRef | None = None) -> tuple[str, Any]:
    with backend.open(adapter, max_adapters=1) as session:
        return "".join(session.chat(QUESTION, max_tokens=50, check=never)), session


def test_it_chats_and_fills_in_by_its_own_template(double: OllamaDouble, tmp_path: Path) -> None:
    served = backend(double, tmp_path, keep_alive="-1")
    double.reason = "length"
    with served.open(None, max_adapters=1) as session:
        writing = session.chat(QUESTION, max_tokens=50, check=never)
        assert "".join(writing) == "It is there, 🌱\u2028as told."
        assert (writing.tokens, writing.full) == (17, True)
        assert (session.name, session.can_chat, session.window) == ("coder:1.5b", True, 4_096)
        filling = session.fill("x = <|fim_pad|>", "\ny", max_tokens=9, check=never)
        assert next(iter(filling)) == "It "
        filled = double.last("/api/generate")
        list(session.fill("x = ", "", max_tokens=9, check=never))
        with pytest.raises(ModelError, match="too long"):
            session.chat([{"role": "user", "content": "why? " * 4_000}], max_tokens=9, check=never)
    sent = double.last("/api/chat")
    assert (sent["model"], sent["messages"], sent["keep_alive"]) == ("coder:1.5b", QUESTION, -1)
    assert sent["options"] == {"num_ctx": 4_096, "num_predict": 50, "temperature": 0}
    assert (filled["prompt"], filled["suffix"]) == ("x = < |fim_pad|>", "\ny")
    # A prompt without a suffix must not become a turn of a conversation.
    bare = double.last("/api/generate")
    assert (bare["prompt"], bare["raw"], "suffix" in bare) == ("x = ", True, False)


def test_a_model_says_what_it_can(double: OllamaDouble, tmp_path: Path) -> None:
    double.shown["plain:latest"] = {
        "template": "{{ .Prompt }}",
        "parameters": "num_ctx                        900\nstop    x",
        "model_info": {"general.architecture": "gemma2", "gemma2.context_length": 700},
    }
    with pytest.raises(ModelError, match=r"which model .* coder:1.5b, plain"):
        ask(backend(double, tmp_path))
    with pytest.raises(ModelError, match="no model 'absent'") as caught:
        ask(backend(double, tmp_path, name="absent"))
    assert "ollama pull absent" in caught.value.hint
    adapter = AdapterRef(version="v1", folder=str(tmp_path / "none" / "v1"))
    with backend(double, tmp_path, name="plain").open(adapter, max_adapters=1) as session:
        assert (session.can_chat, session.window, session.adapter) == (False, 700, None)
        assert session.warning
        list(session.fill("x = ", "\ny", max_tokens=9, check=never))
    assert double.last("/api/generate")["raw"] is True


def test_what_goes_wrong_is_told(double: OllamaDouble, tmp_path: Path) -> None:
    double.failures = [503, "drop"]
    assert ask(backend(double, tmp_path))[0].startswith("It is")
    double.fails_late = "out of memory"
    with pytest.raises(ServerError, match="out of memory"):
        ask(backend(double, tmp_path))
    double.fails_late = ""
    double.dies_after = 2
    with pytest.raises(ServerError, match="broke off"):
        ask(backend(double, tmp_path))
    double.shown.clear()
    with pytest.raises(ModelError, match="it has: none") as caught:
        ask(backend(double, tmp_path))
    assert "ollama pull" in caught.value.hint


def test_an_adapter_is_registered_once_and_goes_with_its_version(
    double: OllamaDouble, tmp_path: Path, trained: Path
) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "adapters" / "shop" / "v1"))
    adapter = AdapterRef(version="v1", folder=str(folder))
    served = backend(double, tmp_path)
    for _ in range(2):
        _, session = ask(served, adapter)
        assert (session.adapter, session.warning) == ("v1", "")
    assert double.paths().count("/api/create") == 1
    assert double.last("/api/create")["from"] == "coder:1.5b"
    assert double.last("/api/chat")["model"] == "gardener-shop-v1"
    assert served.loaded_adapters == ["v1"]

    file = tmp_path / "worn.gguf"
    file.write_bytes(double.adapters["gardener-shop-v1:latest"])
    worn = {tensor.name: tensor.data for tensor in gguf.GGUFReader(file).tensors}
    own = load_file(trained / "adapter_model.safetensors")
    assert len(worn) == len(own) == 28
    name = "base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"
    assert np.array_equal(worn["blk.1.ffn_up.weight.lora_b"], own[name])

    # What is no more here goes there, also when the daemon or ollama was away meanwhile.
    assert left_behind(Home(tmp_path)) == []
    shutil.rmtree(folder)
    assert left_behind(Home(tmp_path)) == [double.url]
    double.failures = [503] * 4
    with pytest.raises(ServerError):
        backend(double, tmp_path).sweep()
    assert left_behind(Home(tmp_path)) == [double.url]
    backend(double, tmp_path).sweep()
    assert list(double.shown) == ["coder:1.5b"] and left_behind(Home(tmp_path)) == []
    assert backend(double, tmp_path).loaded_adapters == []


@pytest.mark.parametrize("wrong", ["wide", "deep", "kind", "damaged"])
def test_an_adapter_of_another_model_is_not_registered(
    double: OllamaDouble, tmp_path: Path, trained: Path, wrong: str
) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "adapters" / "shop" / "v1"))
    info = double.shown["coder:1.5b"]["model_info"]
    if wrong == "wide":
        info["qwen2.embedding_length"] = 128
    elif wrong == "deep":
        info["qwen2.block_count"] = 1
    elif wrong == "kind":
        info["general.architecture"] = "gemma2"
    else:
        (folder / "adapter_model.safetensors").write_bytes(b"nothing")
    text, session = ask(backend(double, tmp_path), AdapterRef(version="v1", folder=str(folder)))
    assert (text[:5], session.adapter) == ("It is", None)
    assert "serves without an adapter" in session.warning
    assert "/api/create" not in double.paths() and not double.blobs
