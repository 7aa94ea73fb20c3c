"""A server in the place of the base: what is told of it, and what must not stay there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import zmq.asyncio

from gardenerd.models.served import Registered, left_behind
from gardenerd.paths import Home
from gardenerd.service.serving import Serving
from gardenerd.settings import Model
from gardenerd.workers.child import MODULES, Child
from gardenerd.workers.jobs import AdapterRef
from tests.answer.remote.ollama_double import OllamaDouble


def test_what_went_here_goes_at_the_server_as_soon_as_it_can(home: Home, tmp_path: Path) -> None:
    double = OllamaDouble()
    home.config.write_text('[model]\nbackend = "ollama"\n')
    kept = tmp_path / "kept"
    kept.mkdir()
    for version, folder in (("v1", kept), ("v2", tmp_path / "gone")):
        name = f"gardener-shop-{version}:latest"
        double.shown[name] = double.shown["coder:1.5b"]
        double.adapters[name] = b""
        noted = Registered(home, double.url)
        noted.add(name.removesuffix(":latest"), AdapterRef(version=version, folder=str(folder)))

    async def scenario() -> None:
        context = zmq.asyncio.Context()
        child = Child("model", MODULES["model"], home, context, keep_alive=float("inf"))
        # By now another backend is set: what is noted counts.
        serving = Serving(Model(), home, model=child)
        double.failures = [500] * 4
        await serving.tick()
        assert left_behind(home) == [double.url]
        await serving.tick()
        assert left_behind(home) == []
        await child.stop()
        context.destroy(linger=0)

    try:
        asyncio.run(scenario())
        assert list(double.shown) == ["coder:1.5b", "gardener-shop-v1:latest"]
        assert Registered(home, double.url).versions() == ["v1"]
    finally:
        double.close()


def test_a_look_at_a_server_goes_nowhere_else(home: Home) -> None:
    async def look(settings: Model) -> object:
        context = zmq.asyncio.Context()
        child = Child("model", MODULES["model"], home, context, keep_alive=0)
        status = await Serving(settings, home, model=child).status()
        context.destroy(linger=0)
        return status["server"] and status["server"]["reachable"]

    double = OllamaDouble()
    assert asyncio.run(look(Model())) is None
    assert asyncio.run(look(Model(backend="ollama", url=double.url))) is True
    # A name is looked up by asking others: only if it may be.
    named = Model(backend="ollama", url="http://models.example:80")
    assert asyncio.run(look(named)) is None
    double.close()
    assert asyncio.run(look(Model(backend="ollama", url=double.url))) is False
    assert double.asked == []
