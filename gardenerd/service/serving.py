"""What answers: the base model in a process of gardener's own, or a server that it asks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from gardenerd.errors import GardenerError, ModelError
from gardenerd.models.info import BaseInfo, find_base, inspect
from gardenerd.models.served import left_behind
from gardenerd.paths import Home
from gardenerd.settings import Model
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import Done, ServerRef, SweepServer

log = logging.getLogger(__name__)

_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_OLLAMA = "http://127.0.0.1:11434"
# Whether a port is open is told at once on this machine; `status` waits no longer for any other.
_LOOK_SECONDS = 0.1


def server_of(model: Model) -> ServerRef | None:
    """The server that the settings name; None where the base model itself answers."""
    if model.backend == "transformers":
        return None
    return ServerRef(
        kind="ollama" if model.backend == "ollama" else "openai",
        url=model.url.rstrip("/") or _OLLAMA,
        name=model.name,
        window=model.window,
        key_env=model.api_key_env,
        allow_remote=model.allow_remote,
        keep_alive=model.keep_alive,
    )


@dataclass(frozen=True, slots=True)
class Answerer:
    """What answers and completes."""

    name: str
    folder: str
    """Of the base, to which adapters belong; empty when a server answers and there is none."""
    chat: bool
    """It writes answers; of a server that is only known when it is asked."""


class Serving:
    """The base model, or the server in its place: what it is, and what became of the last request
    to it."""

    def __init__(self, model: Model, home: Home) -> None:
        self.server = server_of(model)
        self._model = model
        self._home = home
        self._problem = ""

    def base(self) -> BaseInfo:
        """The base model in use; reads files, so call it in a thread.

        Raises:
            ModelError: it is missing or damaged.
        """
        folder = find_base(self._model.base, self._home)
        cache = self._home.models / "fingerprints.json"
        return inspect(folder, name=self._model.base, cache=cache)

    def answerer(self) -> Answerer:
        """What answers; reads files. Where it is a server, the base need not be there.

        Raises:
            ModelError: the base answers, and is missing or damaged.
        """
        if self.server is None:
            base = self.base()
            return Answerer(name=base.name, folder=base.folder, chat=base.chat)
        try:
            folder = str(find_base(self._model.base, self._home))
        except ModelError:
            folder = ""
        return Answerer(name=self.server.name or self.server.url, folder=folder, chat=True)

    async def tick(self, model: Child) -> None:
        """Once in a while: what was removed or forgotten here must not stay at a server.

        One that cannot be reached is asked again the next time.
        """
        for url in await asyncio.to_thread(left_behind, self._home):
            server = ServerRef(
                kind="ollama",
                url=url,
                key_env=self._model.api_key_env,
                allow_remote=self._model.allow_remote,
            )
            try:
                await model.call(SweepServer(server=server), Done)
            except GardenerError as error:
                log.warning("adapters stay at a server", extra={"cause": error.message})

    def asked(self, error: GardenerError | None) -> None:
        """Remember how a request ended."""
        if error is None:
            self._problem = ""
        elif error.code == "server":
            self._problem = error.message

    async def status(self) -> dict[str, Any]:
        """``backend``, and of a server its ``url`` (host and port), ``model`` as it is set,
        ``reachable`` (whether somebody listens there now; None where that is not looked at) and the
        ``problem`` of the last request."""
        if self.server is None:
            return {"backend": self._model.backend, "server": None}
        parts = urlsplit(self.server.url)
        return {
            "backend": self._model.backend,
            "server": {
                "url": parts.netloc,
                "model": self.server.name,
                "reachable": await _listens(parts) if self._may_look(parts) else None,
                "problem": self._problem,
            },
        }

    def _may_look(self, parts: SplitResult) -> bool:
        """A name is looked up by whom it is asked of; not even that goes out without permission."""
        assert self.server is not None
        return self.server.allow_remote or parts.hostname in _THIS_MACHINE


async def _listens(parts: SplitResult) -> bool:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
