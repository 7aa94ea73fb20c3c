"""Who computes next: one thread owns the model, and many texts take turns in it.

A turn reads a piece of one prompt, if there is one to be read, and writes one token in every row.
Requests join and leave between turns, so that one that comes while others write begins at once, and
one that is broken off costs nothing more. Where others write, a prompt is read in small pieces:
they go on meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import torch

from gardenerd.answer.local.lora import Adapter, LoraRows
from gardenerd.answer.local.memory import Memory
from gardenerd.answer.local.request import Request
from gardenerd.answer.local.steps import Row, Steps
from gardenerd.errors import ModelError

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_ROWS = 8
"""Texts under way at a time."""
# Tokens of a prompt read in one pass: a cancellation waits for one piece.
_PIECE = 512
# ... while others write. On a processor a piece of this size takes about as long as a few tokens.
_PIECE_BESIDE = 128
# Where other work is under way too, texts get so many times its time: somebody waits for them.
_TEXTS_FIRST = 4

Check = Callable[[], None]


class Scheduler:
    """Runs ``steps`` in a thread of its own, from any number of threads.

    Args:
        cost: bytes of states for each token of a row.
    """

    def __init__(self, steps: Steps, lora: LoraRows, memory: Memory, *, cost: int) -> None:
        self._steps = steps
        self._lora = lora
        self._memory = memory
        self._cost = cost
        self._reading: list[Row] = []
        self._waiting: deque[Request] = deque()
        self._works: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="model", daemon=True)
        self._thread.start()

    # --- any thread ---------------------------------------------------------------------------

    def submit(self, request: Request) -> None:
        """Have it written; its tokens come by :meth:`Request.tokens`."""
        with self._wake:
            self._refuse_if_closed()
            self._waiting.append(request)
            self._wake.notify()

    def run(self, work: Callable[[Check], T], adapter: Adapter | None, check: Check) -> T:
        """Do other work with the model and an adapter, in the model's thread; blocks.

        Args:
            work: called with a function to call now and then: the others' turn. It raises what
                ``check`` raises.
        """
        done: Future[T] = Future()
        resumed = time.monotonic()

        def pause() -> None:
            nonlocal resumed
            check()
            now = time.monotonic()
            until = now + _TEXTS_FIRST * (now - resumed)
            while self._take_turn() and time.monotonic() < until:
                pass
            self._lora.choose([adapter])
            resumed = time.monotonic()

        def begin() -> None:
            nonlocal resumed
            resumed = time.monotonic()
            try:
                self._lora.choose([adapter])
                done.set_result(work(pause))
            except BaseException as error:  # noqa: BLE001 - raised in the thread that asked
                done.set_exception(error)

        with self._wake:
            self._refuse_if_closed()
            self._works.append(begin)
            self._wake.notify()
        return done.result()

    @property
    def alive(self) -> bool:
        """It takes requests."""
        return not self._closed

    def close(self) -> None:
        """End the thread, when nothing is under way."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ModelError("the base model was unloaded", hint="try again")

    # --- the model's thread -------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            with torch.inference_mode():
                while self._wait():
                    if self._works:
                        self._works.popleft()()
                    self._take_turn()
        except BaseException as error:
            log.exception("the model's thread ended")
            with self._wake:
                self._closed = True
            for row in [*self._reading, *self._steps.rows]:
                row.request.fail(error)
            for request in self._waiting:
                request.fail(error)
            for begin in self._works:
                begin()

    def _wait(self) -> bool:
        """Until there is something to do; False at the end."""
        with self._wake:
            while not (self._closed or self._waiting or self._works or self._busy):
                self._lora.rest()
                self._memory.make_room(0)
                self._wake.wait()
            return not self._closed

    @property
    def _busy(self) -> bool:
        return bool(self._reading or self._steps.rows)

    def _take_turn(self) -> bool:
        """Let the texts under way go on by one step; False when there are none."""
        for row in [*self._reading, *self._steps.rows]:
            if self._broken_off(row.request):
                self._leave(row)
        self._admit()
        if not self._busy:
            return False
        if self._reading:
            self._read(min(self._reading, key=lambda row: row.left))
        if self._steps.rows:
            self._write()
        return True

    def _admit(self) -> None:
        while self._waiting and len(self._reading) + len(self._steps.rows) < MOST_ROWS:
            request = self._waiting[0]
            if not self._broken_off(request):
                # Twice: as it is read, and in its row.
                needed = 2 * self._cost * (len(request.ids) + request.room)
                if not self._memory.make_room(needed):
                    if self._busy:
                        return  # those under way give theirs back
                    request.fail(self._memory.error("this text", needed))
                else:
                    self._reading.append(Row(request))
            self._waiting.popleft()

    def _read(self, row: Row) -> None:
        try:
            scores = self._steps.read(row, _PIECE_BESIDE if self._steps.rows else _PIECE)
            if scores is None:
                return
            self._reading.remove(row)
            if row.request.give(_checked(row.request, scores)):
                self._steps.join(row)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that asked
            row.request.fail(error)
            if row in self._reading:
                self._reading.remove(row)

    def _write(self) -> None:
        rows = list(self._steps.rows)
        try:
            scores = self._steps.step()
            best = scores.argmax(-1)
            likeliest = best.tolist()
            finite = scores.gather(1, best[:, None]).isfinite()[:, 0].tolist()
        except BaseException as error:  # noqa: BLE001 - raised in the threads that asked
            for row in rows:
                row.request.fail(error)
                self._leave(row)
            return
        for number, row in enumerate(rows):
            request = row.request
            try:
                if request.drawn or not finite[number]:
                    token = _checked(request, scores[number])
                else:
                    token = likeliest[number]
                if not request.give(token):
                    self._leave(row)
            except ModelError as error:
                request.fail(error)
                self._leave(row)

    def _broken_off(self, request: Request) -> bool:
        if request.closed:
            return True
        try:
            request.check()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that asked
            request.fail(error)
            return True
        return False

    def _leave(self, row: Row) -> None:
        if row in self._reading:
            self._reading.remove(row)
        else:
            self._steps.leave(row)


def _checked(request: Request, scores: torch.Tensor) -> int:
    """The next token.

    Raises:
        ModelError: the scores are not finite numbers.
    """
    token = request.chooser.choose(scores)
    if not bool(scores[token].isfinite()):
        raise ModelError(
            "the model's output is not a number",
            hint="its weights, or those of the adapter, are damaged: pull the model again, "
            "or go back with `gardenerctl rollback`",
        )
    return token
