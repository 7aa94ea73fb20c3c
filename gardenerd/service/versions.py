"""The adapter versions of a project: going back, keeping, letting go."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from gardenerd.errors import RefusedError
from gardenerd.paths import Home
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores

log = logging.getLogger(__name__)


def roll_back(project: Project, version: str | None, stores: Stores) -> dict[str, str]:
    """Serve ``version`` (``base`` for none; None: what served before), at once.

    Raises:
        NotFoundError: no such version.
        RefusedError: it is damaged, or the base serves already.
    """
    serving = stores.adapters.serving(project.id)
    if version is None and serving is None:
        raise RefusedError(
            f"the base serves {project.name}; there is nothing to roll back",
            hint="see `gardenerctl adapters`",
        )
    target = stores.adapters.previous(project.id) if version is None else version
    fall_back(project.id, None if target == "base" else target, stores, time.time())
    now, before = target or "base", serving or "base"
    log.info("rolled back", extra={"project": project.id, "from": before, "to": now})
    return {
        "message": f"{project.name} is served by {now} (before: {before})",
        "version": now,
        "previous": before,
    }


def fall_back(project: str, version: str | None, stores: Stores, now: float) -> None:
    """Serve an earlier ``version`` (None: the base). The challenger, which grew from what is not
    wanted, goes.

    Raises:
        NotFoundError: no such version.
        RefusedError: it is damaged, or a challenger.
    """
    with stores.database.transaction():
        stores.adapters.serve(project, version, now)
        stores.adapters.drop_challenger(project)


def remove(project: Project, version: str, home: Home, stores: Stores) -> None:
    """Give up a version and its files.

    Raises:
        NotFoundError: no such version.
        RefusedError: it serves, or is pinned.
    """
    stores.adapters.remove(project.id, version)
    sweep(home, stores)


def sweep(home: Home, stores: Stores) -> None:
    """Remove adapter folders that no row names, mark rows whose folder is gone."""
    named = {(a.project, a.version) for a in stores.adapters.all()}
    for folder in home.adapters.glob("*/*"):
        if (folder.parent.name, folder.name) not in named:
            log.info("removing an unfinished adapter", extra={"folder": folder.name})
            shutil.rmtree(folder, ignore_errors=True)
    for project, version in named:
        if not _complete(home.adapter(project, version)):
            log.error("an adapter is missing", extra={"version": version})
            stores.adapters.mark_damaged(project, version)


def _complete(folder: Path) -> bool:
    return (folder / "adapter_model.safetensors").is_file() and (folder / "card.json").is_file()
