"""The real server of the wire, in a thread, answering as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import zmq.asyncio

from gardenerd.paths import Home
from gardenerd.wire.messages import Operation
from gardenerd.wire.server import Exchange, Server

Answer = Callable[[Operation, Exchange], Awaitable[Any]]


class Serving:
    """A running server; ``asked`` holds every operation that it got."""

    def __init__(self, home: Home, answer: Answer) -> None:
        self._home = home
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._server: Server | None = None
        self._end: asyncio.Event | None = None
        self.asked: list[Operation] = []

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        if self._thread.is_alive():
            assert self._end is not None
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(10)
            assert not self._thread.is_alive()

    def publish(self, topic: str, name: str, body: dict[str, Any]) -> None:
        assert self._server is not None
        self._loop.call_soon_threadsafe(self._server.publish, topic, name, body)

    async def _main(self) -> None:
        self._loop.close()
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        context = zmq.asyncio.Context()
        self._server = Server(self._home, context, self._record)
        self._server.bind()
        serving = asyncio.create_task(self._server.serve())
        self._ready.set()
        await self._end.wait()
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await self._server.close()
        context.term()

    async def _record(self, operation: Operation, exchange: Exchange) -> Any:
        self.asked.append(operation)
        return await self._answer(operation, exchange)


@contextlib.contextmanager
def serving(home: Home, answers: dict[str, Any]) -> Iterator[Serving]:
    """Serve ``home`` under its lock; an answer is a body, or a function that makes or raises it."""

    async def answer(operation: Operation, exchange: Exchange) -> Any:
        found = answers[operation.op]
        return await found(operation, exchange) if callable(found) else found

    home.create()
    with home.lock.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = Serving(home, answer)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def gardenerctl(
    home: Path, *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """The real command, as a shell would run it."""
    return subprocess.run(
        [sys.executable, "-m", "gardenerctl", *arguments],
        env={**os.environ, "GARDENER_HOME": str(home), **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
