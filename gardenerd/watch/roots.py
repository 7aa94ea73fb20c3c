"""Which folders may be tended, and whether one that is tended is still itself."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gardenerd.errors import NotFoundError, RefusedError

Kind = Literal["ok", "gone", "unreadable", "empty", "replaced"]


@dataclass(frozen=True, slots=True)
class RootState:
    """Whether what is found at a project's path may be believed."""

    kind: Kind
    reason: str = ""
    device: int = 0
    inode: int = 0

    @property
    def frozen(self) -> bool:
        """Nothing of the project may be removed: its files are out of reach, not deleted."""
        return self.kind != "ok"


def check_root(path: str | Path, existing: Iterable[Path], home: Path) -> Path:
    """The folder to tend, absolute and with links resolved.

    Args:
        path: as the user gave it; a leading ``~`` is understood.
        existing: roots that are tended already, resolved.
        home: gardener's own home.

    Raises:
        NotFoundError: there is nothing at ``path``.
        RefusedError: it is no folder that can or should be tended.
    """
    given = Path(path)
    try:
        root = given.expanduser().resolve(strict=True)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"{given} does not exist", hint="check the spelling; a folder is expected"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        # a loop of links, no permission on the way, an unknown ~user, a null byte
        raise RefusedError(
            f"{given} cannot be reached: {error}", hint="name a folder that you can read"
        ) from error
    if not root.is_dir():
        raise RefusedError(f"{root} is not a folder", hint=f"add the folder: {root.parent}")
    _refuse_unreadable(root)
    _refuse_too_wide(root)
    _refuse_own(root, home)
    for other in existing:
        _refuse_overlap(root, other)
    return root


def root_state(root: Path, device: int, inode: int, *, had_files: bool) -> RootState:
    """Compare ``root`` with the folder scanned before (``device``, ``inode``; 0: never).

    A folder made anew on the same file system is believed: it is what the user sees. One on
    another file system, or one that lost everything at once, looks like a volume that is not
    mounted.
    """
    try:
        status = root.stat()
        with os.scandir(root) as entries:
            empty = next(entries, None) is None
    except (FileNotFoundError, NotADirectoryError):
        return RootState(
            "gone", f"{root} does not exist now; it will be followed again when it does"
        )
    except OSError as error:
        return RootState("unreadable", f"{root} cannot be read: {error.strerror}")
    found = (status.st_dev, signed(status.st_ino))
    if empty and had_files:
        return RootState("empty", f"{root} is empty now, as if its volume were not mounted", *found)
    # device numbers alone change with each boot
    if inode and found[0] != device and found[1] != inode:
        return RootState(
            "replaced",
            f"{root} is on another volume than before; gardenerctl rescan accepts it",
            *found,
        )
    return RootState("ok", "", *found)


def signed(number: int) -> int:
    """An inode or device number as SQLite holds it: some file systems use all 64 bits."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _refuse_unreadable(root: Path) -> None:
    try:
        with os.scandir(root) as entries:
            next(entries, None)
        allowed = os.access(root, os.R_OK | os.X_OK)
    except OSError:
        allowed = False
    if not allowed:
        raise RefusedError(
            f"{root} cannot be read",
            hint="give yourself permission, or on a Mac allow it under Privacy & Security, "
            "Files and Folders",
        )


def _refuse_too_wide(root: Path) -> None:
    if root == Path(root.anchor):
        raise RefusedError("the root folder is not a project", hint="add one project's folder")
    user = Path.home().resolve()
    if root == user:
        raise RefusedError(
            f"{root} is your home folder, not a project", hint="add one project's folder in it"
        )
    if user.is_relative_to(root):
        raise RefusedError(
            f"{root} holds your home folder, it is not a project", hint="add one project's folder"
        )


def _refuse_own(root: Path, home: Path) -> None:
    own = home.resolve()
    if root.is_relative_to(own):
        raise RefusedError(
            f"{root} is inside gardener's own home {own}", hint="add a folder of your own code"
        )


def _refuse_overlap(root: Path, other: Path) -> None:
    if root == other:
        raise RefusedError(f"{root} is tended already", hint="see gardenerctl projects")
    if root.is_relative_to(other):
        raise RefusedError(
            f"{root} is inside the project {other}, which is tended already",
            hint=f"nothing to do; or remove that project first: gardenerctl remove {other.name}",
        )
    if other.is_relative_to(root):
        raise RefusedError(
            f"{root} holds the project {other}, which is tended already",
            hint=f"remove that project first: gardenerctl remove {other.name}",
        )
