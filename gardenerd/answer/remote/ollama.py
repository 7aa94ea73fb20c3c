"""ollama, by its own protocol: it fills in by each model's own template, and takes adapters.

An adapter is written as GGUF, handed over as a blob, and registered as a model of its own on top of
the base that it belongs to (what a Modelfile's FROM and ADAPTER do). ``served.json`` in the home
tells what was registered where, so that a version that is removed or forgotten goes there too.
"""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from gardenerd.answer.backend import Drawing, Message
from gardenerd.answer.remote import text as texts
from gardenerd.answer.remote.http import Check, Http
from gardenerd.answer.remote.names import PREFIX, served_name
from gardenerd.answer.remote.writing import Piece, RemoteWriting, sampling
from gardenerd.answer.room import completion_room, require_room
from gardenerd.errors import GardenerError, ModelError, ServerError
from gardenerd.models.served import Registered
from gardenerd.paths import Home
from gardenerd.settings import parse_duration
from gardenerd.workers.jobs import AdapterRef, ServerRef, Surroundings

log = logging.getLogger(__name__)

_KNOWN_SECONDS = 60.0
# ollama's own default; a model's window may be 128,000, and it would take memory for all of it.
_WINDOW = 4_096
# A model is written anew with the adapter beside it: gigabytes are linked, not copied.
_CREATE = "/api/create"


class _Details(msgspec.Struct, frozen=True):
    parent_model: str = ""


class _Tag(msgspec.Struct, frozen=True):
    name: str
    details: _Details = _Details()


class _Tags(msgspec.Struct, frozen=True):
    models: list[_Tag]


class _Shown(msgspec.Struct, frozen=True):
    """What ``/api/show`` says of a model."""

    template: str = ""
    parameters: str = ""
    model_info: dict[str, Any] = {}
    capabilities: list[str] = []

    @property
    def can_chat(self) -> bool:
        """Its template has more than a bare prompt in it."""
        return bool(re.search(r"\.(Messages|System|Role)\b|<\|im_start\|>|\[INST\]", self.template))

    @property
    def can_fill(self) -> bool:
        return "insert" in self.capabilities or ".Suffix" in self.template

    def window(self, wanted: int) -> int:
        """The user's, else its Modelfile's, else ollama's own, within what it was trained on."""
        kind = self.model_info.get("general.architecture")
        trained = self.model_info.get(f"{kind}.context_length")
        set_ = re.search(r"^num_ctx\s+(\d+)", self.parameters, re.MULTILINE)
        found = wanted or (int(set_[1]) if set_ else _WINDOW)
        return min(found, trained) if isinstance(trained, int) else found


class OllamaBackend:
    """One ollama. Sessions may be open in several threads."""

    def __init__(self, server: ServerRef, home: Home) -> None:
        self._server = server
        self._http = Http(server.url, key=server.key(), allow_remote=server.allow_remote)
        self._registered = Registered(home, server.url)
        self._lock = threading.Lock()
        self._shown: dict[str, tuple[float, _Shown]] = {}

    @property
    def loaded_adapters(self) -> list[str]:
        """Registered; ollama itself decides which of its models are in memory."""
        return self._registered.versions()

    @contextmanager
    def open(self, adapter: AdapterRef | None, *, max_adapters: int) -> Generator[OllamaSession]:
        """The model with the adapter, or bare with a warning where it cannot be registered.

        Raises:
            ServerError: ollama cannot be reached.
            ModelError: it has no such model, or several and none was named.
        """
        del max_adapters  # ollama's own affair
        with self._lock:
            tags = self._tags()
            name = chosen([tag.name for tag in tags], self._server.name, self._http.url)
            shown = self._show(name)
            model, version, warning = name, None, ""
            if adapter is not None:
                try:
                    model = self._wear(adapter, name, shown, tags)
                    version = adapter.version
                except GardenerError as error:
                    warning = f"{name} serves without an adapter: {error.message}"
                    warning += f" ({error.hint})" if error.hint else ""
        window = shown.window(self._server.window)
        keep = parse_duration(self._server.keep_alive) or 0.0
        fields = {"model": model, "keep_alive": -1 if keep == float("inf") else keep}
        yield OllamaSession(self._http, shown, name, fields, window, version, warning)

    def sweep(self) -> None:
        """Delete the copies of versions that are no more.

        Raises:
            ServerError: ollama cannot be reached; they stay noted.
        """
        there = {tag.name for tag in self._tags()}
        for name in self._registered.gone():
            if {name, f"{name}:latest"} & there:
                self._http.send("DELETE", "/api/delete", msgspec.json.encode({"model": name}))
                log.info("adapter deleted", extra={"model": name, "server": self._http.url})
            self._registered.drop(name)

    def close(self) -> None:
        self._shown.clear()

    def _tags(self) -> list[_Tag]:
        try:
            return msgspec.convert(self._http.get("/api/tags"), _Tags).models
        except msgspec.ValidationError as error:
            raise ServerError(
                f"{self._http.url} lists no models as ollama does",
                hint='is it ollama? else set model.backend = "openai"',
            ) from error

    def _show(self, name: str) -> _Shown:
        known = self._shown.get(name)
        if known is None or time.monotonic() - known[0] > _KNOWN_SECONDS:
            found = msgspec.convert(self._http.post("/api/show", {"model": name}), _Shown)
            self._shown[name] = known = (time.monotonic(), found)
        return known[1]

    def _wear(self, adapter: AdapterRef, base: str, shown: _Shown, tags: list[_Tag]) -> str:
        """The name of the model that wears the adapter; it is registered if it is not yet.

        Raises:
            AdapterError: it is damaged or was trained on another model.
            RefusedError: adapters cannot be written for this model.
            ServerError: ollama refuses it.
        """
        name = served_name(adapter)
        there = {tag.name.removesuffix(":latest"): tag for tag in tags}.get(name)
        if there and there.details.parent_model in ("", base):
            return name
        # Imported here: numpy and gguf are needed for this alone.
        from gardenerd.export.gguf_adapter import write_adapter
        from gardenerd.export.lora import read_lora
        from gardenerd.export.shape import shape_there
        from gardenerd.models.card import read_card, verify

        folder = Path(adapter.folder)
        verify(folder, read_card(folder).fingerprint)  # its files are those that were saved
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "adapter.gguf"
            write_adapter(read_lora(folder), shape_there(shown.model_info), file, name=name)
            content = file.read_bytes()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._registered.add(name, adapter)  # first: what is there must be known to be ours
        self._http.send("POST", f"/api/blobs/{digest}", content)
        body = {"model": name, "from": base, "adapters": {file.name: digest}, "stream": False}
        self._http.post(_CREATE, body)
        log.info("adapter registered", extra={"model": name, "server": self._http.url})
        return name


