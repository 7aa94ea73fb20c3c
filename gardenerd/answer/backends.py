"""Which backend does a job: a server, where the settings name one."""

from __future__ import annotations

from gardenerd.answer.backend import Backend
from gardenerd.paths import Home
from gardenerd.workers.jobs import ServerRef


def server_backend(server: ServerRef, home: Home) -> Backend:
    """What speaks to ``server``; nothing is asked of it yet."""
    if server.kind == "ollama":
        from gardenerd.answer.remote.ollama import OllamaBackend

        return OllamaBackend(server, home)
    from gardenerd.answer.remote.openai import OpenAIBackend

    return OpenAIBackend(server)


def sweep_server(server: ServerRef, home: Home) -> None:
    """Delete what was registered at an ollama of versions that are no more here.

    Raises:
        ServerError: it cannot be reached.
    """
    from gardenerd.answer.remote.ollama import OllamaBackend

    OllamaBackend(server, home).sweep()
