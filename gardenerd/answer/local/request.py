"""One text to be written: asked for in a thread of its own, written in the model's."""

from __future__ import annotations

import queue
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from gardenerd.answer.local.draw import Chooser
from gardenerd.answer.stops import TokenLoop

if TYPE_CHECKING:
    from gardenerd.answer.backend import Drawing
    from gardenerd.answer.local.lora import Adapter


class Request:
    """A prompt, how to go on from it, and the tokens on their way to who asked.

    Args:
        ids: of the prompt, at least one.
        room: tokens that may be written.
        ends: tokens before which the text ends.
        adapter: None for the bare base.
        check: called in the model's thread before each step; raises to break off.
        drawing: None takes the likeliest token each time.
    """

    def __init__(
        self,
        ids: list[int],
        *,
        room: int,
        ends: frozenset[int],
        adapter: Adapter | None = None,
        check: Callable[[], None] = lambda: None,
        drawing: Drawing | None = None,
    ) -> None:
        self.ids = ids
        self.room = room
        self.adapter = adapter
        self.check = check
        self.drawn = drawing is not None
        self.chooser = Chooser(drawing)
        self.written: list[int] = []
        """Tokens that were given, in the model's thread."""
        self.closed = False
        """Nobody waits for more."""
        self._ends = ends
        self._loop = TokenLoop()
        self._given: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()

    # --- the model's side ---------------------------------------------------------------------

    def give(self, token: int) -> bool:
        """Hand over the next token; False when the text has ended, with it or before it."""
        if token in self._ends:
            self.finish()
            return False
        self.written.append(token)
        self._given.put(token)
        if self._loop.feed(token) or len(self.written) >= self.room:
            self.finish()
            return False
        return True

    def finish(self) -> None:
        self._given.put(None)

    def fail(self, error: BaseException) -> None:
        """Have ``error`` raised where the tokens are awaited."""
        self._given.put(error)

    # --- the side of who asked ----------------------------------------------------------------

    def tokens(self) -> Generator[int]:
        """The tokens as they come; left early, the writing ends.

        Raises:
            GardenerError: what broke it off.
        """
        try:
            while (given := self._given.get()) is not None:
                if isinstance(given, BaseException):
                    raise given
                yield given
        finally:
            self.closed = True