def chosen(names: Sequence[str], wanted: str, url: str) -> str:
    """The model that is ``wanted``, with or without ``:latest``, or the only one there.

    Raises:
        ModelError: there is none, or there are several.
    """
    bases = [name for name in names if not name.startswith(PREFIX)]
    found = [name for name in names if wanted in (name, name.removesuffix(":latest"))]
    found = found if wanted else bases
    if len(found) == 1:
        return found[0]
    listed = ", ".join(bases) or "none"
    if wanted:
        raise ModelError(
            f"ollama at {url} has no model {wanted!r}; it has: {listed}",
            hint=f"ollama pull {wanted}, or mend model.name in config.toml",
        )
    raise ModelError(
        f"which model of ollama at {url}? it has: {listed}",
        hint="set model.name in config.toml" if bases else "ollama pull qwen2.5-coder:1.5b",
    )


class OllamaSession:
    def __init__(
        self,
        http: Http,
        shown: _Shown,
        name: str,
        fields: dict[str, Any],
        window: int,
        adapter: str | None,
        warning: str,
    ) -> None:
        self._http = http
        self._shown = shown
        self._fields = fields
        self.name = name
        self.window = window
        self.adapter = adapter
        self.warning = warning
        self.can_chat = shown.can_chat
        # Its templates have no place for other files.
        self.knows_repositories = False

    def count(self, text: str) -> int:
        return texts.estimate(text)

    def clean(self, text: str) -> str:
        return texts.clean(text)

    def chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        check: Callable[[], None],
        drawing: Drawing | None = None,
    ) -> RemoteWriting:
        """What the assistant says next.

        Raises:
            ModelError: the messages do not fit the window.
        """
        needed = texts.conversation(messages, self.count)
        # ollama would drop the first messages without a word.
        require_room(
            needed,
            max_tokens,
            window=self.window,
            name=self.name,
            hint="ask a shorter question, or set model.window",
        )
        body = {"messages": list(messages)}
        return self._write("/api/chat", body, max_tokens, check, drawing)

    def fill(
        self,
        prefix: str,
        suffix: str,
        *,
        max_tokens: int,
        check: Callable[[], None],
        drawing: Drawing | None = None,
        around: Surroundings | None = None,
    ) -> RemoteWriting:
        del around
        room = completion_room(max_tokens, self.window)
        budget = self.window - room - texts.MESSAGE_TOKENS
        fills = self._shown.can_fill and bool(suffix)
        after = texts.keep_start(self.clean(suffix), budget // 4, self.count) if fills else ""
        before = texts.keep_end(self.clean(prefix), budget - self.count(after), self.count)
        # Without a suffix its template would make a turn of a conversation of it.
        how = {"suffix": after} if after else {"raw": True}
        body = {"prompt": before or "\n", **how}
        return self._write("/api/generate", body, room, check, drawing)

    def _write(
        self, path: str, body: dict[str, Any], room: int, check: Check, drawing: Drawing | None
    ) -> RemoteWriting:
        options = {"num_ctx": self.window, "num_predict": room, **sampling(drawing)}
        body = {**self._fields, **body, "options": options, "stream": True}
        return RemoteWriting(self._stream(path, body, check))

    def _stream(self, path: str, body: dict[str, Any], check: Check) -> Generator[Piece]:
        lines = self._http.lines(path, body, check)
        try:
            for line in lines:
                check()
                event = self._decoded(line)
                message = event.get("message")
                said = message.get("content") if isinstance(message, dict) else ""
                text = said or event.get("response") or ""
                if not event.get("done"):
                    yield Piece(text)
                    continue
                end = "length" if event.get("done_reason") == "length" else "end"
                yield Piece(text, end, event.get("eval_count"))
                return
        finally:
            lines.close()
        raise ServerError(
            f"{self._http.url} broke off in the midst of its answer",
            hint="ask again; ollama's own log tells more",
        )

    def _decoded(self, line: bytes) -> dict[str, Any]:
        try:
            event = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise ServerError(
                f"{self._http.url} answers something else than ollama does",
                hint='set model.backend = "openai" if it is no ollama',
            ) from error
        if event.get("error"):
            raise ServerError(
                f"{self._http.url} failed in the midst of its answer: {self._http.said(line)}",
                hint="ollama's own log tells more",
            )
        return event
