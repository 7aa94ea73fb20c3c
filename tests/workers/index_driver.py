"""The real index worker as a process, driven by raw frames from the test."""

from __future__ import annotations

import contextlib
import subprocess
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import zmq

from bench.index_worker import started
from gardenerd.errors import from_code
from gardenerd.workers.frames import Answer, Assign, CancelJob, Failed, FromChild, Ready, Update
from gardenerd.workers.jobs import FileResult, Indexed, IndexFiles, IndexProgress, Job

T = TypeVar("T")
TIMEOUT_MS = 60_000


class Driver:
    def __init__(self, socket: zmq.Socket[bytes], process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._socket = socket
        self._updates: dict[str, list[msgspec.Raw]] = {}
        self._ends: dict[str, Answer | Failed] = {}
        self._identity, frame = self._receive()
        assert isinstance(frame, Ready)

    def start(self, job: Job) -> str:
        number = uuid.uuid4().hex
        self._updates[number] = []
        frame = Assign(id=number, job=msgspec.Raw(msgspec.json.encode(job)))
        self._send(frame)
        return number

    def cancel(self, number: str) -> None:
        self._send(CancelJob(id=number))

    def wait_for(self, met: Callable[[], bool]) -> None:
        """Take frames until ``met``."""
        while not met():
            _, frame = self._receive()
            if isinstance(frame, Update):
                self._updates[frame.id].append(frame.body)
            elif isinstance(frame, Answer | Failed):
                self._ends[frame.id] = frame

    def updates(self, number: str, kind: type[T]) -> list[T]:
        return [msgspec.json.decode(body, type=kind) for body in self._updates[number]]

    def answer(self, number: str, kind: type[T]) -> T:
        """Wait for the job's end; raises the error that it failed with."""
        self.wait_for(lambda: number in self._ends)
        end = self._ends[number]
        if isinstance(end, Failed):
            raise from_code(end.code, end.message, end.hint)
        return msgspec.json.decode(end.body, type=kind)

    def ask(self, job: Job, kind: type[T]) -> T:
        return self.answer(self.start(job), kind)

    def index(self, project: str, root: Path, paths: list[str]) -> dict[str, FileResult]:
        """Index the files; returns the results by path."""
        number = self.start(IndexFiles(project=project, root=str(root), paths=paths))
        answer = self.answer(number, Indexed)
        assert answer.files == len(paths)
        results = [r for each in self.updates(number, IndexProgress) for r in each.results]
        assert sorted(r.path for r in results) == sorted(paths)
        return {result.path: result for result in results}

    def _send(self, frame: msgspec.Struct) -> None:
        self._socket.send_multipart([self._identity, msgspec.json.encode(frame)])

    def _receive(self) -> tuple[bytes, Any]:
        assert self._socket.poll(TIMEOUT_MS), "the worker does not answer"
        identity, data = self._socket.recv_multipart()
        return identity, msgspec.json.decode(data, type=FromChild)


@contextlib.contextmanager
def index_worker(home: Path) -> Generator[Driver]:
    """A worker on ``home``; it is killed at the end, whatever it does."""
    with started(home) as (socket, process):
        yield Driver(socket, process)
