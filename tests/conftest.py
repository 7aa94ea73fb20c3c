"""Every test has a home of its own, by force: no test can touch the user's.

``make test`` runs several files at once; a file is run by one process from its first test to its
last, so what a module's fixtures share is theirs alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell's background jobs ignore interrupts, and so would everything that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What tests train is so small that threads only wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"

if "PYTEST_XDIST_WORKER" in os.environ:
    # A daemon counts what others use of the processors, but not what is niced: so those of one file
    # do not take the tests of another for a user at work.
    os.nice(1)

# The folders of which a file may take a minute.
_LONGEST = {"live": 0, "train": 1, "workers": 2}
# So many files at once at most: each has a gigabyte of libraries, and its daemons another.
_MOST_AT_ONCE = 4


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Of ``-n auto``; xdist itself counts cores, and two processors may be of the same one."""
    return max(2, min(_MOST_AT_ONCE, os.cpu_count() or 2))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several files are run at once, those that take longest begin: none is waited for."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: _LONGEST.get(item.path.parent.name, len(_LONGEST)))


@pytest.fixture(autouse=True)
def home_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """``$GARDENER_HOME``."""
    with new_home() as folder:
        monkeypatch.setenv("GARDENER_HOME", str(folder))
        yield folder


@contextlib.contextmanager
def new_home() -> Iterator[Path]:
    """A folder for a home: its path is short, since a socket's may hold about a hundred bytes."""
    folder = Path(tempfile.mkdtemp(prefix="garden-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
