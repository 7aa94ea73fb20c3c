"""The base model in this process, its adapters, and the texts that they write."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from transformers.utils import logging as transformers_logging

from gardenerd.answer.backend import Drawing, Message
from gardenerd.answer.local.adapters import AdapterShelf
from gardenerd.answer.local.decode import IncrementalDecoder
from gardenerd.answer.local.lora import Adapter, LoraRows
from gardenerd.answer.local.memory import Memory
from gardenerd.answer.local.prefixes import Prefixes
from gardenerd.answer.local.prompt import Prompt, completion_prompt
from gardenerd.answer.local.request import Request
from gardenerd.answer.local.scheduler import Scheduler
from gardenerd.answer.local.selftest import fitting
from gardenerd.answer.local.vocabulary import Vocabulary
from gardenerd.answer.room import require_room
from gardenerd.answer.scoring import score_files
from gardenerd.errors import AdapterError
from gardenerd.models.device import load_for_serving
from gardenerd.workers.jobs import AdapterRef, FileScore, Surroundings

# Reading the prompt takes most of the time of a completion on a processor: a model with a window of
# 32,768 tokens would read for minutes.
_MAX_WINDOW = 4_096


class LocalBackend:
    """A base model and the texts that it writes, several at a time; for any number of threads.

    Args:
        folder: of the base model.
        cache: of fingerprints, see :func:`gardenerd.models.info.fingerprint`.
        max_memory_mb: that this process may hold.

    Raises:
        ModelError: the base is missing or damaged, or has no room.
    """

    def __init__(self, folder: Path, *, cache: Path | None, max_memory_mb: int) -> None:
        transformers_logging.disable_progress_bar()
        # It warns of texts longer than the window, which are cut here after they are tokenized.
        transformers_logging.set_verbosity_error()
        self.memory = Memory(max_memory_mb * 1_000_000)
        self.base = load_for_serving(
            folder,
            cache=cache,
            limit=self.memory.limit,
            admit=partial(self._admit, folder),
        )
        self.vocabulary = Vocabulary(self.base)
        config = self.base.model.config.get_text_config()
        window = getattr(config, "max_position_embeddings", None) or _MAX_WINDOW
        self.window = min(int(window), _MAX_WINDOW)
        self.prefixes = Prefixes()
        self.lora = LoraRows(self.base.model)
        self._shelf = AdapterShelf(self.base, self.lora, dropped=self.prefixes.forget)
        self.memory.spare = (self.prefixes.drop_oldest, self._shelf.drop_idle)
        steps, cost = fitting(self.base.model, self.lora, self.prefixes)
        self.scheduler = Scheduler(steps, self.lora, self.memory, cost=cost)

    @property
    def loaded_adapters(self) -> list[str]:
        return self._shelf.loaded

    @property
    def alive(self) -> bool:
        """Nothing befell it that only loading it anew can mend."""
        return self.scheduler.alive

    @contextmanager
    def open(self, adapter: AdapterRef | None, *, max_adapters: int) -> Generator[LocalSession]:
        """The base with the adapter on, or bare with a warning when that cannot serve."""
        if adapter is None:
            yield LocalSession(self, None)
            return
        with ExitStack() as stack:
            try:
                serving = self._shelf.serving(adapter, limit=max_adapters, room=self._require)
                session = LocalSession(self, stack.enter_context(serving), adapter.version)
            except AdapterError as error:
                warning = f"the base model serves without an adapter: {error.message}"
                warning += f" ({error.hint})" if error.hint else ""
                session = LocalSession(self, None, warning=warning)
            yield session

    def _admit(self, folder: Path, wanted: int) -> None:
        if not self.memory.make_room(wanted):
            raise self.memory.error(f"the base model in {folder}", wanted)

    def _require(self, wanted: int) -> None:
        if not self.memory.make_room(wanted):
            error = self.memory.error("the adapter", wanted)
            raise AdapterError(error.message, hint=error.hint)

    def close(self) -> None:
        """Forget the base and its adapters, when nothing is under way; of no use afterwards."""
        self.scheduler.close()
        del self.base, self.vocabulary, self.prefixes, self.lora, self.scheduler, self._shelf
        gc.collect()  # a model and its layers refer to each other


class LocalSession:
    """One request's view of the backend: the base with one adapter, or with none."""

    def __init__(
        self,
        backend: LocalBackend,
        weights: Adapter | None,
        adapter: str | None = None,
        *,
        warning: str = "",
    ) -> None:
        self.weights = weights
        """Of the adapter; None for the bare base."""
        self.adapter = adapter
        self.warning = warning
        self.window = backend.window
        self.name = backend.base.info.name
        self.can_chat = backend.base.info.chat
        fill = backend.vocabulary.fill
        self.knows_repositories = fill is not None and fill.repository is not None
        self._backend = backend
        self._vocabulary = backend.vocabulary

    def count(self, text: str) -> int:
        return len(self._vocabulary.encode(text))

    def clean(self, text: str) -> str:
        return self._vocabulary.clean(text)

    def chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        check: Callable[[], None],
        drawing: Drawing | None = None,
    ) -> LocalWriting:
        """What the assistant says next.

        Raises:
            ModelError: the messages do not fit the window.
        """
        ids = self._vocabulary.converse(messages)
        require_room(len(ids), max_tokens, window=self.window, name=self.name)
        return self._write(Prompt(ids=ids, room=max_tokens), check, drawing)

    def fill(
        self,
        prefix: str,
        suffix: str,
        *,
        max_tokens: int,
        check: Callable[[], None],
        drawing: Drawing | None = None,
        around: Surroundings | None = None,
    ) -> LocalWriting:
        prompt = completion_prompt(
            prefix,
            suffix,
            encode=self._vocabulary.encode,
            fill=self._vocabulary.fill,
            begin=self._backend.base.tokenizer.bos_token_id,
            window=self.window,
            max_tokens=max_tokens,
            around=around,
        )
        return self._write(prompt, check, drawing)

    def score(self, paths: Sequence[str], *, check: Callable[[], None]) -> list[FileScore]:
        """Bits per byte of files, while others go on writing.

        Raises:
            RefusedError: a file to score cannot be.
        """
        base = self._backend.base

        def work(pause: Callable[[], None]) -> list[FileScore]:
            return score_files(base, paths, check=pause)

        return self._backend.scheduler.run(work, self.weights, check)

    def _write(
        self, prompt: Prompt, check: Callable[[], None], drawing: Drawing | None
    ) -> LocalWriting:
        request = Request(
            prompt.ids,
            room=prompt.room,
            ends=self._vocabulary.ends,
            adapter=self.weights,
            check=check,
            drawing=drawing,
        )
        self._backend.scheduler.submit(request)
        return LocalWriting(request.tokens(), prompt.room, self._vocabulary.decode)


class LocalWriting:
    """Tokens as they come, as text."""

    def __init__(self, ids: Generator[int], room: int, decode: Callable[[list[int]], str]) -> None:
        self._ids = ids
        self._room = room
        self._decoder = IncrementalDecoder(decode)
        self.tokens = 0

    @property
    def full(self) -> bool:
        return self.tokens == self._room

    def __iter__(self) -> Iterator[str]:
        for token in self._ids:
            self.tokens += 1
            yield self._decoder.feed(token)

    def close(self) -> None:
        self._ids.close()
