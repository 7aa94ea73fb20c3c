"""The three things that a model is asked to do, whatever runs it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from gardenerd.answer.backend import Backend, Session, Writing
from gardenerd.answer.backends import server_backend, sweep_server
from gardenerd.answer.chat import CitationFilter, question_messages
from gardenerd.answer.local.backend import LocalBackend
from gardenerd.answer.scoring import score_files
from gardenerd.answer.stops import CodeStop
from gardenerd.errors import ModelError
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
    TextPiece,
)

# Tokens that a chat template puts around two turns, with room to spare.
_TEMPLATE_TOKENS = 64


class _Shape(Protocol):
    """Takes generated text as it grows and gives back what may be shown."""

    done: bool

    def feed(self, text: str) -> str: ...

    def close(self) -> str: ...


class Engine:
    """Does model jobs one after the other; not for several threads at once."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._name = ""
        self._backend: LocalBackend | None = None
        self._server: tuple[ServerRef, Backend] | None = None

    @property
    def loaded_adapters(self) -> list[str]:
        """Versions in memory, the least recently used first."""
        return self._backend.loaded_adapters if self._backend else []

    def handle(self, job: ModelJob, context: Context) -> Generated | Scores | Done:
        """Do one job.

        Raises:
            ModelError: the base is missing, damaged or not able to do this.
            RefusedError: a file to score cannot be.
            CancelledError: the job was cancelled, between two tokens or two batches.
        """
        match job:
            case CompleteCode():
                with self._open(job) as session:
                    return _complete(job, session, context)
            case AnswerQuestion():
                with self._open(job) as session:
                    return _answer(job, session, context)
            case ScoreTexts():
                backend = self._local(job.base)
                with backend.open(job.adapter, max_adapters=job.max_adapters) as session:
                    files = score_files(session.base, job.paths, check=context.check)
                    return Scores(files=files, adapter=session.adapter, warning=session.warning)

            case SweepServer():
                sweep_server(job.server, self._home)
                return Done()

    def _open(self, job: CompleteCode | AnswerQuestion) -> AbstractContextManager[Session]:
        backend = self._remote(job.server) if job.server else self._local(job.base)
        return backend.open(job.adapter, max_adapters=job.max_adapters)

    def _remote(self, server: ServerRef) -> Backend:
        if self._server is None or self._server[0] != server:
            self._server = server, server_backend(server, self._home)
        return self._server[1]

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


def _complete(job: CompleteCode, session: Session, context: Context) -> Generated:
    started = time.monotonic()
    writing = session.fill(job.prefix, job.suffix, max_tokens=job.max_tokens, check=context.check)
    shape = CodeStop(job.path, job.prefix, job.suffix)
    return _generated(job, session, writing, shape, context, started)


def _answer(job: AnswerQuestion, session: Session, context: Context) -> Generated:
    started = time.monotonic()
    if not session.can_chat:
        raise ModelError(
            f"the base model {session.name} cannot chat: it has no chat template",
            hint="set model.base in config.toml to the folder of a chat model",
        )
    room = min(job.max_tokens, session.window // 2)
    messages, used = question_messages(
        job.question,
        job.sources,
        budget=session.window - room - _TEMPLATE_TOKENS,
        count=session.count,
        clean=session.clean,
    )
    writing = session.chat(messages, max_tokens=room, check=context.check)
    return _generated(job, session, writing, CitationFilter(used), context, started)


def _generated(
    job: CompleteCode | AnswerQuestion,
    session: Session,
    writing: Writing,
    shape: _Shape,
    context: Context,
    started: float,
) -> Generated:
    """Let it write, and stream what is certain."""
    pieces: list[str] = []

    def show(piece: str) -> None:
        if piece:
            pieces.append(piece)
            context.update(TextPiece(text=piece))

    try:
        for text in writing:
            show(shape.feed(text))
            if shape.done:
                break
    finally:
        writing.close()
    stop: Literal["end", "length"] = "length" if writing.full and not shape.done else "end"
    show(shape.close())
    return Generated(
        text="".join(pieces),
        tokens=writing.tokens,
        stop=stop,
        base=session.name if job.server else job.base,
        adapter=session.adapter,
        warning=session.warning,
        seconds=time.monotonic() - started,
    )
