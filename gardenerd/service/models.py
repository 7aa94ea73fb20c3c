"""The base models: what is there, what fits this machine, pulling and removing them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil

from gardenerd.errors import ModelError, RefusedError
from gardenerd.models import catalogue, estimate, fit, shelf
from gardenerd.models.check import NVIDIA, check, least_bytes
from gardenerd.models.info import BaseInfo, find_base, inspect, kept_digest, read_config
from gardenerd.models.origin import Origin, matches, read_origin
from gardenerd.paths import Home
from gardenerd.service.base import BaseInUse
from gardenerd.service.switching import Switching
from gardenerd.settings import Settings
from gardenerd.store.stores import Stores
from gardenerd.wire.messages import PullModel
from gardenerd.workers.child import Child
from gardenerd.workers.fetch_jobs import (
    Fetched,
    FetchModel,
    FetchProgress,
    Hardware,
    LookAtHardware,
)

HUB = "https://huggingface.co"


class Models:
    def __init__(
        self,
        *,
        home: Home,
        settings: Settings,
        stores: Stores,
        base: BaseInUse,
        switching: Switching,
        fetcher: Child,
    ) -> None:
        self._home = home
        self._settings = settings
        self._stores = stores
        self._base = base
        self._switching = switching
        self._fetcher = fetcher
        self._hardware: Hardware | None = None
        self._pulling: set[str] = set()

    async def all(self) -> dict[str, Any]:
        """The models on the disk, which of them serves, and those that are recommended."""
        limit = await self._limit()
        found = await asyncio.to_thread(self._on_disk)
        offered = catalogue.recommend(limit)
        recommended = offered.name if offered else "seedling"
        here = {model["name"] for model in found}
        for offer in catalogue.OFFERS:
            if offer.name not in here:
                found.append(_offered(offer))
        for model in found:
            model["recommended"] = model["name"] == recommended
            needed = model["serve_bytes"]
            model["fits"] = None if needed is None else needed <= limit
            least = model.pop("least_bytes")
            model["allowed"] = None if least is None else least <= self._allowed
        return {"models": found, "recommended": recommended, "memory_bytes": limit}

    async def show(self, name: str | None) -> dict[str, Any]:
        """Everything about one model; None: the one that serves.

        Raises:
            ModelError: there is none, or it is damaged.
        """
        name = name or self._base.name
        _refuse_gguf(name)
        info = await asyncio.to_thread(self._inspected, name)
        found = await self._look()
        told = await asyncio.to_thread(self._described, name, info, found)
        told["adapters"] = [
            {
                "project": self._stores.projects.get(adapter.project).name,
                "version": adapter.version,
                "state": adapter.waits or adapter.state,
            }
            for adapter in self._stores.adapters.all()
            if adapter.fingerprint == info.fingerprint
        ]
        return told

    async def use(self, name: str) -> dict[str, Any]:
        """See :meth:`Switching.use`.

        Raises:
            RefusedError: it is being pulled.
        """
        _refuse_gguf(name)
        self._refuse_while_pulled(name)
        return await self._switching.use(name, await self._limit(), self._allowed)

    async def remove(self, name: str) -> dict[str, Any]:
        """Delete a pulled model; its adapters stay, for it may be pulled again.

        Raises:
            RefusedError: it serves, is being pulled, or is not gardener's to delete.
            NotFoundError: there is none.
        """
        self._refuse_while_pulled(name)
        folders = shelf.removable(name, self._home)
        if shelf.same(name, self._base.name, self._home):
            raise RefusedError(
                f"{name} serves", hint="let another serve first: gardenerctl model use seedling"
            )
        freed = await asyncio.to_thread(shelf.remove, folders, self._home)
        return {
            "message": f"{name} is removed; {_size(freed)} are free again",
            "name": name,
            "bytes": freed,
        }

    async def pull(
        self, wanted: PullModel, progress: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Copy a model from the hub, or go on with copying it.

        Raises:
            RefusedError: it is being pulled already, or the name is none of the hub's.
            ModelError: it cannot serve here, or what came is not what the hub promised.
            StorageError: the disk is full.
        """
        _refuse_gguf(wanted.name)
        self._refuse_while_pulled(wanted.name)
        target = shelf.target(wanted.name, self._home)
        self._pulling.add(wanted.name)
        try:
            serves = await asyncio.to_thread(shelf.same, wanted.name, self._base.name, self._home)
            origin = await asyncio.to_thread(read_origin, target)
            job = FetchModel(
                repository=wanted.name,
                revision=wanted.revision,
                target=str(target),
                partial=str(shelf.partial(wanted.name, self._home)),
                endpoint=wanted.endpoint or os.environ.get("HF_ENDPOINT") or HUB,
                token=wanted.token or os.environ.get("HF_TOKEN", ""),
                held=origin.revision if origin else "",
                keep=serves and target.is_dir(),
                largest_bytes=await self._limit(),
                spare_disk_bytes=self._settings.loop.min_free_disk_mb * 1_000_000,
            )

            def show(body: msgspec.Raw) -> None:
                progress(msgspec.to_builtins(msgspec.json.decode(body, type=FetchProgress)))

            fetched = await self._fetcher.call(job, Fetched, on_update=show)
        finally:
            self._pulling.discard(wanted.name)
        return {
            **msgspec.to_builtins(fetched),
            "name": wanted.name,
            "message": _pulled(wanted.name, fetched, serves),
        }

    # --- parts --------------------------------------------------------------------------------

    def _on_disk(self) -> list[dict[str, Any]]:
        names = shelf.names(self._home)
        if not any(shelf.same(name, self._base.name, self._home) for name in names):
            names.append(self._base.name)
        found = [self._listed(name) for name in names]
        for name, size in shelf.partials(self._home).items():
            found.append({**_NOTHING, "name": name, "partial_bytes": size})
        return found

    def _listed(self, name: str) -> dict[str, Any]:
        told = {**_NOTHING, "name": name, "here": True}
        told["serving"] = shelf.same(name, self._base.name, self._home)
        try:
            folder = find_base(name, self._home)
            info = inspect(folder, name=name, digest=False)
            origin = read_origin(folder)
            check(folder)
        except ModelError as error:
            return {**told, "problem": error.message}
        config = read_config(folder)
        return {
            **told,
            "bytes": info.bytes,
            "parameters": info.parameters,
            "serve_bytes": estimate.serving(
                config, info.parameters, bytes_each=fit.whole_bytes(info.bytes)
            ),
            "least_bytes": least_bytes(config, info.parameters, info.bytes),
            "chat": info.chat,
            "fim": info.fim,
            "revision": origin.revision if origin else "",
            "licence": origin.licence if origin else "",
        }

    def _inspected(self, name: str) -> BaseInfo:
        folder = find_base(name, self._home)
        info = inspect(folder, name=name, cache=self._base.fingerprints)
        check(folder)
        return info

    def _described(self, name: str, info: BaseInfo, found: Hardware) -> dict[str, Any]:
        folder = Path(info.folder)
        config = read_config(folder)
        origin = read_origin(folder)
        choice = fit.choose(config, info.parameters, info.bytes, found, self._allowed)
        bytes_each = 2 if found.processor_bfloat16 or found.cuda or found.apple_bytes else 4
        return {
            **msgspec.to_builtins(info),
            "serving": shelf.same(name, self._base.name, self._home),
            "repository": origin.repository if origin else "",
            "revision": origin.revision if origin else "",
            "licence": origin.licence if origin else "",
            "verified": self._verified(folder, origin),
            "device": choice.device,
            "precision": choice.precision,
            "reason": choice.reason,
            "warning": choice.warning,
            "serve_bytes": choice.needed_bytes,
            "train_bytes": estimate.training(config, info.parameters, bytes_each=bytes_each),
            "memory_bytes": found.memory_bytes,
        }

    def _verified(self, folder: Path, origin: Origin | None) -> bool | None:
        """Whether every file is still the one that the hub promised; None: none promised it."""
        if origin is None:
            return None
        for promised in origin.files:
            file = folder / promised.name
            if not file.is_file():
                return False
            # Gigabytes are not read each time.
            kept = promised.sha256 and kept_digest(file, self._base.fingerprints)
            same = kept == promised.sha256 if kept else matches(file, promised)
            if not same:
                return False
        return True

    async def _look(self) -> Hardware:
        """What there is to compute on; what is free now changes, so it is asked each time."""
        self._hardware = await self._fetcher.call(LookAtHardware(), Hardware)
        return self._hardware

    @property
    def _allowed(self) -> int:
        """Bytes that the model worker may hold."""
        return self._settings.model.max_memory_mb * 1_000_000

    async def _limit(self) -> int:
        """Bytes of memory that a model may take. torch is asked where a GPU may have more."""
        if self._hardware is None and NVIDIA.exists():
            await self._look()
        if self._hardware is not None:
            return fit.largest(self._hardware)
        return psutil.virtual_memory().total

    def _refuse_while_pulled(self, name: str) -> None:
        if name in self._pulling:
            raise RefusedError(
                f"{name} is being pulled", hint="wait for it, or interrupt the command that pulls"
            )


