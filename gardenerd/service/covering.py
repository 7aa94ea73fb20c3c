"""Whether a file is in the index, and if not, why: what `gardenerctl why` tells."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gardenerd.core.holdout import held_out
from gardenerd.errors import NotFoundError
from gardenerd.store import forgotten
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.watch.filters import Filter


def explain(path: Path, stores: Stores, rules_of: Callable[[Project], Filter]) -> dict[str, Any]:
    """The state of one file and its reason, by the disk, the rules and the table, in that order.

    Blocks: it looks at the disk.

    Raises:
        NotFoundError: the file is in no project.
    """
    # The folder's links are resolved, the file's own is not: a link is left out as one.
    path = path.parent.resolve() / path.name
    found = stores.projects.containing(path)
    if found is None:
        raise NotFoundError(
            f"{path} is in no project", hint="see `gardenerctl projects`; add its folder"
        )
    project, relative = found
    state, reason = _state(path, project, relative, stores, rules_of)
    row = stores.files.state(project.id, relative)
    standing = [each for each, _ in stores.files.indexed(project.id)]
    return {
        "path": relative,
        "project": project.name,
        "state": state,
        "reason": reason,
        "chunks": row.chunks if row is not None and state in ("indexed", "pending") else 0,
        "indexed": row.indexed if row is not None and row.indexed else None,
        "examples": stores.examples.count_of(project.id, relative),
        "held_out": relative in held_out(standing),
    }


def _state(
    path: Path,
    project: Project,
    relative: str,
    stores: Stores,
    rules_of: Callable[[Project], Filter],
) -> tuple[str, str]:
    if (place := stores.forgotten.covering(project.id, relative)) is not None:
        return "excluded", forgotten.reason(project, place)
    known = stores.projects.get(project.id)
    if known.state == "frozen":
        return "frozen", f"the whole project is: {known.reason}"
    try:
        entry = path.lstat()
    except OSError as error:
        return "missing", error.strerror or str(error)
    rules = rules_of(project)
    folder = stat.S_ISDIR(entry.st_mode)
    excluded = rules.explain(relative, folder=folder) if relative else None
    if excluded is not None:
        return "excluded", excluded
    if folder:
        return "folder", "its files are indexed, but for those that are left out by name"
    if not stat.S_ISREG(entry.st_mode):
        return "excluded", "a symbolic link" if path.is_symlink() else "not a regular file"
    if (large := rules.explain_size(entry.st_size)) is not None:
        return "excluded", large
    if not os.access(path, os.R_OK):
        return "failed", "its permissions do not let it be read"
    row = stores.files.state(project.id, relative)
    if row is None or row.state == "pending":
        return "pending", "the index has not come to it yet"
    if (row.size, row.mtime_ns) != (entry.st_size, entry.st_mtime_ns):
        return "pending", "it changed after it was indexed"
    if row.state == "indexed" and not row.chunks:
        return "indexed", "it holds no word to be found by"
    return row.state, row.reason
