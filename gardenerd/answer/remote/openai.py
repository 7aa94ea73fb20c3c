"""Any server that speaks OpenAI's protocol: vLLM, llama-server, LM Studio, llama-cpp-python.

Of the protocol only chat, completions and the list of models are needed. What more a server can do
is found by asking it (:mod:`gardenerd.answer.remote.served`).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from gardenerd.answer.backend import Drawing, Message
from gardenerd.answer.chat import without_system
from gardenerd.answer.remote import text as texts
from gardenerd.answer.remote.http import Check, Http
from gardenerd.answer.remote.names import served_name
from gardenerd.answer.remote.served import FILE, REPOSITORY, Listed, Served, chosen, listed, look
from gardenerd.answer.remote.writing import Piece, RemoteWriting, sampling
from gardenerd.answer.room import completion_room, require_room
from gardenerd.errors import ServerError
from gardenerd.workers.jobs import AdapterRef, ServerRef, Surroundings

# A server that was started anew may have another window or another tokenizer.
_KNOWN_SECONDS = 60.0
# What may follow what was filled in, where a model goes on into another file (at most four, as
# OpenAI allows).
_ENDS = ["<|endoftext|>", "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>"]


class OpenAIBackend:
    """One server. Sessions may be open in several threads."""

    def __init__(self, server: ServerRef) -> None:
        self._server = server
        self._http = Http(server.url, key=server.key(), allow_remote=server.allow_remote)
        self._lock = threading.Lock()
        self._served: Served | None = None
        self._looked = 0.0
        self._loads = True
        """It may load adapters when asked to, as vLLM does."""
        self._ours: OrderedDict[str, str] = OrderedDict()
        """Versions by the name that we loaded them under, the least recently used first."""

    @property
    def loaded_adapters(self) -> list[str]:
        return list(self._ours.values())

    @contextmanager
    def open(self, adapter: AdapterRef | None, *, max_adapters: int) -> Generator[OpenAISession]:
        """The server's model with the adapter, or bare with a warning where it has not got it.

        Raises:
            ServerError: it cannot be reached, or refuses the key.
            ModelError: it has no such model, or several and none was named.
        """
        with self._lock:
            models = listed(self._http)
            model = chosen(models, self._server.name, self._http.url)
            if self._served is None or time.monotonic() - self._looked > _KNOWN_SECONDS:
                self._served = look(self._http, model, window=self._server.window)
                self._looked = time.monotonic()
                self._loads = True
            served = self._served
            fields: dict[str, Any] = {"model": model.id, **served.without_adapters()}
            version, warning = None, ""
            if adapter is not None:
                try:
                    fields |= self._wear(adapter, models, served, max_adapters)
                    version = adapter.version
                except ServerError as error:
                    warning = f"{model.id} serves without an adapter: {error.message}"
                    warning += f" ({error.hint})" if error.hint else ""
        yield OpenAISession(self._http, served, model.id, fields, version, warning)

    def close(self) -> None:
        self._served = None

    def _wear(
        self, adapter: AdapterRef, models: Iterable[Listed], served: Served, limit: int
    ) -> dict[str, Any]:
        """The fields of a request that is answered with the adapter on."""
        name = served_name(adapter)
        if fields := served.with_adapter(name):
            return fields
        if any(model.id == name for model in models):
            if name in self._ours:
                self._ours.move_to_end(name)
            return {"model": name}
        if self._loads:
            try:
                self._tell("load", name, adapter)
                while len(self._ours) > max(1, limit):
                    oldest = next(iter(self._ours))
                    self._tell("unload", oldest, None)
                return {"model": name}
            except ServerError as error:
                if error.status not in (404, 405):
                    raise
                self._loads = False
        raise ServerError(
            f"{self._http.url} has no adapter {name}",
            hint=f"`gardenerctl export {adapter.version}` writes it for the server; "
            "docs/backends.md tells how to load it there",
        )

    def _tell(self, verb: str, name: str, adapter: AdapterRef | None) -> None:
        body = {"lora_name": name} | ({} if adapter is None else {"lora_path": adapter.folder})
        # The answer is a sentence.
        self._http.send("POST", f"/v1/{verb}_lora_adapter", msgspec.json.encode(body))
        if adapter is None:
            del self._ours[name]
        else:
            self._ours[name] = adapter.version


class OpenAISession:
    def __init__(
        self,
        http: Http,
        served: Served,
        name: str,
        fields: dict[str, Any],
        adapter: str | None,
        warning: str,
    ) -> None:
        self._http = http
        self._served = served
        self._fields = {"stream": True, **fields}
        self.name = name
        self.adapter = adapter
        self.warning = warning
        self.window = served.window
        # A model without a chat template is refused by the server, in its own words.
        self.can_chat = True
        self.knows_repositories = served.fill is not None and served.fill.repository

    def count(self, text: str) -> int:
        return self._served.count(text)

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
        require_room(needed, max_tokens, window=self.window, name=self.name)
        body = {**self._fields, **sampling(drawing), "max_tokens": max_tokens}
        return RemoteWriting(self._chat(messages, body, check))

    def _chat(
        self, messages: Sequence[Message], body: dict[str, Any], check: Check
    ) -> Generator[Piece]:
        body["messages"] = list(messages)
        try:
            yield from self._stream("/v1/chat/completions", body, check)
        except ServerError as error:
            # Gemma's template refuses a system role; nothing was written yet where a status is set.
            if not error.status or "system" not in error.message.lower():
                raise
            body["messages"] = without_system(messages)
            yield from self._stream("/v1/chat/completions", body, check)

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
        files = self._files(around) if around is not None and self.knows_repositories else ""
        room = completion_room(max_tokens, self.window)
        budget = max(1, self.window - room - texts.MESSAGE_TOKENS - self.count(files))
        after = texts.keep_start(self.clean(suffix), budget // 4, self.count)
        before = texts.keep_end(self.clean(prefix), budget - self.count(after), self.count)
        body = {**self._fields, **sampling(drawing), "max_tokens": room, "stop": _ENDS}
        return RemoteWriting(self._fill(files, before, after, body, check))

    def _files(self, around: Surroundings) -> str:
        """Other files of the repository, and the path of the one that is filled in, as
        Qwen2.5-Coder's report lays them out."""
        text = f"{REPOSITORY}{self.clean(around.repository)}\n"
        for each in around.excerpts:
            text += f"{FILE}{self.clean(each.path)}\n{self.clean(each.text)}\n"
        return f"{text}{FILE}{self.clean(around.path)}\n"

    def _fill(
        self, files: str, before: str, after: str, body: dict[str, Any], check: Check
    ) -> Generator[Piece]:
        """By the model's own tokens where they are known, else as the server does it, else what
        stands before alone."""
        if fill := self._served.fill:
            body["prompt"] = f"{files}{fill.prefix}{before}{fill.suffix}{after}{fill.middle}"
            yield from self._stream("/v1/completions", body, check)
            return
        body["prompt"] = before or "\n"
        if self._served.suffix and after:
            try:
                yield from self._stream("/v1/completions", {**body, "suffix": after}, check)
                return
            except ServerError as error:
                if error.status not in (400, 422, 501):
                    raise
                self._served.suffix = False
        yield from self._stream("/v1/completions", body, check)

    def _stream(self, path: str, body: dict[str, Any], check: Check) -> Generator[Piece]:
        ended = False
        for event in self._events(path, body, check):
            usage = event.get("usage") or {}
            choice = next(iter(event.get("choices") or []), {})
            said = (choice.get("delta") or {}).get("content") or choice.get("text") or ""
            reason = choice.get("finish_reason")
            if reason or said or usage:
                ended = ended or bool(reason)
                yield Piece(
                    text=said,
                    end="length" if reason == "length" else "end" if reason else "",
                    tokens=usage.get("completion_tokens"),
                )
        if not ended:
            raise ServerError(
                f"{self._http.url} broke off in the midst of its answer",
                hint="ask again; the server's own log tells more",
            )

    def _events(self, path: str, body: dict[str, Any], check: Check) -> Generator[dict[str, Any]]:
        """What comes after each ``data:``, up to ``[DONE]``."""
        lines = self._http.lines(path, body, check)
        try:
            for line in lines:
                check()
                field, _, data = line.partition(b":")
                if line.startswith(b"{"):
                    field, data = b"data", line
                if field not in (b"data", b"error"):
                    continue
                if data.strip() == b"[DONE]":
                    return
                event = _decoded(data, self._http.url)
                if field == b"error" or event.get("error"):
                    raise ServerError(
                        f"{self._http.url} failed in the midst of its answer: "
                        f"{self._http.said(data)}",
                        hint="the server's own log tells more",
                    )
                yield event
        finally:
            lines.close()


def _decoded(data: bytes, url: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ServerError(
            f"{url} answers something else than a completion",
            hint="is it the right server? see docs/backends.md",
        ) from error
