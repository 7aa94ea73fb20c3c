"""Every test has a home of its own, by force: no test can touch the user's."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell's background jobs ignore interrupts, and so would everything that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def home_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """``$GARDENER_HOME``: short, since a socket's path may hold about a hundred bytes."""
    folder = Path(tempfile.mkdtemp(prefix="garden-"))
    monkeypatch.setenv("GARDENER_HOME", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
