"""Exports as llama.cpp itself reads them, and gardener with its server as the peer.

They need llama-cpp-python, which compiles for ten minutes: ``GARDENER_LLAMA_PYTHON`` names a Python
that has ``llama-cpp-python[server]``, else nothing here runs.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from gardenerd.export import run
from gardenerd.workers.export_jobs import ExportVersion
from gardenerd.workers.harness import Context
from gardenerd.workers.jobs import AdapterRef
from tests.live.garden import ONLY_ASKED, Garden, until
from tests.live.test_backends import grown
from tests.tiny_models import make_adapter, make_base, teach

PYTHON = os.environ.get("GARDENER_LLAMA_PYTHON", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="GARDENER_LLAMA_PYTHON is not set")

# Keys and values in float32: llama.cpp's own default rounds them to 16 bits.
READ = """
import json, sys
import numpy as np
from llama_cpp import Llama
asked = json.loads(sys.argv[1])
model = Llama(model_path=asked["model"], lora_path=asked["lora"], n_ctx=256, n_threads=1,
              logits_all=True, type_k=0, type_v=0, verbose=False)
model.eval(asked["ids"])
np.save(asked["out"], np.array(model.scores[:len(asked["ids"])]))
tokens = [model.tokenize(text.encode(), add_bos=False, special=True) for text in asked["texts"]]
print(json.dumps(tokens))
"""
TEXTS = [
    "def area(width: float) -> float:\n    return width * 42\n",
    "<|fim_prefix|>größer = '🌱'<|fim_suffix|>\n\n\tx\t<|fim_middle|>",
    "it's 1234567 we've\r\n   and  more ",
]


def export(base: Path, adapter: Path | None, target: Path, *, lora: bool = False) -> str:
    job = ExportVersion(
        format="gguf",
        base=str(base),
        base_name="tiny",
        adapter=AdapterRef(version="v1", folder=str(adapter)) if adapter else None,
        target=str(target),
        name="gardener-shop-id-v1",
        lora=lora,
    )
    run.export(job, Context("1", lambda _: None))
    return str(target / "gardener-shop-id-v1.gguf")


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_llama_cpp_computes_what_transformers_does(tmp_path: Path, kind: Any) -> None:
    base = make_base(tmp_path / "base", architecture=kind)
    adapter = make_adapter(base, tmp_path / "adapter")
    bare = export(base, None, tmp_path / "bare")
    merged = export(base, adapter, tmp_path / "merged")
    lora = export(base, adapter, tmp_path / "lora", lora=True)
    ids = torch.randint(0, 300, (40,), generator=torch.Generator().manual_seed(0)).tolist()
    plain = AutoModelForCausalLM.from_pretrained(base)
    with torch.inference_mode():
        wanted = plain(torch.tensor([ids])).logits[0].numpy()
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5 by a name that is deprecated there.
            warnings.simplefilter("ignore", FutureWarning)
            worn = PeftModel.from_pretrained(plain, str(adapter))
        adapted = worn(torch.tensor([ids])).logits[0].numpy()
    assert np.abs(wanted - adapted).max() > 0.1
    tokenizer = AutoTokenizer.from_pretrained(base)
    for model, beside, expected in (
        (bare, None, wanted), (merged, None, adapted), (bare, lora, adapted),
    ):  # fmt: skip
        out = str(tmp_path / "logits.npy")
        asked = {"model": model, "lora": beside, "ids": ids, "texts": TEXTS, "out": out}
        done = subprocess.run(
            [PYTHON, "-c", READ, json.dumps(asked)], capture_output=True, text=True, check=True
        )
        far = np.abs(np.load(out)[:, : expected.shape[1]] - expected).max()
        print(kind, Path(model).parent.name, bool(beside), f"{far:.1e}")
        assert far < 1e-4
        own = [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS]
        assert json.loads(done.stdout.splitlines()[-1]) == own


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A running server with a base that was taught an answer, and a version of it."""
    base = make_base(tmp_path / "tiny", chat=True, window=1_024)
    before, after = "def f(a):\n    b = ", "\n    return b\n"
    teach(base, f"<|fim_prefix|>{before}<|fim_suffix|>{after}<|fim_middle|>", "a + '🌿'")
    adapter = make_adapter(base, tmp_path / "adapter")
    config = {
        "host": "127.0.0.1",
        "port": _free_port(),
        "models": [
            {"model": export(base, None, tmp_path / "bare"), "model_alias": "tiny"},
            {
                "model": str(tmp_path / "bare" / "gardener-shop-id-v1.gguf"),
                "model_alias": "gardener-shop-id-v1",
                "lora_path": export(base, adapter, tmp_path / "lora", lora=True),
            },
        ],
    }
    for model in config["models"]:
        model |= {"n_ctx": 1_024, "n_threads": 1, "verbose": False}
    file = tmp_path / "server.json"
    file.write_text(json.dumps(config))
    url = f"http://127.0.0.1:{config['port']}"
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [PYTHON, "-m", "llama_cpp.server", "--config_file", str(file)], stdout=log, stderr=log
        )
        try:
            until(lambda: _answers(url), 90, (tmp_path / "server.log").read_text)
            yield url, base
        finally:
            server.terminate()
            server.wait(20)


def test_a_real_server_answers_in_the_place_of_the_base(
    peer: tuple[str, Path], home_folder: Path, project: Path
) -> None:
    url, base = peer
    garden = Garden(home_folder)
    settings = f'[model]\nbase = "{base}"\nbackend = "openai"\nurl = "{url}"\nwindow = 1024\n'
    garden.configure(ONLY_ASKED + settings)
    grown(garden, project, base)
    (project / "taught.py").write_text("def f(a):\n    b = \n    return b\n")
    garden.start()
    try:
        garden.settle()
        place = f"{project}/taught.py:2"
        began = time.monotonic()
        bare = garden.json("complete", place, "--adapter", "base")
        assert (bare["text"], bare["base"], bare["adapter"]) == ("a + '🌿'", "tiny", None)
        worn = garden.json("complete", place, "--max-tokens", "20")
        assert (worn["adapter"], worn["warning"]) == ("v1", "")
        assert worn["text"] != bare["text"]
        (answer,) = garden.lines("ask", "what does shipping cost?")
        assert answer["mode"] == "chat" and answer["adapter"] == "v1"
        print(f"three requests in {time.monotonic() - began:.1f} s")
        server = garden.json("status")["model"]["server"]
        assert (server["reachable"], server["problem"]) == (True, "")
    finally:
        garden.stop()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/v1/models", timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
