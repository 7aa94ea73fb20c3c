"""Whether the index is still the one that holds what the table of files says.

It is derived, and can be deleted, found damaged and made anew, at any time and by the worker alone.
Each table has a name, its generation; the one that results were counted for is kept beside them.
"""

from __future__ import annotations

import logging
from pathlib import Path

from gardenerd.index.generation import FORMAT, read_generation
from gardenerd.store.stores import Stores

log = logging.getLogger(__name__)

_GENERATION = "index_generation"
_MADE_OF = "index_made_of"


class Generation:
    """Marks every file as pending when the index in ``folder`` is another than it was."""

    def __init__(self, folder: Path, embedding: str, stores: Stores) -> None:
        self._folder = folder
        self._made_of = f"format {FORMAT}, {embedding}"
        self._stores = stores

    def start(self) -> bool:
        """As :meth:`look`, and for an index of another format or embedding."""
        if self._stores.meta.get(_MADE_OF) == self._made_of:
            return self.look()
        with self._stores.database.transaction():
            self._anew(None)
            self._stores.meta.set(_MADE_OF, self._made_of)
        return True

    def look(self) -> bool:
        """See whether the index was lost, or made anew by a search; whether it was."""
        found = read_generation(self._folder)
        if self._stores.meta.get(_GENERATION) == found:
            return False
        self._anew(found)
        return True

    def told(self, generation: str) -> bool:
        """Results are of this one; call it before they are counted. Whether it is unexpected."""
        known = self._stores.meta.get(_GENERATION)
        if known is None:
            self._stores.meta.set(_GENERATION, generation)
        elif known != generation:
            self._anew(generation)
            return True
        return False

    def _anew(self, generation: str | None) -> None:
        log.warning("the index is rebuilt", extra={"generation": generation})
        with self._stores.database.transaction():
            for project in self._stores.projects.all():
                self._stores.files.mark_all(project.id)
            self._stores.meta.set(_GENERATION, generation)
