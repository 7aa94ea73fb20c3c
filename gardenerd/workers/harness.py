"""What every child process shares: its socket, its lanes of work, its end.

The main thread owns the socket and never works, so that a ping or a cancellation is answered while
a job runs. Each lane takes its jobs in order, one at a time or as many as its process can do
abreast; two lanes let a search pass while files are being indexed.
"""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import zmq

from gardenerd.errors import CancelledError, GardenerError, WorkerError
from gardenerd.workers.frames import (
    Answer,
    Assign,
    CancelJob,
    Failed,
    FromChild,
    Leave,
    Ping,
    Pong,
    Ready,
    ToChild,
    Update,
)
from gardenerd.workers.jobs import Job

log = logging.getLogger(__name__)

J = TypeVar("J", bound=Job)

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Context:
    """A job's line back to the supervisor."""

    def __init__(self, job_id: str, send: Callable[[FromChild], None]) -> None:
        self._id = job_id
        self._send = send
        self._cancelled = threading.Event()

    def update(self, body: msgspec.Struct) -> None:
        """Send an intermediate result: progress, a piece of text, a batch of rows."""
        self._send(Update(id=self._id, body=msgspec.Raw(msgspec.json.encode(body))))

    def cancel(self) -> None:
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise :class:`CancelledError` if the job was cancelled; call it between pieces."""
        if self.cancelled:
            raise CancelledError("the request was cancelled")


class Harness(Generic[J]):
    """Serves jobs of the union ``jobs`` until told to leave or the supervisor is gone.

    Args:
        endpoint: the supervisor's private socket for this child.
        jobs: a tagged union of :class:`Job` types.
        handle: does one job and returns its answer; called in the job's lane.
        lane: names the lane of a job; all in one by default.
        abreast: jobs of one lane at a time, each in a thread of its own.
        on_terminate: called on SIGTERM, in the main thread; default: leave at once.
    """

    def __init__(
        self,
        endpoint: str,
        jobs: Any,
        handle: Callable[[J, Context], msgspec.Struct],
        *,
        lane: Callable[[J], str] = lambda _job: "main",
        abreast: int = 1,
        on_terminate: Callable[[], None] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._jobs = msgspec.json.Decoder(jobs)
        self._frames = msgspec.json.Decoder(ToChild)
        self._handle = handle
        self._lane = lane
        self._abreast = abreast
        self._on_terminate = on_terminate
        self._lanes: dict[str, queue.SimpleQueue[tuple[str, J, Context]]] = {}
        self._running: dict[str, Context] = {}
        self._leaving = False
        self._context = zmq.Context()
        self._outbox = threading.local()

    def serve(self) -> None:
        """Run until the supervisor says leave. Blocks; call it last."""
        watch_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
        signal.signal(signal.SIGTERM, self._terminate)
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 1_000
        socket.connect(self._endpoint)
        inbox = self._context.socket(zmq.PULL)
        inbox.bind("inproc://outgoing")
        socket.send(msgspec.json.encode(Ready(pid=os.getpid())))
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(inbox, zmq.POLLIN)
        while not self._leaving:
            for ready, _ in poller.poll(1_000):
                if ready is inbox:
                    socket.send(inbox.recv())
                else:
                    self._receive(socket)
        while inbox.poll(0):
            socket.send(inbox.recv())
        socket.close()
        # Lanes may be deep in native code; nothing durable is theirs to finish.
        sys.stdout.flush()
        os._exit(0)

    def _terminate(self, _signal: int, _frame: object) -> None:
        if self._on_terminate is None:
            self._leaving = True
        else:
            self._on_terminate()

    def leave(self) -> None:
        """Ask the main thread to leave, within a second; safe from any thread."""
        self._leaving = True

    def _receive(self, socket: zmq.Socket[bytes]) -> None:
        frame: ToChild = self._frames.decode(socket.recv())
        match frame:
            case Ping():
                socket.send(msgspec.json.encode(Pong(jobs=len(self._running))))
            case Leave():
                self._leaving = True
            case CancelJob(id=job_id):
                if job_id in self._running:
                    self._running[job_id].cancel()
            case Assign(id=job_id, job=raw):
                self._assign(job_id, raw)

    def _assign(self, job_id: str, raw: msgspec.Raw) -> None:
        context = Context(job_id, lambda frame: self._send(msgspec.json.encode(frame)))
        job: J = self._jobs.decode(raw)
        name = self._lane(job)
        if name not in self._lanes:
            self._lanes[name] = queue.SimpleQueue()
            for _ in range(self._abreast):
                threading.Thread(
                    target=self._work, args=(self._lanes[name],), name=name, daemon=True
                ).start()
        self._running[job_id] = context
        self._lanes[name].put((job_id, job, context))

    def _work(self, jobs: queue.SimpleQueue[tuple[str, J, Context]]) -> None:
        while True:
            job_id, job, context = jobs.get()
            try:
                context.check()
                body = msgspec.Raw(msgspec.json.encode(self._handle(job, context)))
                frame: FromChild = Answer(id=job_id, body=body)
            except GardenerError as error:
                frame = Failed(id=job_id, code=error.code, message=error.message, hint=error.hint)
            except Exception as error:
                log.exception("a job failed", extra={"job": type(job).__name__})
                frame = Failed(
                    id=job_id,
                    code=WorkerError.code,
                    message=f"{type(error).__name__}: {error}",
                    hint="see the logs with `gardenerctl logs`",
                )
            self._running.pop(job_id, None)
            self._send(msgspec.json.encode(frame))

    def _send(self, data: bytes) -> None:
        if not hasattr(self._outbox, "socket"):
            self._outbox.socket = self._context.socket(zmq.PUSH)
            self._outbox.socket.connect("inproc://outgoing")
        self._outbox.socket.send(data)


def watch_parent() -> None:
    """End this process when the supervisor ends, however it ends.

    Standard input is a pipe that only the supervisor holds open: it closes even after kill -9.
    """

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(0)

    if sys.platform == "linux":
        # Reaches a frozen child too, which reads no pipe. Elsewhere the kernel hangs up a stopped
        # process group when its parent dies.
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=wait, name="parent", daemon=True).start()


def child_arguments() -> tuple[str, Path]:
    """The endpoint and the log file from the command line of a child."""
    if len(sys.argv) != 3:
        raise SystemExit(f"usage: python -m {__spec__.parent}.<kind> ENDPOINT LOGFILE")
    return sys.argv[1], Path(sys.argv[2])
