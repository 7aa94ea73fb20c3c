"""What runs a model, as the rest of this package sees it: :mod:`local`, or a server elsewhere.

    Backend ──open(adapter)──▶ Session ──chat | fill──▶ Writing ──▶ pieces of text

A session holds the model with one adapter for one request. Several may be open at a time, each in
a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from gardenerd.workers.jobs import AdapterRef, Surroundings

Message = dict[str, str]
"""``role`` (system, user, assistant) and ``content``, as chat templates and servers take it."""


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is drawn among the probable ones. The same seed draws the same text."""

    temperature: float
    """Above 0; 1 draws by the model's own probabilities, less keeps closer to the likeliest."""
    top_p: float
    """Only the likeliest tokens that make up this share of the probability are drawn from."""
    seed: int


class Writing(Protocol):
    """Text as it is written; iterate it once. Closing it early ends the writing."""

    tokens: int
    """Written so far."""

    @property
    def full(self) -> bool:
        """It ended because there was no more room."""
        ...

    def __iter__(self) -> Iterator[str]: ...

    def close(self) -> None: ...


class Session(Protocol):
    """A model that is ready, with the adapter that was asked for, or bare with a warning."""

    adapter: str | None
    """The version that serves; None for the bare base."""
    warning: str
    """Why another one serves than was asked for; empty when all went well."""
    name: str
    """Of the base, for messages."""
    can_chat: bool
    knows_repositories: bool
    """It was trained to fill in code with other files of its repository before it."""
    window: int
    """Tokens of prompt and answer together."""

    def count(self, text: str) -> int:
        """Tokens of a text, or an estimate that is not too low."""
        ...

    def clean(self, text: str) -> str:
        """The text with nothing in it that the model would take for a control token."""
        ...

    def chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        check: Callable[[], None],
        drawing: Drawing | None = None,
    ) -> Writing:
        """What the assistant says next.

        Args:
            check: called between tokens; raises to break off.
            drawing: None takes the likeliest token each time.

        Raises:
            ModelError: it cannot chat, or the messages do not fit its window.
        """
        ...

    def fill(
        self,
        prefix: str,
        suffix: str,
        *,
        max_tokens: int,
        check: Callable[[], None],
        drawing: Drawing | None = None,
        around: Surroundings | None = None,
    ) -> Writing:
        """What belongs between two texts, each cut at its far end to fit.

        Args:
            around: shown before them, whole; only where :attr:`knows_repositories`.
        """
        ...


class Backend(Protocol):
    """One base model somewhere, and the adapters that it can wear."""

    @property
    def loaded_adapters(self) -> list[str]:
        """Versions that serve without being loaded, the least recently used first."""
        ...

    def open(
        self, adapter: AdapterRef | None, *, max_adapters: int
    ) -> AbstractContextManager[Session]:
        """Ready the model; the adapter may fail to load, then the base serves with a warning.

        Raises:
            ModelError: the base is missing, damaged, or not to be reached.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...
