"""Base models through gardenerctl: pulled from a hub, broken off, resumed, used, removed."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.hub import serving
from tests.live.garden import Garden, until
from tests.tiny_models import make_base

NAME = "garden/tiny"


def test_a_model_from_the_hub_to_service_and_away(
    garden: Garden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = {model["name"]: model for model in garden.json("model")["models"]}
    assert listed["seedling"]["serving"] is True
    assert listed["Qwen/Qwen2.5-Coder-0.5B-Instruct"]["here"] is False
    assert garden.refusal("model", "pull", "x/y-gguf")["hint"].endswith("docs/backends.md")
    assert garden.refusal("model", "use", "absent")["code"] == "model"
    assert garden.run("model", "use").returncode == 2

    folder = make_base(tmp_path / "tiny", chat=True, width=256)
    with serving() as hub:
        hub.add(NAME, folder)
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)

        def came() -> int:
            models = garden.json("model", "list")["models"]
            return sum(m["partial_bytes"] for m in models if m["name"] == NAME)

        def broken_off(pull: subprocess.Popen[bytes], end: int) -> int:
            until(lambda: came() > end, 60)
            assert "is being pulled" in garden.refusal("model", "pull", NAME)["message"]
            return came()

        hub.pause_s = 0.2
        pull = garden.begin("model", "pull", NAME)
        first = broken_off(pull, 200_000)
        pull.send_signal(signal.SIGINT)
        assert pull.wait(20) == 130
        pull = garden.begin("model", "pull", NAME)
        second = broken_off(pull, first + 100_000)
        garden.kill()
        assert pull.wait(20) == 3
        garden.start()
        hub.pause_s = 0.0
        hub.asked.clear()
        told = garden.json("model", "pull", NAME)
        assert told["revision"] == "a" * 40
        assert 0 < told["received"] <= told["bytes"] - second
        (wanted,) = [wanted for path, wanted in hub.asked if path.startswith("/blobs/")]
        assert int(wanted.removeprefix("bytes=").rstrip("-")) >= second - 200_000
        assert "here already" in garden.ctl("model", "pull", NAME)

    shown = garden.json("model", "show", NAME)
    assert (shown["architecture"], shown["window"]) == ("Qwen2ForCausalLM", 512)
    assert (shown["revision"], shown["licence"], shown["verified"]) == (
        "a" * 40,
        "apache-2.0",
        True,
    )
    assert (shown["chat"], shown["fim"], shown["serving"]) == (True, True, False)
    assert shown["device"]
    assert "float32" in shown["reason"]
    assert shown["train_bytes"] > shown["serve_bytes"] > shown["bytes"]
    assert "as the hub promised" in garden.ctl("model", "show", NAME)

    source = tmp_path / "one.py"
    source.write_text("def area(width, height):\n    return\n")
    assert garden.json("model", "use", NAME)["before"] == "seedling"
    done = garden.json("complete", f"{source}:2", "--max-tokens", "3")
    assert done["base"] == NAME
    assert garden.json("status")["model"]["base"] == NAME
    assert "serves" in garden.refusal("model", "rm", NAME)["message"]
    assert "* " in next(line for line in garden.ctl("model").splitlines() if NAME in line)
    garden.ctl("model", "use", "seedling")
    assert garden.json("complete", f"{source}:2", "--max-tokens", "3")["base"] == "seedling"
    assert garden.json("model", "rm", NAME)["bytes"] > 0
    assert not (garden.home.models / "garden").exists()
    assert garden.refusal("model", "rm", NAME)["code"] == "not_found"
    assert "part of the installation" in garden.refusal("model", "rm", "seedling")["message"]
