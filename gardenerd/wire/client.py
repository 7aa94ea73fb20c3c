"""The client's side of the wire, synchronous: one call, one answer, updates on the way.

Plain pyzmq and no event loop, because a command line lives for 60 ms.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq

from gardenerd.errors import DaemonNotRunningError, ProtocolError, TimedOutError
from gardenerd.paths import Home
from gardenerd.wire import codec
from gardenerd.wire.messages import MAX_REQUEST_BYTES, CancelRequest, Event, Operation, Reply

DEFAULT_TIMEOUT_S = 30.0
"""A daemon answers in milliseconds; one that is silent for this long hangs."""

# A live daemon answers or reports within this; silence beyond it makes the client look.
_FIRST_LOOK_S = 0.1
# How often a long wait looks whether the daemon still lives.
_LIVENESS_S = 1.0
# How long a cancelled request may take to say so before the client leaves anyway.
_CANCEL_S = 1.0


class Client:
    """Calls to the daemon of one home. Not safe to share between threads."""

    def __init__(self, home: Home) -> None:
        self._home = home
        # The process's own, never terminated: that waits for ever for a socket that an interrupt
        # kept from being known, and the end of the process frees it anyway.
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._dealer: zmq.Socket[bytes] | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._disconnect()

    def call(
        self,
        operation: Operation,
        *,
        on_update: Callable[[Reply], None] | None = None,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
    ) -> Any:
        """Send ``operation`` and give the body of its result.

        ``on_update`` gets each ``progress`` and ``chunk`` reply as it comes. ``timeout_s`` bounds
        the silence, not the whole: an update starts it anew; None waits for as long as the daemon
        lives. An interrupt (Ctrl-C, or an exception in ``on_update``) cancels the request in the
        daemon too.

        Raises:
            DaemonNotRunningError: nobody serves this home, or the daemon ended meanwhile.
            TimedOutError: the daemon lives and was silent for ``timeout_s`` seconds.
            GardenerError: what the daemon answered.
        """
        request_id = os.urandom(8).hex()
        data = codec.encode_request(request_id, operation)
        if len(data) > MAX_REQUEST_BYTES:
            raise ProtocolError(
                f"the request has {len(data)} bytes; at most {MAX_REQUEST_BYTES} are taken",
                hint="send less at once",
            )
        if not Path(self._home.request_endpoint.removeprefix("ipc://")).exists():
            raise _not_running(self._home)
        dealer = self._connected()
        dealer.send(data)
        try:
            reply = self._await(dealer, request_id, operation, on_update, timeout_s)
        except (DaemonNotRunningError, TimedOutError):
            # Late replies to this request must not meet the next one.
            self._disconnect()
            raise
        except BaseException:
            self._cancel(dealer, request_id)
            raise
        if reply.kind == "error":
            codec.raise_error(reply.body)
        return reply.body

    def events(self, topics: Iterable[str] = ()) -> Iterator[Event]:
        """Follow what the daemon publishes, for ever; no topics mean all.

        Raises:
            DaemonNotRunningError: nobody serves this home, or the daemon ended meanwhile.
        """
        require_daemon(self._home)
        subscriber: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        try:
            for topic in tuple(topics) or ("",):
                subscriber.subscribe(topic.encode())
            subscriber.connect(self._home.event_endpoint)
            while True:
                if subscriber.poll(int(_LIVENESS_S * 1_000)):
                    frames = subscriber.recv_multipart()
                    if len(frames) == 2:
                        yield codec.decode_event(frames[1])
                else:
                    require_daemon(self._home)
        finally:
            subscriber.close(linger=0)

    def _connected(self) -> zmq.Socket[bytes]:
        if self._dealer is None:
            dealer: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
            dealer.linger = 0
            dealer.connect(self._home.request_endpoint)
            self._dealer = dealer
        return self._dealer

    def _disconnect(self) -> None:
        if self._dealer is not None:
            self._dealer.close(linger=0)
            self._dealer = None

    def _await(
        self,
        dealer: zmq.Socket[bytes],
        request_id: str,
        operation: Operation,
        on_update: Callable[[Reply], None] | None,
        timeout_s: float | None,
    ) -> Reply:
        """The last reply to the request: its result or its error."""
        heard = time.monotonic()
        look = _FIRST_LOOK_S
        while True:
            silent = time.monotonic() - heard
            if timeout_s is not None and silent >= timeout_s:
                raise TimedOutError(
                    f"the daemon did not answer {operation.op!r} within {timeout_s:g} s",
                    hint="`gardenerctl logs` may say why; `gardenerctl restart` helps if it hangs",
                )
            left = look if timeout_s is None else min(look, timeout_s - silent)
            if not dealer.poll(max(1, int(left * 1_000))):
                require_daemon(self._home)
                look = _LIVENESS_S
                continue
            reply = codec.decode_reply(dealer.recv())
            # An empty id answers what the daemon could not even read: this one, then.
            if reply.id not in (request_id, ""):
                continue
            if reply.kind in ("result", "error"):
                return reply
            heard = time.monotonic()
            if on_update is not None:
                on_update(reply)

    def _cancel(self, dealer: zmq.Socket[bytes], request_id: str) -> None:
        """Tell the daemon to stop, and wait a moment so that the message leaves this process."""
        cancel_id = os.urandom(8).hex()
        deadline = time.monotonic() + _CANCEL_S
        with contextlib.suppress(zmq.ZMQError, KeyboardInterrupt):
            dealer.send(codec.encode_request(cancel_id, CancelRequest(target=request_id)))
            while (left := deadline - time.monotonic()) > 0 and dealer.poll(int(left * 1_000)):
                if codec.decode_reply(dealer.recv()).id == cancel_id:
                    break
        self._disconnect()


def require_daemon(home: Home) -> None:
    """Check that somebody listens on the home's socket, at once.

    A plain connection is the test: the file of the socket outlives a kill -9 but refuses it, and,
    unlike a try at the lock, it can never stand in the way of a daemon that is just starting.

    Raises:
        DaemonNotRunningError: nobody does.
    """
    import socket  # costs a tenth of `gardenerctl status`, which comes here only when it waits

    path = home.request_endpoint.removeprefix("ipc://")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_LIVENESS_S)
        try:
            probe.connect(path)
        except TimeoutError:
            return  # its queue is full: it lives, and the call's own timeout decides
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return
            raise _not_running(home) from error


def _not_running(home: Home) -> DaemonNotRunningError:
    return DaemonNotRunningError(
        f"gardenerd is not running for {home.root}", hint="start it: gardenerctl start"
    )
