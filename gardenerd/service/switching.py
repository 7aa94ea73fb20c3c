"""Another base model, without a restart of the daemon.

The order makes a crash harmless: ``config.toml`` is written first; what the table of single values
names is the base that the adapters in service fit, so the next start sees that they differ and
does the rest.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from gardenerd import durable
from gardenerd.errors import GardenerError, RefusedError
from gardenerd.models import shelf
from gardenerd.models.check import check, require_room
from gardenerd.models.info import BaseInfo, find_base, inspect
from gardenerd.paths import Home
from gardenerd.service.base import CHANGED, NAME, BaseInUse
from gardenerd.service.learning import Learning
from gardenerd.settings import with_value
from gardenerd.store.stores import Stores

log = logging.getLogger(__name__)


class Switching:
    def __init__(self, *, home: Home, stores: Stores, base: BaseInUse, learning: Learning) -> None:
        self._home = home
        self._stores = stores
        self._base = base
        self._learning = learning

    async def adopt(self) -> None:
        """At start: was ``model.base`` changed while no daemon ran?

        A base that cannot be read is left for ``status`` to tell.
        """
        known = self._stores.meta.get(NAME)
        if known == self._base.name:
            return
        if known is None and not self._stores.adapters.all():
            self._stores.meta.set(NAME, self._base.name)
            return
        try:
            info = await asyncio.to_thread(self._base.info)
        except GardenerError as error:
            log.warning("the base model cannot be read", extra={"cause": error.message})
            return
        self._change(info, known)

    async def use(self, name: str, limit: int, allowed: int) -> dict[str, Any]:
        """Let the base ``name`` serve from the next request on. A run under way ends: it would
        train for the base that is left.

        Args:
            limit: bytes of memory that there are.
            allowed: ... and that the model worker may hold.

        Raises:
            ModelError: there is none, it is damaged, or will not fit in memory.
            SettingsError: ``config.toml`` could not be changed.
        """
        if await asyncio.to_thread(shelf.same, name, self._base.name, self._home):
            return {"message": f"{self._base.name} serves already", "changed": False}
        info = await asyncio.to_thread(self._checked, name, limit, allowed)
        text = await asyncio.to_thread(self._config, name)
        ended: list[str] = []
        while self._learning.loop.busy:
            run, project = self._learning.loop.run, self._learning.loop.project
            await self._learning.end_run_of(project, f"the base model was changed to {name}")
            ended.append(run)
        # From here to the end nothing is awaited: no run and no answer comes between.
        durable.write_file(self._home.config, text.encode())
        before, self._base.name = self._base.name, name
        back = self._change(info, before)
        waiting = sum(bool(adapter.waits) for adapter in self._stores.adapters.all())
        return {
            "message": _told(name, before, back, waiting, ended),
            "changed": True,
            "base": name,
            "before": before,
            "serving": back,
            "waiting": waiting,
            "ended": ended,
        }

    def _checked(self, name: str, limit: int, allowed: int) -> BaseInfo:
        folder = find_base(name, self._home)
        check(folder)
        require_room(folder, name, limit, allowed)
        return inspect(folder, name=name, cache=self._base.fingerprints)

    def _config(self, name: str) -> str:
        file = self._home.config
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            raise RefusedError(f"cannot read {file}: {error}", hint="check the file") from error
        return with_value(text, "model", "base", name)

    def _change(self, info: BaseInfo, before: str | None) -> dict[str, str]:
        """Adapters follow the base; gives those that serve again, by project."""
        now = time.time()
        back: dict[str, str] = {}
        with self._stores.database.transaction():
            self._stores.adapters.change_base(info.fingerprint, now)
            for project in self._stores.projects.all():
                version = self._stores.adapters.serving(project.id)
                if version is not None:
                    back[project.name] = version
                elif self._stores.adapters.challenger(project.id) is None:
                    self._stores.examples.learn_anew(project.id)
            self._stores.meta.set(NAME, self._base.name)
            self._stores.meta.set(CHANGED, str(now))
        log.info("base changed", extra={"base": self._base.name, "before": before})
        return back


def _told(name: str, before: str, back: dict[str, str], waiting: int, ended: list[str]) -> str:
    parts = [f"{name} serves from the next request on (before: {before})"]
    if ended:
        parts.append(f"run {', '.join(ended)} was ended")
    if back:
        serving = ", ".join(f"{version} of {project}" for project, version in back.items())
        parts.append(f"its adapters are back: {serving}")
    if waiting:
        kept = f"{waiting} adapter{'s' * (waiting > 1)} of another base"
        parts.append(f"{kept} kept until that serves again")
        if not back:
            parts.append("a first run is due")
    return "; ".join(parts)
