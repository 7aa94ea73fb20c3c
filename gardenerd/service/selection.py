"""Which base model and which adapter serve a request, and what was wrong with the last ones."""

from __future__ import annotations

from gardenerd.errors import NotFoundError
from gardenerd.models.info import BaseInfo
from gardenerd.paths import Home
from gardenerd.service.base import BaseInUse
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.workers.jobs import AdapterRef

CURRENT = "current"
"""What serves, whichever version that is."""
_BARE = ("base", "none")


class Selection:
    def __init__(self, *, home: Home, base: BaseInUse, stores: Stores) -> None:
        self._home = home
        self._base = base
        self._stores = stores
        self._refused: dict[str, str] = {}
        """By project, why the version in service did not serve when it was last asked to."""

    def base(self, name: str | None = None) -> BaseInfo:
        """The base model in use, or another one that is on the disk.

        Reads files, so call it in a thread.

        Raises:
            ModelError: it is missing or damaged.
        """
        return (BaseInUse(name, self._home) if name else self._base).info()

    def adapter(
        self, project: Project | None, named: str, base: BaseInfo | None = None
    ) -> AdapterRef | None:
        """The adapter to use; None for the bare base.

        Args:
            named: a version, ``base`` or ``none``, or ``current``.
            base: another one than that in use: what serves belongs to it only if it was trained on
                it, which is no mistake of anybody.

        Raises:
            NotFoundError: no such version, or no project to have it.
        """
        if named in _BARE:
            return None
        if project is None:
            if named == CURRENT:
                return None
            raise NotFoundError(
                f"which project's adapter {named!r}? the file is in none",
                hint="name one with --project",
            )
        version: str | None = named
        if named == CURRENT:
            version = self._stores.adapters.serving(project.id)
            if version is None:
                return None
        assert version is not None
        found = self._stores.adapters.get(project.id, version)
        if named == CURRENT and base is not None and found.fingerprint != base.fingerprint:
            return None
        return AdapterRef(version=version, folder=str(self._home.adapter(project.id, version)))

    def served(self, project: Project | None, named: str, warning: str) -> None:
        """Keep for the status what came of a request to the adapter in service."""
        if project is None or named != CURRENT:
            return
        if warning:
            self._refused[project.id] = f"{project.name}: {warning}"
        else:
            self._refused.pop(project.id, None)

    def warnings(self) -> list[str]:
        """Why a version that is in service does not serve, of each project where that is so."""
        known = {project.id for project in self._stores.projects.all()}
        return [text for project, text in self._refused.items() if project in known]
