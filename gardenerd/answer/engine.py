"""The three things that a model is asked to do, whatever runs it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from gardenerd.answer.backend import Backend
from gardenerd.answer.backends import server_backend, sweep_server
from gardenerd.answer.tasks import answer, complete
from gardenerd.models.info import find_base
from gardenerd.paths import Home
from gardenerd.workers.harness import Context
from gardenerd.workers.jobs import (
    AnswerQuestion,
    CompleteCode,
    Done,
    Generated,
    ModelJob,
    Scores,
    ScoreTexts,
    ServerRef,
    SweepServer,
)

if TYPE_CHECKING:
    from gardenerd.answer.local.backend import LocalBackend

BaseJob = CompleteCode | AnswerQuestion | ScoreTexts


class Engine:
    """Does model jobs, several at a time, each in the thread that calls."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._name = ""
        self._backend: LocalBackend | None = None
        self._server: tuple[ServerRef, Backend] | None = None
        self._users = 0
        self._change = threading.Condition()

    @property
    def loaded_adapters(self) -> list[str]:
        """Versions in memory, the least recently used first."""
        return self._backend.loaded_adapters if self._backend else []

    def warm(self) -> None:
        """Import what runs a base in this process, which takes seconds. A server needs nothing."""
        import gardenerd.answer.local.backend  # noqa: F401  # pyright: ignore[reportUnusedImport]

    def handle(self, job: ModelJob, context: Context) -> Generated | Scores | Done:
        """Do one job.

        Raises:
            ModelError: the base is missing, damaged or not able to do this.
            RefusedError: a file to score cannot be.
            CancelledError: the job was cancelled, between two tokens or two batches.
        """
        if isinstance(job, SweepServer):
            sweep_server(job.server, self._home)
            return Done()
        if not isinstance(job, ScoreTexts) and job.server is not None:
            return self._ask(job.server, job, context)
        with (
            self._using(job) as backend,
            backend.open(job.adapter, max_adapters=job.max_adapters) as session,
        ):
            match job:
                case CompleteCode():
                    return complete(job, session, context)
                case AnswerQuestion():
                    return answer(job, session, context)
                case ScoreTexts():
                    files = session.score(job.paths, check=context.check)
                    return Scores(files=files, adapter=session.adapter, warning=session.warning)

    def _ask(
        self, server: ServerRef, job: CompleteCode | AnswerQuestion, context: Context
    ) -> Generated:
        """Have the model of a server write."""
        with self._change:
            if self._server is None or self._server[0] != server:
                self._server = server, server_backend(server, self._home)
            backend = self._server[1]
        with backend.open(job.adapter, max_adapters=job.max_adapters) as session:
            match job:
                case CompleteCode():
                    done = complete(job, session, context)
                case AnswerQuestion():
                    done = answer(job, session, context)
            return msgspec.structs.replace(done, base=session.name)

    @contextmanager
    def _using(self, job: BaseJob) -> Generator[LocalBackend]:
        """The backend of the job's base, which stays while the context lasts."""
        with self._change:
            # Never two bases in memory: another one waits until this one's jobs are done.
            self._change.wait_for(lambda: not self._users or self._serves(job))
            backend = self._local(job)
            self._users += 1
        try:
            yield backend
        finally:
            with self._change:
                self._users -= 1
                self._change.notify_all()

    def _serves(self, job: BaseJob) -> bool:
        return self._backend is not None and self._name == job.base and self._backend.alive

    def _local(self, job: BaseJob) -> LocalBackend:
        if self._backend is not None and self._serves(job):
            return self._backend
        from gardenerd.answer.local.backend import LocalBackend

        self.unload()
        cache = self._home.models / "fingerprints.json" if self._home.models.is_dir() else None
        folder = find_base(job.base, self._home)
        self._backend = LocalBackend(folder, cache=cache, max_memory_mb=job.max_memory_mb)
        self._name = job.base
        return self._backend

    def unload(self) -> None:
        """Forget the base and its adapters, when nothing is under way."""
        if self._backend is not None:
            self._backend.close()
        self._backend = None
        self._name = ""
