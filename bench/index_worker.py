"""The index and the search worker as processes, driven by raw frames: the real ones, no daemon."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import zmq

from gardenerd.workers.child import MODULES
from gardenerd.workers.frames import Answer, Assign, Failed, FromChild, Ready, Update
from gardenerd.workers.jobs import IndexProgress, Job

INDEXER = MODULES["index"]
SEARCHER = MODULES["search"]

_TIMEOUT_MS = 120_000


class WorkerProcess:
    """A worker as a process, driven by raw frames."""

    def __init__(self, socket: zmq.Socket[bytes], process: subprocess.Popen[bytes]) -> None:
        self._socket = socket
        self._process = process
        self._ended: dict[str, Answer | Failed] = {}
        self._chunks = 0
        self._identity, frame = self._receive()
        if not isinstance(frame, Ready):
            raise RuntimeError(f"the worker said {frame}")

    def ask(self, job: Job, answer: type[msgspec.Struct]) -> Any:
        """Do one job; returns its answer, updates left aside."""
        return self.answer(self.start(job), answer)

    def start(self, job: Job) -> str:
        """Begin a job, and give the number by which its answer is asked for."""
        number = uuid.uuid4().hex
        assign = Assign(id=number, job=msgspec.Raw(msgspec.json.encode(job)))
        self._socket.send_multipart([self._identity, msgspec.json.encode(assign)])
        return number

    def answer(self, number: str, answer: type[msgspec.Struct]) -> Any:
        """Wait for the answer to a job; those of others are kept for when they are asked for."""
        while number not in self._ended:
            self._take()
        frame = self._ended.pop(number)
        if isinstance(frame, Failed):
            raise RuntimeError(frame.message)
        return msgspec.json.decode(frame.body, type=answer)

    def ended(self, number: str) -> bool:
        """Whether a job's answer has come."""
        while self._socket.poll(0):
            self._take()
        return number in self._ended

    @property
    def chunks(self) -> int:
        """How many chunks were indexed, as far as was read."""
        return self._chunks

    def _take(self) -> None:
        _, frame = self._receive()
        if isinstance(frame, Answer | Failed):
            self._ended[frame.id] = frame
        elif isinstance(frame, Update):
            self._count(frame)

    def _count(self, update: Update) -> None:
        progress = msgspec.json.decode(update.body, type=IndexProgress)
        self._chunks += sum(result.chunks for result in progress.results)

    def freeze(self) -> None:
        """Stop it and its own processes where they stand."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self._process.pid, signal.SIGCONT)

    def peak_rss(self) -> int:
        """Largest resident memory so far, in bytes, of the worker alone."""
        status = Path(f"/proc/{self._process.pid}/status")
        if status.exists():
            line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
            return int(line.split()[1]) * 1024
        return psutil.Process(self._process.pid).memory_info().rss

    def cpu_seconds(self) -> float:
        """Processor time so far, of the worker and of its children that have ended."""
        return sum(psutil.Process(self._process.pid).cpu_times()[:4])

    def _receive(self) -> tuple[bytes, Any]:
        if not self._socket.poll(_TIMEOUT_MS):
            raise RuntimeError("the worker does not answer")
        identity, data = self._socket.recv_multipart()
        return identity, msgspec.json.decode(data, type=FromChild)


@contextlib.contextmanager
def worker(home: Path, module: str = INDEXER) -> Generator[WorkerProcess]:
    """A worker on ``home``, ended at the end."""
    with started(home, module) as (socket, process):
        yield WorkerProcess(socket, process)


@contextlib.contextmanager
def started(
    home: Path, module: str = INDEXER
) -> Generator[tuple[zmq.Socket[bytes], subprocess.Popen[bytes]]]:
    """A worker on ``home`` and the socket it speaks to; killed at the end, whatever it does."""
    (home / "index").mkdir(parents=True, exist_ok=True)
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    endpoint = f"ipc://{home}/{uuid.uuid4().hex[:8]}.sock"
    socket.bind(endpoint)
    process = subprocess.Popen(
        [sys.executable, "-m", module, endpoint, str(home / "worker.log")],
        stdin=subprocess.PIPE,
        env={**os.environ, "GARDENER_HOME": str(home)},
        process_group=0,
    )
    try:
        yield socket, process
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
        socket.close()
        context.term()
