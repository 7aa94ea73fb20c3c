"""Which base model and which adapter serve a request, and what was wrong with the last ones."""

from __future__ import annotations

import msgspec

from gardenerd.errors import ModelError, NotFoundError
from gardenerd.models.info import BaseInfo
from gardenerd.paths import Home
from gardenerd.service.base import BaseInUse
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.workers.jobs import AdapterRef, ServerRef

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

    def writer(self, server: ServerRef | None, name: str | None = None) -> BaseInfo:
        """What writes: the base (see :meth:`base`), or the model of ``server``, which can all that
        is asked of it as far as is known here; then the base itself need not be there.

        Raises:
            ModelError: the base writes, and is missing or damaged.
        """
        if server is None:
            return self.base(name)
        told = server.name or server.url
        try:
            return msgspec.structs.replace(self.base(), name=told, chat=True, fim=True)
        except ModelError:
            return BaseInfo(
                name=told,
                folder="",
                chat=True,
                fim=True,
                fingerprint="",
                architecture="",
                parameters=0,
                bytes=0,
            )

    def adapter(
        self, project: Project | None, named: str, base: BaseInfo | None = None
    ) -> AdapterRef | None:
        """The adapter to use; None for the bare base.

        Args:
            named: a version, ``base`` or ``none``, or ``current``.
            base: another one than that in use: what is current is what serves when it does.

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
            version = self._current(project, base)
            if version is None:
                return None
        assert version is not None
        self._stores.adapters.get(project.id, version)
        return AdapterRef(version=version, folder=str(self._home.adapter(project.id, version)))

    def _current(self, project: Project, base: BaseInfo | None) -> str | None:
        serving = self._stores.adapters.serving(project.id)
        if base is None:
            return serving
        for adapter in self._stores.adapters.all(project.id):
            known = adapter.version == serving or adapter.waits == "serving"
            if known and adapter.fingerprint == base.fingerprint:
                return adapter.version
        return None

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
