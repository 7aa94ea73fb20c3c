"""What answers: the base model in a process of gardener's own, or a server that it asks."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from urllib.parse import SplitResult, urlsplit

from gardenerd.errors import GardenerError
from gardenerd.settings import Model
from gardenerd.workers.jobs import ServerRef

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
    """What is known of the model server: what became of the last request, and is it there."""

    def __init__(self, model: Model) -> None:
        self.server = server_of(model)
        self._backend = model.backend
        self._problem = ""

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
            return {"backend": self._backend, "server": None}
        parts = urlsplit(self.server.url)
        return {
            "backend": self._backend,
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
