"""The base model in this process, its adapters, and the texts that they write."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jinja2.exceptions import TemplateError
from transformers.utils import logging as transformers_logging

from gardenerd.answer.backend import Drawing, Message
from gardenerd.answer.chat import without_system
from gardenerd.answer.local.adapters import AdapterShelf
from gardenerd.answer.local.decode import IncrementalDecoder
from gardenerd.answer.local.generate import generate
from gardenerd.answer.local.prompt import Prompt, completion_prompt
from gardenerd.answer.local.vocabulary import Vocabulary
from gardenerd.errors import AdapterError, ModelError
from gardenerd.models.device import load_for_serving
from gardenerd.models.load import Base
from gardenerd.workers.jobs import AdapterRef, Surroundings

# Reading the prompt takes most of the time of a completion on a processor: a model with a window of
# 32,768 tokens would read for minutes.
_MAX_WINDOW = 4_096


class LocalBackend:
    """Writes one text after the other; not for several threads at once.

    Args:
        folder: of the base model.
        cache: of fingerprints, see :func:`gardenerd.models.info.fingerprint`.

    Raises:
        ModelError: the base is missing or damaged.
    """

    def __init__(self, folder: Path, *, cache: Path | None) -> None:
        self._folder = folder
        self._cache = cache
        transformers_logging.disable_progress_bar()
        # It warns of texts longer than the window, which are cut here after they are tokenized.
        transformers_logging.set_verbosity_error()
        self._load()

    def _load(self) -> None:
        self.base = load_for_serving(self._folder, cache=self._cache)
        self._vocabulary = Vocabulary(self.base)
        self._shelf = AdapterShelf(self.base)
        config = self.base.model.config.get_text_config()
        window = getattr(config, "max_position_embeddings", None) or _MAX_WINDOW
        self._window = min(int(window), _MAX_WINDOW)

    @property
    def loaded_adapters(self) -> list[str]:
        return self._shelf.loaded

    @contextmanager
    def open(self, adapter: AdapterRef | None, *, max_adapters: int) -> Generator[LocalSession]:
        """The base with the adapter on, or bare with a warning when that cannot serve."""
        warning = ""
        if adapter is not None:
            try:
                self._shelf.prepare(adapter, limit=max_adapters)
            except AdapterError as error:
                warning = f"the base model serves without an adapter: {error.message}"
                warning += f" ({error.hint})" if error.hint else ""
                adapter = None
                if self._shelf.broken:
                    self.close()
                    self._load()
        with self._shelf.serving(adapter):
            version = None if adapter is None else adapter.version
            yield LocalSession(self.base, self._vocabulary, self._window, version, warning)

    def close(self) -> None:
        """Forget the base and its adapters; the backend is of no use afterwards."""
        del self.base, self._vocabulary, self._shelf
        gc.collect()  # a model and its adapters refer to each other


class LocalSession:
    def __init__(
        self, base: Base, vocabulary: Vocabulary, window: int, adapter: str | None, warning: str
    ) -> None:
        self.base = base
        self.adapter = adapter
        self.warning = warning
        self.window = window
        self.name = base.info.name
        self.can_chat = base.info.chat
        fill = vocabulary.fill
        self.knows_repositories = fill is not None and fill.repository is not None
        self._vocabulary = vocabulary

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
        ids = _render(self.base, messages)
        if len(ids) + max_tokens > self.window:
            raise ModelError(
                f"the question is too long: it takes {len(ids)} tokens, and {self.name} reads "
                f"{self.window - max_tokens} before its answer",
                hint="ask a shorter question",
            )
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
            begin=self.base.tokenizer.bos_token_id,
            window=self.window,
            max_tokens=max_tokens,
            around=around,
        )
        return self._write(prompt, check, drawing)

    def _write(
        self, prompt: Prompt, check: Callable[[], None], drawing: Drawing | None
    ) -> LocalWriting:
        tokens = generate(
            self.base.model,
            prompt.ids,
            room=prompt.room,
            ends=self._vocabulary.ends,
            check=check,
            drawing=drawing,
        )
        return LocalWriting(tokens, prompt.room, self._vocabulary.decode)


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


def _render(base: Base, messages: Sequence[Message]) -> list[int]:
    def apply(conversation: Sequence[Message]) -> str:
        return base.tokenizer.apply_chat_template(
            list(conversation), add_generation_prompt=True, tokenize=False
        )

    try:
        text = apply(messages)
    except TemplateError:  # Gemma's refuses a system role
        text = apply(without_system(messages))
    return base.tokenizer.encode(text, add_special_tokens=False)