_NOTHING: dict[str, Any] = {
    "here": False,
    "serving": False,
    "bytes": None,
    "parameters": None,
    "serve_bytes": None,
    "least_bytes": None,
    "chat": None,
    "fim": None,
    "revision": "",
    "licence": "",
    "partial_bytes": 0,
    "problem": "",
}


def _offered(offer: catalogue.Offer) -> dict[str, Any]:
    return {
        **_NOTHING,
        "name": offer.name,
        "bytes": offer.bytes,
        "parameters": offer.parameters,
        "serve_bytes": catalogue.needs(offer)[0],
        "least_bytes": least_bytes(offer.config, offer.parameters, offer.bytes),
        "chat": True,
        "fim": True,
        "licence": offer.licence,
    }


def _refuse_gguf(name: str) -> None:
    if name.lower().endswith("gguf"):
        raise RefusedError(
            f"{name} is in GGUF, which gardener does not load itself",
            hint="let ollama or a server serve it: see docs/backends.md",
        )


def _pulled(name: str, fetched: Fetched, serves: bool) -> str:
    revision = fetched.revision[:12]
    if not fetched.received and not fetched.replaced:
        return f"{name} is here already, at {revision}"
    said = f"{name} is here, {_size(fetched.bytes)} at {revision}, every digest as promised"
    return said if serves else f"{said}; gardenerctl model use {name}"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.0f} MB"
