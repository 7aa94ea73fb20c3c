"""The tuned versions of a project's embedding: which serves, going back, letting go."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from gardenerd.errors import RefusedError
from gardenerd.paths import Home
from gardenerd.store.embeddings import Embedding
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.workers.tuned import TunedRef

log = logging.getLogger(__name__)

TUNABLE = "embedded"
"""The setting ``index.embedding`` of the model that is tuned: the packaged one."""
PACKAGED = "packaged"
"""What the untuned embedding is called, as ``base`` is for adapters."""


def references(projects: Iterable[Project], home: Home, stores: Stores) -> list[TunedRef]:
    """What embeds the queries to these projects, of those that do not have the packaged one."""
    wanted = {project.id for project in projects}
    return [
        reference(found, home)
        for found in stores.embeddings.in_service()
        if found.project in wanted
    ]


def reference(found: Embedding, home: Home) -> TunedRef:
    """Where a version is, and what it must be."""
    file = home.embedding(found.project, found.version)
    return TunedRef(project=found.project, file=str(file), fingerprint=found.fingerprint)


def give_up(unusable: Mapping[str, str], asked: Iterable[TunedRef], stores: Stores) -> None:
    """Let the packaged one serve projects whose version could not be used.

    Args:
        unusable: by project the cause.
        asked: what was to be used; if something else serves by now, nothing is done.
    """
    for ref in asked:
        if ref.project not in unusable:
            continue
        for found in stores.embeddings.in_service():
            if (found.project, found.fingerprint) == (ref.project, ref.fingerprint):
                cause = unusable[ref.project]
                stores.embeddings.mark_damaged(found.project, found.version, cause)
                log.error("the packaged embedding serves", extra={"version": found.version})


def roll_back(project: Project, version: str | None, stores: Stores) -> dict[str, str]:
    """Let ``version`` serve (``packaged`` for none; None: what served before), at once.

    Raises:
        NotFoundError: no such version is kept.
        RefusedError: the packaged one serves already.
    """
    serving = stores.embeddings.serving(project.id)
    if version is None and serving is None:
        raise RefusedError(
            f"the packaged embedding serves {project.name}; there is nothing to roll back",
            hint="see `gardenerctl embedding`",
        )
    wanted = stores.embeddings.previous(project.id) if version is None else version
    target = None if wanted == PACKAGED else wanted
    stores.embeddings.serve(project.id, target)
    now, before = target or PACKAGED, serving or PACKAGED
    log.info("embedding rolled back", extra={"project": project.id, "from": before, "to": now})
    return {
        "message": f"queries to {project.name} are embedded by {now} (before: {before})",
        "version": now,
        "previous": before,
    }


def told(found: Embedding, project: str) -> dict[str, Any]:
    """A version as clients see it, with the name of its project."""
    return {
        **found.report,
        "version": found.version,
        "project": project,
        "state": found.state,
        "created": found.created,
        "reason": found.reason,
        "serving": found.state == "serving",
        "kept": found.kept,
        "fingerprint": found.fingerprint,
    }


def sweep(home: Home, stores: Stores) -> None:
    """Remove files that no version in service or to go back to has; give up versions that lost
    theirs."""
    kept = {(e.project, e.version) for e in stores.embeddings.all() if e.kept}
    files = {home.embedding(*each) for each in kept}
    if home.embeddings.is_dir():
        for path in home.embeddings.glob("*/*"):
            if path not in files:
                log.info("removing an unfinished embedding", extra={"file": path.name})
                path.unlink(missing_ok=True)
    for project, version in kept:
        if not home.embedding(project, version).is_file():
            log.error("a tuned embedding is missing", extra={"version": version})
            stores.embeddings.mark_damaged(project, version, "its file is missing")


def delete(project: str, home: Home) -> None:
    """Delete all files of a project's versions."""
    shutil.rmtree(home.embeddings / project, ignore_errors=True)
