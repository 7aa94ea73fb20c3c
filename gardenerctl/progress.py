"""A bar that moves on a terminal; a line now and then in a pipe; nothing with ``--json``."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from gardenerctl.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

# In a log a line every few seconds tells enough.
_LINE_EVERY_S = 5.0


class Progress:
    """One task's progress. A bar appears with the first report, on stderr."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._last_line = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: float, total: float, note: str = "", title: str | None = None) -> None:
        """``done`` of ``total``; a total of 0 means unknown."""
        if self._console.as_json:
            return
        self._title = title or self._title
        if sys.stderr.isatty() and self._console.terminal:
            self._move(done, total, note)
        else:
            self._print(done, total, note)

    def _move(self, done: float, total: float, note: str) -> None:
        if self._bar is None:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("{task.description:<10}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}", style="dim"),
                console=RichConsole(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=None, note="")
        assert self._task is not None
        self._bar.update(
            self._task,
            description=self._title,
            completed=done,
            total=total or None,
            note=note.replace("[", "\\["),
        )

    def _print(self, done: float, total: float, note: str) -> None:
        now = time.monotonic()
        if now - self._last_line < _LINE_EVERY_S and done < total:
            return
        self._last_line = now
        share = f" {100 * done / total:.0f} %" if total else ""
        self._console.note(f"{self._title}{share}{f', {note}' if note else ''}")
