"""The real index and search workers as processes, driven by raw frames from the test."""

from __future__ import annotations

import contextlib
import subprocess
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import zmq

from bench.index_worker import SEARCHER, started
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
            self._take()

    def take_those_there(self) -> None:
        """Take the frames that have come, and wait for none."""
        while self._socket.poll(0):
            self._take()

    def _take(self) -> None:
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


class Pair(Driver):
    """An index worker, and beside it, from the first search on, a search worker."""

    def __init__(self, home: Path, workers: contextlib.ExitStack) -> None:
        super().__init__(*workers.enter_context(started(home)))
        self._home = home
        self._workers = workers
        self._searcher: Driver | None = None

    @property
    def searcher(self) -> Driver:
        if self._searcher is None:
            self._searcher = Driver(*self._workers.enter_context(started(self._home, SEARCHER)))
        return self._searcher


@contextlib.contextmanager
def index_worker(home: Path) -> Generator[Pair]:
    """Workers on ``home``; they are killed at the end, whatever they do."""
    with contextlib.ExitStack() as workers:
        yield Pair(home, workers)
