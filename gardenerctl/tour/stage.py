"""The tour's private world: a temporary home, a copy of the code, a daemon; gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

from gardenerctl.service import halt, launch
from gardenerctl.tour.material import copy_source
from gardenerd.errors import TimedOutError
from gardenerd.paths import Home
from gardenerd.wire.client import Client

# Nothing trains on its own during the tour, and the one run of it is kept short.
_CONFIG = """\
[loop]
window = ""
idle_minutes = 0

[train]
minutes = 2.0
"""


class Stage:
    """A home with a daemon for one project. Leaving it stops the daemon and removes all.

    An interrupt, SIGTERM and SIGHUP end the tour by :class:`KeyboardInterrupt`, so that the way
    out is one; while it cleans up, interrupts wait.
    """

    def __init__(self, source: Path, *, keep: bool) -> None:
        self._source = source
        self._keep = keep
        self.folder = Path(tempfile.mkdtemp(prefix="gardener-try-"))
        self.home = Home(self.folder / "home")
        self.project = self.folder / (source.name or "project")
        if self.project == self.home.root:
            self.project = self.folder / "home-copy"
        self.hello: dict[str, Any] = {}
        self.client: Client | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stage:
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, _interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._handlers[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            if self.client is not None:
                self.client.close()
            self._stop()
            if not self._keep:
                # Outside the home when its path is too long for a socket.
                for folder in (self.home.run, self.folder):
                    if folder.exists():
                        shutil.rmtree(folder)
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def copy(self) -> int:
        """Copy the source; the number of files."""
        return copy_source(self._source, self.project)

    def start(self) -> Client:
        """Start the daemon and connect to it."""
        self.home.create()
        self.home.config.write_text(_CONFIG, encoding="utf-8")
        self.hello, _ = launch(self.home)
        self.client = Client(self.home)
        return self.client

    def _stop(self) -> None:
        try:
            halt(self.home)
        except TimedOutError:
            # It hangs. Its children notice its death and follow.
            if pid := self.hello.get("pid"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
