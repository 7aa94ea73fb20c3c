"""A server answers in the place of the base, and a version is written for other programs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gardenerd.models.info import fingerprint
from gardenerd.store.adapters import Adapter
from gardenerd.store.stores import Stores
from tests.answer.remote.openai_double import OpenAIDouble
from tests.live.garden import ONLY_ASKED, Garden
from tests.tiny_models import make_adapter, make_base

SERVED = '{loop}[model]\nbase = "{base}"\nbackend = "openai"\nurl = "{url}"\n'


@pytest.fixture
def server() -> Iterator[OpenAIDouble]:
    running = OpenAIDouble("vllm")
    yield running
    running.close()


def grown(garden: Garden, project: Path, base: Path) -> None:
    """A project whose first version serves, without the night that it takes to train one."""
    garden.home.create()
    make_adapter(base, garden.home.adapter("shop-id", "v1"))
    stores = Stores(garden.home.database)
    stores.projects.add("shop-id", "shop", project, time.time())
    adapter = Adapter(
        project="shop-id",
        version="v1",
        number=1,
        state="candidate",
        parent=None,
        run=None,
        created=time.time(),
        scores={},
        fingerprint=fingerprint(base),
    )
    stores.adapters.promote(adapter, time.time())
    stores.close()


def test_a_server_answers_and_a_version_is_exported(
    home_folder: Path, project: Path, tmp_path: Path, server: OpenAIDouble
) -> None:
    base = make_base(tmp_path / "tiny", chat=True)
    garden = Garden(home_folder)
    garden.configure(SERVED.format(loop=ONLY_ASKED, base=base, url=server.url))
    grown(garden, project, base)
    garden.start()
    try:
        garden.settle()

        # A question: the sources go there, the citation that is made up does not come back.
        (answer,) = garden.lines("ask", "what does shipping cost?")
        assert answer["mode"] == "chat"
        assert (answer["base"], answer["adapter"]) == ("tiny", "v1")
        assert answer["warning"].startswith("1 citation was removed")
        assert answer["text"].startswith("It is there [shop/shipping.py:")
        assert answer["text"].endswith(", 🌱 as told.")
        asked = server.last("/v1/chat/completions")
        assert asked["model"] == "gardener-shop-id-v1"
        assert "def shipping_cost" in asked["messages"][-1]["content"]
        assert server.adapters == {"gardener-shop-id-v1": str(garden.home.adapter("shop-id", "v1"))}

        # A completion, with the adapter and without.
        place = f"{project}/shop/shipping.py:6"
        done = garden.json("complete", place, "--max-tokens", "9")
        assert (done["text"], done["base"], done["adapter"]) == ("a + b", "tiny", "v1")
        assert garden.json("complete", place, "--adapter", "base")["adapter"] is None
        assert server.last("/v1/completions")["model"] == "tiny"

        # What asks a server needs no torch. What scores is the base on this machine.
        assert "libtorch" not in mapped(garden)
        (score,) = garden.lines("score", str(project / "shop" / "shipping.py"))
        assert score["adapter"] == "v1" and score["bits_per_byte"] > 0

        model = garden.json("status")["model"]
        assert model["backend"] == "openai"
        assert model["server"] == {
            "url": server.url.removeprefix("http://"),
            "model": "",
            "reachable": True,
            "problem": "",
        }

        export(garden, tmp_path)

        server.close()
        error = garden.refusal("ask", "what does shipping cost?")
        assert error["code"] == "server" and server.url in error["message"] and error["hint"]
        told = garden.json("status")["model"]["server"]
        assert (told["reachable"], told["problem"]) == (False, error["message"])
        assert "not there" in garden.ctl("status")
        assert "Authorization" not in garden.home.log_file.read_text()
    finally:
        garden.stop()


def mapped(garden: Garden) -> str:
    """The files that the model worker has in memory."""
    (pid,) = [w["pid"] for w in garden.json("status")["workers"] if w["kind"] == "model"]
    return " ".join(each.path for each in psutil.Process(pid).memory_maps())


def export(garden: Garden, tmp_path: Path) -> None:
    """Each format, by the command that a user gives."""
    files = {
        "peft": {"adapter_model.safetensors", "adapter_config.json", "card.json"},
        "gguf": {"gardener-shop-id-v1.gguf"},
        "ollama": {"base.gguf", "adapter.gguf", "Modelfile"},
    }
    for kind, names in files.items():
        done = garden.json("export", "v1", "--format", kind, str(tmp_path / kind))
        assert {file["name"] for file in done["files"]} == names
        assert {path.name for path in (tmp_path / kind).iterdir()} == names
        assert (done["version"], done["format"]) == ("v1", kind)
    config = json.loads((tmp_path / "peft" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "tiny")
    (tmp_path / "merged").mkdir()  # empty: it may be used
    garden.ctl("export", "current", "--format", "merged", str(tmp_path / "merged"))
    assert (tmp_path / "merged" / "tokenizer.json").is_file()
    done = garden.json("export", "base", "--format", "gguf", str(tmp_path / "bare"))
    assert (done["version"], done["name"]) == (None, "tiny")

    taken = garden.refusal("export", "v1", "--format", "gguf", str(tmp_path / "gguf"))
    assert taken["code"] == "refused" and "not empty" in taken["message"]
    absent = garden.refusal("export", "v9", "--format", "gguf", str(tmp_path / "no"))
    assert absent["code"] == "not_found"
    odd = garden.refusal("export", "v1", "--format", "peft", "--lora", str(tmp_path / "no"))
    assert odd["code"] == "refused"
    assert garden.run("export", "v1", str(tmp_path / "no")).returncode == 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "no"))]
