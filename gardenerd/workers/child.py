"""One child process as the supervisor sees it: started on the first request, pinged, stopped.

    absent ──call──▶ starting ──ready──▶ working ⇄ idle ──keep_alive──▶ absent
                                  └─ freeze ⇄ thaw ┘

A child that dies or no longer answers fails the requests that it held with a
:class:`~gardenerd.errors.WorkerError`; the next request starts a new one. Restarts are bounded: a
child that keeps dying is left alone for a while, and the error says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import psutil
import zmq
import zmq.asyncio

from gardenerd.errors import CancelledError, GardenerError, WorkerError, from_code
from gardenerd.paths import Home
from gardenerd.workers.environment import environment
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

T = TypeVar("T")

Kind = Literal["index", "search", "model", "train", "tune", "export", "fetch"]
MODULES: dict[Kind, str] = {
    "index": "gardenerd.workers.indexer",
    "search": "gardenerd.workers.searcher",
    "model": "gardenerd.workers.answerer",
    "train": "gardenerd.workers.trainer",
    "tune": "gardenerd.workers.tuner",
    "export": "gardenerd.workers.exporter",
    "fetch": "gardenerd.workers.fetcher",
}

_START_SECONDS = 60.0  # importing torch from a cold disk takes tens of seconds
_LEAVE_SECONDS = 1.0
_PING_SECONDS = 5.0
_HANG_SECONDS = 60.0  # a long import can hold the interpreter's lock for a while
_MAX_DEATHS = 4  # ... within _DEATH_WINDOW seconds
_DEATH_WINDOW = 60.0

_frames = msgspec.json.Decoder(FromChild)


@dataclass(slots=True)
class _Pending:
    answer: asyncio.Future[msgspec.Raw]
    on_update: Callable[[msgspec.Raw], None] | None


@dataclass(slots=True)
class _Process:
    popen: asyncio.subprocess.Process
    socket: zmq.asyncio.Socket
    endpoint: str
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    heard: float = field(default_factory=time.monotonic)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Child:
    """A child of one kind, running ``module``. All methods belong to the event loop's thread.

    ``keep_alive`` is in seconds without work; 0 lets it leave after each job, ``inf`` never.
    """

    def __init__(
        self,
        kind: Kind,
        module: str,
        home: Home,
        context: zmq.asyncio.Context,
        *,
        keep_alive: float,
    ) -> None:
        self.kind: Kind = kind
        self._module = module
        self._home = home
        self._context = context
        self._keep_alive = keep_alive
        self._process: _Process | None = None
        self._pending: dict[str, _Pending] = {}
        self._starting = asyncio.Lock()
        self._callers = 0
        """Requests under way, also those that still wait for the process to start."""
        self._idle_since = time.monotonic()
        self._deaths: deque[float] = deque(maxlen=_MAX_DEATHS)
        self._frozen = False
        self._leaving = False
        self._retiring = False
        self.last_error = ""

    # --- what the rest of the supervisor asks -------------------------------------------------

    @property
    def pid(self) -> int | None:
        return self._process.popen.pid if self._process else None

    @property
    def state(self) -> Literal["absent", "starting", "frozen", "working", "idle"]:
        if self._process is None:
            return "absent"
        if self._frozen:
            return "frozen"
        if not self._process.ready.is_set():
            return "starting"
        return "working" if self._callers else "idle"

    def rss_bytes(self) -> int:
        """Resident memory, 0 when there is no process."""
        if self._process is None:
            return 0
        try:
            return psutil.Process(self._process.popen.pid).memory_info().rss
        except psutil.Error:
            return 0

    async def call(
        self,
        job: Job,
        answer: type[T],
        *,
        on_update: Callable[[msgspec.Raw], None] | None = None,
        retry: bool = False,
    ) -> T:
        """Give ``job`` to the child and return its answer.

        Cancelling the awaiting task cancels the job in the child too.

        Args:
            retry: give the job once more if the child dies under it. Only for a job that changes
                nothing and sends no updates.

        Raises:
            WorkerError: the child died, hung or could not be started.
            GardenerError: whatever the job raised, rebuilt from its code.
        """
        self._callers += 1
        try:
            return await self._call(job, answer, on_update)
        except WorkerError:
            # It may have been dead already, unnoticed; and a death says nothing of this job.
            if not retry or self._leaving:
                raise
            return await self._call(job, answer, on_update)
        finally:
            self._callers -= 1
            self._idle_since = time.monotonic()
            done = self._keep_alive == 0 or self._retiring
            if done and not self._callers and not self._leaving:
                await self.stop()

    async def warm(self) -> None:
        """Have the process there, for a job that comes soon; raises WorkerError if it cannot."""
        self._callers += 1
        try:
            await self._ensure()
        finally:
            self._callers -= 1
            self._idle_since = time.monotonic()

    async def _call(
        self, job: Job, answer: type[T], on_update: Callable[[msgspec.Raw], None] | None
    ) -> T:
        process = await self._ensure()
        job_id = uuid.uuid4().hex
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._pending[job_id] = _Pending(future, on_update)
        try:
            await self._send(process, Assign(id=job_id, job=msgspec.Raw(msgspec.json.encode(job))))
            return msgspec.json.decode(await future, type=answer)
        except asyncio.CancelledError:
            if self._process is process:
                with contextlib.suppress(WorkerError):
                    await asyncio.shield(self._send(process, CancelJob(id=job_id)))
            raise
        finally:
            self._pending.pop(job_id, None)

    def retire(self) -> None:
        """Let the process leave as soon as it has no work; the next request starts another."""
        self._retiring = self._process is not None

    def cancel_all(self) -> None:
        """Fail every request under way with a typed cancellation, and tell the child."""
        for job_id, pending in list(self._pending.items()):
            if not pending.answer.done():
                pending.answer.set_exception(CancelledError("the request was cancelled"))
            if self._process is not None:
                self._process.tasks.append(
                    asyncio.create_task(self._send(self._process, CancelJob(id=job_id)))
                )

    def freeze(self) -> None:
        """Stop the child where it stands, and its own children; none of them uses processor time
        until :meth:`thaw`."""
        if self._process is not None:
            self._signal_group(self._process, signal.SIGSTOP)
        self._frozen = self._process is not None

    def thaw(self) -> None:
        self._frozen = False
        if self._process is not None:
            self._signal_group(self._process, signal.SIGCONT)
            self._process.heard = time.monotonic()

    def terminate(self) -> None:
        """Ask the child to save its work and leave; a frozen one is thawed for it."""
        self.thaw()
        self._signal(signal.SIGTERM)

    async def stop(self, *, grace: float = _LEAVE_SECONDS) -> None:
        """Let the child leave, kill it after ``grace`` seconds; its memory is free on return."""
        if self._process is None or self._leaving:
            return
        self._leaving = True
        try:
            async with self._starting:  # who comes meanwhile waits, and gets another process
                await self._end(self._process, grace)
        finally:
            self._leaving = False

    async def _end(self, process: _Process | None, grace: float) -> None:
        if process is None:  # it ended by itself meanwhile
            return
        if self._frozen:
            self.thaw()
        with contextlib.suppress(WorkerError):
            await self._send(process, Leave())
        try:
            async with asyncio.timeout(grace):
                await process.popen.wait()
        except TimeoutError:
            self._signal_group(process, signal.SIGKILL)
            await process.popen.wait()
        await self._bury(process, WorkerError(f"the {self.kind} worker was stopped"))

    async def reap_when_idle(self, now: float) -> None:
        """Stop the child when it had no work for ``keep_alive`` seconds (``now`` is monotonic)."""
        if self._process is None or self._callers:
            return
        if self._retiring or now - self._idle_since >= self._keep_alive:
            log.info("worker leaves, idle", extra={"kind": self.kind, "pid": self.pid})
            await self.stop()

    # --- life ---------------------------------------------------------------------------------

    async def _ensure(self) -> _Process:
        async with self._starting:
            if self._process is None:
                self._refuse_a_crash_loop()
                self._process = await self._start()
            process = self._process
        await self._until_ready(process)
        return process

    async def _until_ready(self, process: _Process) -> None:
        began = time.monotonic()
        while not process.ready.is_set():
            if self._frozen:  # that time is not the child's
                began = time.monotonic()
            if time.monotonic() - began > _START_SECONDS:
                self._signal_group(process, signal.SIGKILL)
                raise WorkerError(
                    f"the {self.kind} worker did not start within {_START_SECONDS:.0f} s",
                    hint="try again; `gardenerctl logs` tells more",
                )
            if process.popen.returncode is not None:
                raise WorkerError(
                    f"the {self.kind} worker ended at its start "
                    f"(status {process.popen.returncode})",
                    hint=f"see {self._log_file()}",
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await process.ready.wait()

    def _refuse_a_crash_loop(self) -> None:
        now = time.monotonic()
        if len(self._deaths) == _MAX_DEATHS and now - self._deaths[0] < _DEATH_WINDOW:
            rest = _DEATH_WINDOW - (now - self._deaths[0])
            raise WorkerError(
                f"the {self.kind} worker died {_MAX_DEATHS} times within a minute; "
                f"it is left alone for {rest:.0f} s",
                hint=f"see {self._log_file()}",
            )

    async def _start(self) -> _Process:
        endpoint = f"ipc://{self._home.run / f'{self.kind}-{uuid.uuid4().hex[:6]}.sock'}"
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.bind(endpoint)
        log_file = self._log_file()
        with log_file.open("ab") as stderr:
            # -P: nothing is imported from the working folder. A group of its own: when the
            # supervisor dies, the kernel wakes and hangs up a group that it finds stopped.
            popen = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                self._module,
                endpoint,
                str(log_file),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd=self._home.root,
                env=environment(self._home),
                process_group=0,
            )
        process = _Process(popen, socket, endpoint)
        process.tasks += [
            asyncio.create_task(self._listen(process), name=f"{self.kind}-listen"),
            asyncio.create_task(self._watch(process), name=f"{self.kind}-watch"),
        ]
        log.info("worker started", extra={"kind": self.kind, "pid": popen.pid})
        return process

    async def _listen(self, process: _Process) -> None:
        while True:
            frame: FromChild = _frames.decode(await process.socket.recv())
            process.heard = time.monotonic()
            match frame:
                case Ready():
                    process.ready.set()
                case Pong():
                    pass
                case Update(id=job_id, body=body):
                    pending = self._pending.get(job_id)
                    if pending and pending.on_update:
                        pending.on_update(body)
                case Answer(id=job_id, body=body):
                    self._settle(job_id, body)
                case Failed(id=job_id, code=code, message=message, hint=hint):
                    self._settle(job_id, from_code(code, message, hint))

    def _settle(self, job_id: str, outcome: msgspec.Raw | GardenerError) -> None:
        pending = self._pending.get(job_id)
        if pending is None or pending.answer.done():
            return
        if isinstance(outcome, GardenerError):
            pending.answer.set_exception(outcome)
        else:
            pending.answer.set_result(outcome)

    async def _watch(self, process: _Process) -> None:
        """Notice the child's end, and end one that no longer answers."""
        ended = asyncio.ensure_future(process.popen.wait())
        while not ended.done():
            await asyncio.wait({ended}, timeout=_PING_SECONDS)
            if ended.done() or self._frozen or not self._pending or not process.ready.is_set():
                process.heard = time.monotonic()
                continue
            if time.monotonic() - process.heard > _HANG_SECONDS:
                log.error("worker hangs", extra={"kind": self.kind, "pid": process.popen.pid})
                self._signal_group(process, signal.SIGKILL)
                continue
            with contextlib.suppress(WorkerError):
                await self._send(process, Ping())
        if self._process is process and not self._leaving:
            status = process.popen.returncode
            error = WorkerError(
                f"the {self.kind} worker ended unexpectedly (status {status})",
                hint=f"it starts again with the next request; see {self._log_file()}",
            )
            if self._pending or not process.ready.is_set():
                self._deaths.append(time.monotonic())
                self.last_error = error.message
                log.error("worker died", extra={"kind": self.kind, "status": status})
            await self._bury(process, error)

    async def _bury(self, process: _Process, error: WorkerError) -> None:
        if self._process is process:
            self._process = None
            self._frozen = False
            self._retiring = False
        current = asyncio.current_task()
        for task in process.tasks:
            if task is not current:
                task.cancel()
        process.socket.close(linger=0)
        with contextlib.suppress(OSError):
            Path(process.endpoint.removeprefix("ipc://")).unlink()
        if process.popen.stdin is not None:
            process.popen.stdin.close()
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(error)

    async def _send(self, process: _Process, frame: ToChild) -> None:
        if process.socket.closed:
            raise WorkerError(f"the {self.kind} worker is gone", hint="try again")
        await process.socket.send(msgspec.json.encode(frame))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.popen.send_signal(number)

    def _signal_group(self, process: _Process, number: signal.Signals) -> None:
        # macOS refuses where Linux finds nothing: all of the group have ended.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.popen.pid, number)

    def _log_file(self) -> Path:
        return self._home.logs / f"{self.kind}-worker.log"
