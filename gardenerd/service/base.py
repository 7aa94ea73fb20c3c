"""Which base model serves now. It changes while the daemon runs; who needs it asks here."""

from __future__ import annotations

from pathlib import Path

from gardenerd.models.info import BaseInfo, find_base, inspect
from gardenerd.paths import Home

NAME = "base.name"
"""In the table of single values: the base that the adapters in service fit."""
CHANGED = "base.changed"
"""... and when another one came, in seconds since the epoch."""


class BaseInUse:
    def __init__(self, name: str, home: Home) -> None:
        self.name = name
        """As ``model.base`` says: ``seedling``, a folder, or a name under ``home.models``."""
        self._home = home

    @property
    def fingerprints(self) -> Path:
        """Where digests of weight files are kept, by size and time."""
        return self._home.models / "fingerprints.json"

    def folder(self) -> Path:
        """
        Raises:
            ModelError: there is none.
        """
        return find_base(self.name, self._home)

    def info(self) -> BaseInfo:
        """What it is; reads files, so call it in a thread.

        Raises:
            ModelError: it is missing or damaged.
        """
        return inspect(self.folder(), name=self.name, cache=self.fingerprints)
