"""What answers: the base model in a process of gardener's own, or a server that it asks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any
from urllib.parse import SplitResult, urlsplit

from gardenerd.errors import GardenerError, ServerError
from gardenerd.models.served import left_behind
from gardenerd.paths import Home
from gardenerd.service.writing import Say, write
from gardenerd.settings import Model
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import (
    AnswerQuestion,
    CompleteCode,
    Done,
    Generated,
    ServerRef,
    SweepServer,
)

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


class Serving:
    """The server in the place of the base model, if there is one: what became of the last request
    to it, and whether it is there."""

    def __init__(self, settings: Model, home: Home, *, model: Child) -> None:
        self.server = server_of(settings)
        self._settings = settings
        self._model = model
        self._home = home
        self._problem = ""

    async def write(self, job: AnswerQuestion | CompleteCode, say: Say) -> Generated:
        """As :func:`gardenerd.service.writing.write`; of a server it is kept how it went."""
        if job.server is None:
            return await write(self._model, job, say)
        try:
            generated = await write(self._model, job, say)
        except ServerError as error:
            self._problem = error.message
            raise
        self._problem = ""
        return generated

    async def tick(self) -> None:
        """Once in a while: what was removed or forgotten here must not stay at a server.

        One that cannot be reached is asked again the next time.
        """
        for url in await asyncio.to_thread(left_behind, self._home):
            server = ServerRef(
                kind="ollama",
                url=url,
                key_env=self._settings.api_key_env,
                allow_remote=self._settings.allow_remote,
            )
            try:
                await self._model.call(SweepServer(server=server), Done)
            except GardenerError as error:
                log.warning("adapters stay at a server", extra={"cause": error.message})

    async def status(self) -> dict[str, Any]:
        """``backend``, and of a server its ``url`` (host and port), ``model`` as it is set,
        ``reachable`` (whether somebody listens there now; None where that is not looked at) and the
        ``problem`` of the last request."""
        if self.server is None:
            return {"backend": self._settings.backend, "server": None}
        parts = urlsplit(self.server.url)
        return {
            "backend": self._settings.backend,
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
