"""One base model in memory, its adapters, and the three things it is asked to do."""

from __future__ import annotations

import gc
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from jinja2.exceptions import TemplateError
from transformers.utils import logging as transformers_logging

from gardenerd.answer.adapters import AdapterShelf
from gardenerd.answer.chat import CitationFilter, question_messages, without_system
from gardenerd.answer.decode import IncrementalDecoder
from gardenerd.answer.generate import greedy
from gardenerd.answer.prompt import Prompt, completion_prompt
from gardenerd.answer.scoring import score_files
from gardenerd.answer.stops import CodeStop
from gardenerd.answer.vocabulary import Vocabulary
from gardenerd.errors import AdapterError, ModelError
from gardenerd.models.info import find_base, weight_files
from gardenerd.models.load import Base, load_base
from gardenerd.paths import Home
from gardenerd.workers.harness import Context
from gardenerd.workers.jobs import (
    AnswerQuestion,
    CompleteCode,
    Generated,
    ModelJob,
    Scores,
    ScoreTexts,
    TextPiece,
)

# Reading the prompt takes most of the time of a completion on a processor: a model with a window of
# 32,768 tokens would read for minutes.
_MAX_WINDOW = 4_096
# Bytes of weights above which half precision is worth more than exactness.
_EXACT_BYTES = 200_000_000
# Tokens that a chat template puts around two turns, with room to spare.
_TEMPLATE_TOKENS = 64


