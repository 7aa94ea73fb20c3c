"""The models on this machine's disk. Light."""

from __future__ import annotations

import shutil
from pathlib import Path

from gardenerd.errors import ModelError, NotFoundError, RefusedError, StorageError
from gardenerd.models.info import find_base
from gardenerd.paths import Home

_PARTS = ".pulling"


def names(home: Home) -> list[str]:
    """What ``model.base`` can name without a path: the embedded one, then those of the home."""
    found = [
        folder.parent.relative_to(home.models).as_posix()
        for pattern in ("*/config.json", "*/*/config.json")
        for folder in home.models.glob(pattern)
        if not folder.relative_to(home.models).parts[0].startswith(".")
    ]
    return ["seedling", *sorted(found, key=str.lower)]


def target(name: str, home: Home) -> Path:
    """Where the pulled model ``name`` stands.

    Raises:
        RefusedError: the name is none of the hub's.
    """
    parts = name.split("/")
    if len(parts) > 2 or not all(_plain(part) for part in parts):
        raise RefusedError(
            f"{name!r} is no name of a model on the hub",
            hint="such as Qwen/Qwen2.5-Coder-0.5B-Instruct; see `gardenerctl model list`",
        )
    return home.models / name


def partial(name: str, home: Home) -> Path:
    """Where it stands while it is pulled."""
    return home.models / _PARTS / name.replace("/", "--")


def partials(home: Home) -> dict[str, int]:
    """Models that were pulled in part, with the bytes that are there."""
    return {
        folder.name.replace("--", "/", 1): folder_bytes(folder)
        for folder in sorted((home.models / _PARTS).glob("*"))
        if folder.is_dir()
    }


def removable(name: str, home: Home) -> list[Path]:
    """The folders of a pulled model, and of what a broken pull left of it.

    Raises:
        RefusedError: it is embedded, or a folder of the user's own.
        NotFoundError: there is no such model.
    """
    if name == "seedling":
        raise RefusedError(
            "the seedling is part of the installation and stays",
            hint="see `gardenerctl model list`",
        )
    if Path(name).expanduser().is_absolute() or name.startswith("."):
        raise RefusedError(
            f"{name} is a folder of your own, which gardener never deletes",
            hint="models that were pulled are named as `gardenerctl model list` does",
        )
    folders = [target(name, home)] if name in names(home) else []
    if partial(name, home).is_dir():
        folders.append(partial(name, home))
    if not folders:
        raise NotFoundError(f"there is no model {name!r}", hint="see `gardenerctl model list`")
    return folders


def remove(folders: list[Path], home: Home) -> int:
    """Delete what :func:`removable` gave; gives the bytes that are free now.

    Raises:
        StorageError: it cannot be deleted.
    """
    freed = sum(folder_bytes(folder) for folder in folders)
    try:
        for folder in folders:
            shutil.rmtree(folder)
        for parent in {folder.parent for folder in folders} - {home.models}:
            if not any(parent.iterdir()):
                parent.rmdir()
    except OSError as error:
        raise StorageError(
            f"cannot delete {folders[0]}: {error.strerror}", hint="check its permissions"
        ) from error
    return freed


def same(one: str, other: str, home: Home) -> bool:
    """Whether two names mean the same folder."""
    try:
        return find_base(one, home).resolve() == find_base(other, home).resolve()
    except ModelError:
        return one == other


def folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _plain(part: str) -> bool:
    known = part.replace("-", "").replace("_", "").replace(".", "")
    return bool(known) and known.isascii() and known.isalnum() and not part.startswith((".", "-"))
