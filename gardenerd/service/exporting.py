"""A version in the formats of others, for other programs: peft, transformers, GGUF, ollama."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gardenerd.errors import NotFoundError, RefusedError
from gardenerd.paths import Home
from gardenerd.service.base import BaseInUse
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.wire import messages
from gardenerd.workers.child import Child
from gardenerd.workers.export_jobs import Exported, ExportProgress, ExportVersion
from gardenerd.workers.jobs import AdapterRef


class Exporting:
    """One export after the other, each in a process that leaves when it is done."""

    def __init__(self, *, home: Home, base: BaseInUse, stores: Stores, exporter: Child) -> None:
        self._home = home
        self._base = base
        self._stores = stores
        self._exporter = exporter

    async def export(
        self,
        wanted: messages.Export,
        project: Project | None,
        progress: Callable[[dict[str, Any]], None],
    ) -> dict[str, Any]:
        """Write a version into a folder, and tell what was written.

        Args:
            project: whose version it is; None for the base.

        Raises:
            NotFoundError: there is no such version.
            RefusedError: the folder is taken, or the model cannot be written in this format.
            GardenerError: as :func:`gardenerd.export.run.export`.
        """
        if wanted.lora and wanted.format != "gguf":
            raise RefusedError("only a GGUF file can hold the adapter alone", hint="--format gguf")
        name = self._base.name
        adapter = self._adapter(wanted.version, project)
        job = ExportVersion(
            format=wanted.format,
            base=str(await asyncio.to_thread(self._base.folder)),
            base_name=name,
            adapter=adapter,
            target=wanted.target,
            name=_name(Path(name).name, adapter, project),
            lora=wanted.lora,
        )

        def tell(body: msgspec.Raw) -> None:
            told = msgspec.json.decode(body, type=ExportProgress)
            progress({"file": told.file, "done": told.done, "total": told.total})

        done = await self._exporter.call(job, Exported, on_update=tell)
        return {
            "target": wanted.target,
            "format": wanted.format,
            "version": job.adapter.version if job.adapter else None,
            "base": name,
            "name": job.name,
            **msgspec.to_builtins(done),
        }

    def _adapter(self, version: str, project: Project | None) -> AdapterRef | None:
        if project is None:
            return None
        found = self._stores.adapters.serving(project.id) if version == "current" else version
        if found is None:
            raise NotFoundError(
                f"no adapter serves {project.name}", hint="name a version, or base for the base"
            )
        self._stores.adapters.get(project.id, found)
        return AdapterRef(version=found, folder=str(self._home.adapter(project.id, found)))


def _name(base: str, adapter: AdapterRef | None, project: Project | None) -> str:
    """Of the file; a server that lists a version by this name is asked for it by gardener."""
    if project is None or adapter is None:
        return "".join(c if c.isalnum() or c in "-_." else "-" for c in base)
    return f"gardener-{project.id}-{adapter.version}"
