"""A home, and in it a project that is known by name alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gardenerd.paths import Home, find_home
from gardenerd.store.stores import Stores

PROJECT = "p1"


@pytest.fixture
def home() -> Home:
    found = find_home()
    found.create()
    return found


@pytest.fixture
def stores(home: Home) -> Iterator[Stores]:
    """With ``PROJECT``."""
    opened = Stores(home.database)
    opened.projects.add(PROJECT, "shop", Path("/somewhere/shop"), 1.0)
    yield opened
    opened.close()
