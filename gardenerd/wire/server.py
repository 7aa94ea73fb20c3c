"""The daemon's side of the wire: requests in, replies out, events to whoever follows.

Every request is a task of its own, so that a long one never holds up another. The socket's loop
does nothing but decode and dispatch.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio

from gardenerd.errors import CancelledError, GardenerError, ProtocolError, RefusedError
from gardenerd.paths import Home
from gardenerd.wire import codec
from gardenerd.wire.messages import CancelRequest, Event, Operation, Reply

log = logging.getLogger(__name__)

# Above the codec's own limit, so that a slightly large request still gets a typed answer.
_MAX_FRAME_BYTES = 16 * 1024 * 1024
_MAX_REQUESTS = 256
_SLOW_CLIENT_SECONDS = 5.0
_HIGH_WATER = 1_000

_Key = tuple[bytes, str]


class Exchange:
    """One request's line back to its client."""

    def __init__(self, request_id: str, post: Callable[[Reply], None]) -> None:
        self.id = request_id
        self._post = post

    def progress(self, body: Any) -> None:
        self._post(Reply(id=self.id, kind="progress", body=body))

    def chunk(self, body: Any) -> None:
        self._post(Reply(id=self.id, kind="chunk", body=body))


Dispatch = Callable[[Operation, Exchange], Awaitable[Any]]


class Server:
    """Serves ``dispatch`` on the home's sockets. The caller holds the home's lock.

    libzmq unlinks whatever stands at an ipc address when it binds: without the lock a second
    daemon would silently take the first one's clients.
    """

    def __init__(self, home: Home, context: zmq.asyncio.Context, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._home = home
        self._router = context.socket(zmq.ROUTER)
        self._publisher = zmq.Context(context).socket(zmq.PUB)
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        self._cancelled: set[_Key] = set()

    def bind(self) -> None:
        for socket in (self._router, self._publisher):
            socket.linger = 200
            socket.sndhwm = _HIGH_WATER
            socket.setsockopt(zmq.MAXMSGSIZE, _MAX_FRAME_BYTES)
            socket.setsockopt(zmq.HANDSHAKE_IVL, 2_000)
        # A client that went away is an error here instead of a silent loss.
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.bind(self._home.request_endpoint)
        self._publisher.bind(self._home.event_endpoint)

    async def serve(self) -> None:
        """Take requests until cancelled."""
        while True:
            identity, *frames = await self._router.recv_multipart()
            if len(frames) == 1:
                await self._receive(identity, frames[0])
            else:
                error = ProtocolError(
                    f"a request is one frame, not {len(frames)}",
                    hint="see docs/architecture.md for the protocol",
                )
                await self._refuse(identity, "", error)

    async def close(self) -> None:
        """Cancel what is under way and :meth:`unbind`."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        self.unbind()

    def unbind(self) -> None:
        """Close the sockets, if that was not done: their context waits for them, for ever."""
        for socket, endpoint in (
            (self._router, self._home.request_endpoint),
            (self._publisher, self._home.event_endpoint),
        ):
            socket.close(linger=200)
            with contextlib.suppress(FileNotFoundError):
                Path(endpoint.removeprefix("ipc://")).unlink()

    def publish(self, topic: Any, name: str, body: dict[str, Any]) -> None:
        """Send an event to all followers; nobody listening is fine."""
        event = Event(topic=topic, name=name, time=time.time(), body=body)
        # PUB drops for a slow follower and never blocks, so the plain send is enough.
        with contextlib.suppress(zmq.ZMQError):
            self._publisher.send_multipart([event.topic.encode(), codec.encode(event)])

    # --- one request --------------------------------------------------------------------------

    async def _receive(self, identity: bytes, data: bytes) -> None:
        request_id = ""
        try:
            request = codec.decode_request(data)
            request_id = request.id
            operation = codec.decode_operation(request)
            if len(self._tasks) >= _MAX_REQUESTS:
                raise RefusedError(
                    f"{_MAX_REQUESTS} requests are under way", hint="try again in a moment"
                )
            if (identity, request_id) in self._tasks:
                raise ProtocolError("a request of this id is under way", hint="use a fresh id")
        except GardenerError as error:
            await self._refuse(identity, request_id, error)
            return
        if isinstance(operation, CancelRequest):
            await self._cancel(identity, request_id, operation.target)
            return
        key = (identity, request_id)
        task = asyncio.create_task(self._answer(key, operation), name=f"request-{operation.op}")
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _cancel(self, identity: bytes, request_id: str, target: str) -> None:
        task = self._tasks.get((identity, target))
        if task is not None:
            self._cancelled.add((identity, target))
            task.cancel()
        body = {"cancelled": task is not None}
        await self._send(identity, Reply(id=request_id, kind="result", body=body))

    async def _answer(self, key: _Key, operation: Operation) -> None:
        identity, request_id = key
        outgoing: asyncio.Queue[Reply | None] = asyncio.Queue()
        sender = asyncio.create_task(self._drain(identity, outgoing))
        working = asyncio.current_task()

        def gone(sent: asyncio.Task[None]) -> None:
            # The client vanished or does not read: nobody waits for the rest.
            if not sent.cancelled() and sent.exception() and working and not working.done():
                working.cancel()

        sender.add_done_callback(gone)
        try:
            body = await self._dispatch(operation, Exchange(request_id, outgoing.put_nowait))
            reply = Reply(id=request_id, kind="result", body=body)
        except GardenerError as error:
            reply = _error_reply(request_id, error)
        except asyncio.CancelledError:
            if key not in self._cancelled:
                sender.cancel()
                raise
            self._cancelled.discard(key)
            reply = _error_reply(request_id, CancelledError("the request was cancelled"))
        except Exception as error:
            log.exception("request failed", extra={"op": operation.op})
            reply = _error_reply(
                request_id,
                GardenerError(
                    f"{operation.op} failed inside the daemon: {type(error).__name__}: {error}",
                    hint="`gardenerctl logs` has the details; please report it",
                ),
            )
        outgoing.put_nowait(reply)
        outgoing.put_nowait(None)
        with contextlib.suppress(zmq.ZMQError, TimeoutError):
            await sender

    async def _drain(self, identity: bytes, outgoing: asyncio.Queue[Reply | None]) -> None:
        while (reply := await outgoing.get()) is not None:
            await self._send(identity, reply)

    async def _refuse(self, identity: bytes, request_id: str, error: GardenerError) -> None:
        with contextlib.suppress(zmq.ZMQError, TimeoutError):
            await self._send(identity, _error_reply(request_id, error))

    async def _send(self, identity: bytes, reply: Reply) -> None:
        async with asyncio.timeout(_SLOW_CLIENT_SECONDS):
            await self._router.send_multipart([identity, codec.encode(reply)])


def _error_reply(request_id: str, error: GardenerError) -> Reply:
    return Reply(id=request_id, kind="error", body=codec.error_body(error))
