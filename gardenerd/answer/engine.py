"""The three things that a model is asked to do, whatever runs it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from gardenerd.answer.backend import Backend, Session
from gardenerd.answer.local.backend import LocalBackend
from gardenerd.answer.scoring import score_files
from gardenerd.answer.tasks import answer, complete
from gardenerd.models.info import find_base
from gardenerd.paths import Home
from gardenerd.workers.harness import Context
from gardenerd.workers.jobs import (
    AnswerQuestion,
    CompleteCode,
    Generated,
    ModelJob,
    Scores,
    ScoreTexts,
)


class Engine:
    """Does model jobs one after the other; not for several threads at once."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._name = ""
        self._backend: LocalBackend | None = None

    @property
    def loaded_adapters(self) -> list[str]:
        """Versions in memory, the least recently used first."""
        return self._backend.loaded_adapters if self._backend else []

    def handle(self, job: ModelJob, context: Context) -> Generated | Scores:
        """Do one job.

        Raises:
            ModelError: the base is missing, damaged or not able to do this.
            RefusedError: a file to score cannot be.
            CancelledError: the job was cancelled, between two tokens or two batches.
        """
        match job:
            case CompleteCode():
                with self._open(job) as session:
                    return complete(job, session, context)
            case AnswerQuestion():
                with self._open(job) as session:
                    return answer(job, session, context)
            case ScoreTexts():
                backend = self._local(job.base)
                with backend.open(job.adapter, max_adapters=job.max_adapters) as session:
                    files = score_files(session.base, job.paths, check=context.check)
                    return Scores(files=files, adapter=session.adapter, warning=session.warning)

    def _open(self, job: CompleteCode | AnswerQuestion) -> AbstractContextManager[Session]:
        backend: Backend = self._local(job.base)
        return backend.open(job.adapter, max_adapters=job.max_adapters)

    def _local(self, name: str) -> LocalBackend:
        if self._backend is not None and self._name == name:
            return self._backend
        self.unload()  # never two bases in memory
        cache = self._home.models / "fingerprints.json" if self._home.models.is_dir() else None
        self._backend = LocalBackend(find_base(name, self._home), cache=cache)
        self._name = name
        return self._backend

    def unload(self) -> None:
        """Forget the base and its adapters."""
        if self._backend is not None:
            self._backend.close()
        self._backend = None
        self._name = ""
