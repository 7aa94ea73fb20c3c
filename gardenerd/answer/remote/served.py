"""What a server with OpenAI's protocol has, and what it can beyond that protocol.

server             models     window                  tokens of a text        adapters
vLLM               /v1/models max_model_len there     /tokenize               listed as models
llama-server       /v1/models /props                  /tokenize               /lora-adapters
LM Studio          /v1/models /api/v0/models          estimated               none
llama-cpp-python   /v1/models unknown                 /extras/tokenize/count  one a model
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import msgspec

from gardenerd.answer.remote.http import Http
from gardenerd.answer.remote.names import PREFIX
from gardenerd.answer.remote.text import estimate
from gardenerd.errors import ModelError, ServerError

# What llama-cpp-python gives a model if it is not told: the least of all servers.
_UNKNOWN_WINDOW = 2_048
# A prompt as long as the largest windows would be read for minutes.
_MAX_WINDOW = 8_192
# Tokens of a text that is not worth a request of its own.
_SHORT = 200


@dataclass(frozen=True, slots=True)
class Fill:
    """The names of a model's fill-in-the-middle tokens."""

    prefix: str
    suffix: str
    middle: str
    repository: bool = False
    """It was trained with other files before the one that is filled in, as Qwen2.5-Coder was."""


REPOSITORY, FILE = "<|repo_name|>", "<|file_sep|>"
# Qwen2.5-Coder, CodeGemma, StarCoder, DeepSeek-Coder (whose suffix marks the hole).
_FILLS = (
    Fill("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", repository=True),
    Fill("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    Fill("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    Fill("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
)


class Listed(msgspec.Struct, frozen=True):
    """A model as ``/v1/models`` lists it."""

    id: str
    max_model_len: int | None = None
    parent: str | None = None
    """The model that an adapter is worn by."""


class _List(msgspec.Struct, frozen=True):
    data: list[Listed]


class _Lora(msgspec.Struct, frozen=True):
    id: int
    path: str = ""


@dataclass(slots=True)
class Served:
    """A model at a server."""

    window: int
    count: Callable[[str], int]
    """Tokens of a text, exact or estimated."""
    fill: Fill | None
    loras: Sequence[_Lora] = ()
    """Adapters that llama-server has loaded; each request says which are on."""
    suffix: bool = field(default=True)
    """Completions may take one, as far as we know."""

    def without_adapters(self) -> dict[str, Any]:
        """The fields of a request by which no adapter is on."""
        return (
            {"lora": [{"id": each.id, "scale": 0.0} for each in self.loras]} if self.loras else {}
        )

    def with_adapter(self, name: str) -> dict[str, Any]:
        """The fields by which this one alone is; empty when it is not loaded."""
        if not any(PurePosixPath(each.path).stem == name for each in self.loras):
            return {}
        return {
            "lora": [
                {"id": each.id, "scale": float(PurePosixPath(each.path).stem == name)}
                for each in self.loras
            ]
        }


def listed(http: Http) -> list[Listed]:
    """The models of the server.

    Raises:
        ServerError: it cannot be reached, refuses the key, or is no such server.
    """
    try:
        return msgspec.convert(http.get("/v1/models"), _List).data
    except msgspec.ValidationError as error:
        raise ServerError(
            f"{http.url} lists no models as a server with OpenAI's protocol does",
            hint="see model.url and model.backend in config.toml",
        ) from error


def chosen(models: Iterable[Listed], name: str, url: str) -> Listed:
    """The model that ``name`` means, or the only one that is no adapter.

    Raises:
        ModelError: there is none, or there are several.
    """
    every = list(models)
    bases = [m for m in every if m.parent is None and not m.id.startswith(PREFIX)]
    found = [model for model in every if model.id == name] if name else bases
    if len(found) == 1:
        return found[0]
    names = ", ".join(model.id for model in bases) or "none"
    if name:
        raise ModelError(
            f"{url} has no model {name!r}; it has: {names}", hint="mend model.name in config.toml"
        )
    raise ModelError(
        f"which model of {url}? it has: {names}",
        hint="set model.name in config.toml" if bases else "load a model at the server",
    )


def look(http: Http, model: Listed, *, window: int) -> Served:
    """Find out what the server can do with ``model``; ``window`` is the user's, or 0."""
    counter = _counter(http, model.id)
    told = window or _window(http, model)
    return Served(
        window=told,
        count=_frugal(counter) if counter else estimate,
        fill=_fill(counter) if counter else None,
        loras=_loras(http),
    )


def _window(http: Http, model: Listed) -> int:
    if model.max_model_len:
        return min(model.max_model_len, _MAX_WINDOW)
    props = _try(http, "GET", "/props")
    found = _at(props, "default_generation_settings", "n_ctx")
    if not isinstance(found, int):
        entries = _at(_try(http, "GET", "/api/v0/models"), "data")
        for entry in entries if isinstance(entries, list) else []:
            if _at(entry, "id") == model.id:
                found = _at(entry, "loaded_context_length") or _at(entry, "max_context_length")
    return min(found, _MAX_WINDOW) if isinstance(found, int) and found > 0 else _UNKNOWN_WINDOW


def _counter(http: Http, model: str) -> Callable[[str], int] | None:
    """What counts the tokens of a text at the server; None where nothing does."""

    def tokenize(text: str) -> Any:  # vLLM reads ``prompt``, llama-server ``content``
        body = {"model": model, "prompt": text, "content": text, "add_special_tokens": False}
        return _try(http, "POST", "/tokenize", body)

    def extras(text: str) -> Any:
        return _try(http, "POST", "/extras/tokenize/count", {"model": model, "input": text})

    for ask in (tokenize, extras):
        if _number(ask("a b")) is not None:

            def count(text: str, ask: Callable[[str], Any] = ask) -> int:
                found = _number(ask(text))
                return estimate(text) if found is None else found

            return count
    return None


def _frugal(exact: Callable[[str], int]) -> Callable[[str], int]:
    """Short texts are estimated: a prompt is made of a dozen of them, and to ask takes longer than
    a few tokens are worth."""

    def count(text: str) -> int:
        found = estimate(text)
        return found if found <= _SHORT else exact(text)

    return count


def _number(answer: Any) -> int | None:
    count = _at(answer, "count")
    tokens = _at(answer, "tokens")
    if isinstance(count, int):
        return count
    return len(tokens) if isinstance(tokens, list) else None


def _fill(count: Callable[[str], int]) -> Fill | None:
    """The first of the known ones whose names are one token each to the model."""
    for fill in _FILLS:
        # By the difference: some servers count a token that begins each text.
        names = [fill.prefix, fill.suffix, fill.middle]
        names += [REPOSITORY, FILE] if fill.repository else []
        if all(count(name + name) - count(name) == 1 for name in names):
            return fill
    return None


def _loras(http: Http) -> list[_Lora]:
    try:
        return msgspec.convert(_try(http, "GET", "/lora-adapters"), list[_Lora])
    except msgspec.ValidationError:  # no such thing there
        return []


def _try(http: Http, method: str, path: str, body: Any = None) -> Any:
    """The answer of a path that a server may or may not have; None where it has not."""
    content = None if body is None else msgspec.json.encode(body)
    try:
        return msgspec.json.decode(http.send(method, path, content))
    except msgspec.DecodeError:
        return None
    except ServerError as error:
        if error.status:
            return None
        raise


def _at(found: Any, *names: str) -> Any:
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found