class _Shape(Protocol):
    """Takes generated text as it grows and gives back what may be shown."""

    done: bool

    def feed(self, text: str) -> str: ...

    def close(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Loaded:
    base: Base
    vocabulary: Vocabulary
    shelf: AdapterShelf
    window: int
    """Tokens of prompt and answer together."""


@dataclass(frozen=True, slots=True)
class _Serving:
    loaded: _Loaded
    version: str | None
    warning: str


@dataclass(frozen=True, slots=True)
class _Written:
    text: str
    tokens: int
    stop: Literal["end", "length"]


class Engine:
    """Does model jobs one after the other; not for several threads at once."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._name = ""
        self._loaded: _Loaded | None = None
        transformers_logging.disable_progress_bar()
        # It warns of texts longer than the window, which are cut here after they are tokenized.
        transformers_logging.set_verbosity_error()

    @property
    def loaded_adapters(self) -> list[str]:
        """Versions in memory, the least recently used first."""
        return self._loaded.shelf.loaded if self._loaded else []

    def handle(self, job: ModelJob, context: Context) -> Generated | Scores:
        """Do one job.

        Raises:
            ModelError: the base is missing, damaged or not able to do this.
            RefusedError: a file to score cannot be.
            CancelledError: the job was cancelled, between two tokens or two batches.
        """
        with self._serving(job) as serving:
            match job:
                case CompleteCode():
                    return _complete(job, serving, context)
                case AnswerQuestion():
                    return _answer(job, serving, context)
                case ScoreTexts():
                    files = score_files(serving.loaded.base, job.paths, check=context.check)
                    return Scores(files=files, adapter=serving.version, warning=serving.warning)

    @contextmanager
    def _serving(self, job: ModelJob) -> Generator[_Serving]:
        """The base with the job's adapter on, or bare with a warning when that cannot serve."""
        loaded = self._load(job.base)
        wanted = job.adapter
        warning = ""
        if wanted is not None:
            try:
                loaded.shelf.prepare(wanted, limit=job.max_adapters)
            except AdapterError as error:
                warning = f"the base model serves without an adapter: {error.message}"
                warning += f" ({error.hint})" if error.hint else ""
                wanted = None
                if loaded.shelf.broken:
                    self.unload()
                    loaded = self._load(job.base)
        with loaded.shelf.serving(wanted):
            yield _Serving(loaded, None if wanted is None else wanted.version, warning)

    def _load(self, name: str) -> _Loaded:
        if self._loaded is not None and self._name == name:
            return self._loaded
        self.unload()  # never two bases in memory
        folder = find_base(name, self._home)
        cache = self._home.models / "fingerprints.json" if self._home.models.is_dir() else None
        base = load_base(folder, dtype=_dtype(folder), cache=cache)
        config = base.model.config.get_text_config()
        window = getattr(config, "max_position_embeddings", None) or _MAX_WINDOW
        self._loaded = _Loaded(
            base=base,
            vocabulary=Vocabulary(base),
            shelf=AdapterShelf(base),
            window=min(int(window), _MAX_WINDOW),
        )
        self._name = name
        return self._loaded

    def unload(self) -> None:
        """Forget the base and its adapters."""
        if self._loaded is not None:
            self._loaded = None
            gc.collect()  # a model and its adapters refer to each other
        self._name = ""


def _complete(job: CompleteCode, serving: _Serving, context: Context) -> Generated:
    started = time.monotonic()
    loaded = serving.loaded
    prompt = completion_prompt(
        job.prefix,
        job.suffix,
        encode=loaded.vocabulary.encode,
        fill=loaded.vocabulary.fill,
        begin=loaded.base.tokenizer.bos_token_id,
        window=loaded.window,
        max_tokens=job.max_tokens,
    )
    shape = CodeStop(job.path, job.prefix, job.suffix)
    return _generated(job, serving, _write(loaded, prompt, shape, context), started)


def _answer(job: AnswerQuestion, serving: _Serving, context: Context) -> Generated:
    started = time.monotonic()
    loaded = serving.loaded
    base = loaded.base
    if not base.info.chat:
        raise ModelError(
            f"the base model {base.info.name} cannot chat: it has no chat template",
            hint="set model.base in config.toml to the folder of a chat model",
        )
    room = min(job.max_tokens, loaded.window // 2)
    messages, used = question_messages(
        job.question,
        job.sources,
        budget=loaded.window - room - _TEMPLATE_TOKENS,
        count=lambda text: len(loaded.vocabulary.encode(text)),
        clean=loaded.vocabulary.clean,
    )
    ids = _render(base, messages)
    if len(ids) + room > loaded.window:
        raise ModelError(
            f"the question is too long: it takes {len(ids)} tokens, and {base.info.name} reads "
            f"{loaded.window - room} before its answer",
            hint="ask a shorter question",
        )
    prompt = Prompt(ids=ids, room=room)
    written = _write(loaded, prompt, CitationFilter(used), context)
    return _generated(job, serving, written, started)


def _render(base: Base, messages: Sequence[dict[str, str]]) -> list[int]:
    def apply(conversation: Sequence[dict[str, str]]) -> str:
        return base.tokenizer.apply_chat_template(
            list(conversation), add_generation_prompt=True, tokenize=False
        )

    try:
        text = apply(messages)
    except TemplateError:  # Gemma's refuses a system role
        text = apply(without_system(messages))
    return base.tokenizer.encode(text, add_special_tokens=False)


def _write(loaded: _Loaded, prompt: Prompt, shape: _Shape, context: Context) -> _Written:
    """Generate, and stream what is certain."""
    decoder = IncrementalDecoder(loaded.vocabulary.decode)
    pieces: list[str] = []
    tokens = 0

    def show(piece: str) -> None:
        if piece:
            pieces.append(piece)
            context.update(TextPiece(text=piece))

    for token in greedy(
        loaded.base.model,
        prompt.ids,
        room=prompt.room,
        ends=loaded.vocabulary.ends,
        check=context.check,
    ):
        tokens += 1
        show(shape.feed(decoder.feed(token)))
        if shape.done:
            break
    full = tokens == prompt.room and not shape.done
    show(shape.close())
    return _Written("".join(pieces), tokens, "length" if full else "end")


def _generated(
    job: CompleteCode | AnswerQuestion, serving: _Serving, written: _Written, started: float
) -> Generated:
    return Generated(
        text=written.text,
        tokens=written.tokens,
        stop=written.stop,
        base=job.base,
        adapter=serving.version,
        warning=serving.warning,
        seconds=time.monotonic() - started,
    )


def _dtype(folder: Path) -> torch.dtype:
    """float32 for a small model; a large one has half the weight to read for each token."""
    size = sum(file.stat().st_size for file in weight_files(folder))
    return torch.float32 if size <= _EXACT_BYTES else torch.bfloat16
