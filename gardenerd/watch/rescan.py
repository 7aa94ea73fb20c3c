"""What is on the disk now, and how it differs from what is known: the truth behind the watcher.

A scan reads names and stats, never contents; 100,000 files take well under a second.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from gardenerd.errors import CancelledError
from gardenerd.store.files import Known, Stat
from gardenerd.watch.filters import Filter, Folder
from gardenerd.watch.roots import signed

# A file changed this shortly before its stat may change again within the same tick of the file
# system's clock (2 s on FAT, 1 s on HFS+, 4 ms on ext4) without looking different afterwards.
_RACY_NS = 2_000_000_000
_TOLD = 20


@dataclass(slots=True)
class Scan:
    """What a look at the disk found."""

    covers: list[str]
    """The files and folders that were looked at, relative to the root; ``""`` is the root."""
    files: list[Stat] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """Folders (ending with ``/``) and files that could not be looked at: nothing is known of what
    is there, so nothing there counts as deleted."""
    excluded: int = 0
    """Files and folders left out by the rules."""
    too_large: int = 0
    bad_names: list[str] = field(default_factory=list)
    """The first names that are not UTF-8, printable; such files cannot be indexed."""
    bad_name_count: int = 0
    seconds: float = 0.0

    def left_out(self) -> list[str]:
        """What is not in the index for reasons of its own, in words."""
        notes: list[str] = []
        if self.bad_name_count:
            notes.append(f"{self.bad_name_count} names that are not UTF-8")
        if self.too_large:
            notes.append(f"{self.too_large} files over the size limit")
        return notes


@dataclass(frozen=True, slots=True)
class Changes:
    """How the disk differs from the table of files."""

    changed: list[Stat]
    gone: list[str]

    def __bool__(self) -> bool:
        return bool(self.changed or self.gone)


def scan(
    rules: Filter, paths: Iterable[str] = ("",), *, stop: Callable[[], bool] = lambda: False
) -> Scan:
    """Look at ``paths`` and all below them; the default is the whole project.

    Follows no link and stays on the root's file system. Blocks: run it in a thread.

    Args:
        rules: what is left out.
        paths: files or folders, relative to the root with ``/``. One that is gone or left out
            appears in ``covers`` alone, and :func:`diff` finds it gone.
        stop: asked once for each folder.

    Raises:
        CancelledError: ``stop`` said so.
        OSError: the root itself cannot be looked at (see :mod:`gardenerd.watch.roots`).
    """
    started = time.monotonic()
    found = Scan(covers=_outermost(paths))
    walk = _Walk(rules, found, stop)
    for path in found.covers:
        walk.path(path)
    found.seconds = time.monotonic() - started
    return found


def diff(found: Scan, known: Mapping[str, Known]) -> Changes:
    """Compare a scan with ``Files.known(project, found.covers)``."""
    changed: list[Stat] = []
    seen: set[str] = set()
    for file in found.files:
        seen.add(file.path)
        before = known.get(file.path)
        if before is None or before != (file[1], file[2], file[3], file[4], True, False):
            changed.append(file)
    folders = tuple(path for path in found.unreadable if path.endswith("/"))
    files = frozenset(found.unreadable)
    gone = [
        path
        for path, before in known.items()
        if path not in seen
        and not before.removing
        and path not in files
        and not (folders and path.startswith(folders))
    ]
    return Changes(changed, gone)


class _Walk:
    def __init__(self, rules: Filter, found: Scan, stop: Callable[[], bool]) -> None:
        self._rules = rules
        self._found = found
        self._stop = stop
        self._root = str(rules.root)
        self._device = os.stat(self._root).st_dev  # noqa: PTH116 - os functions throughout: speed
        # the wall clock: file times are compared with it
        self._racy_after = time.time_ns() - _RACY_NS

    def path(self, path: str) -> None:
        if path == "":
            if not self._rules.top.reason:
                self._folders(self._rules.top)
            return
        if not _is_utf8(path):
            self._bad_name(path)
            return
        if any(os.path.islink(f"{self._root}/{parent}") for parent in _parents(path)):  # noqa: PTH114
            return  # what lies behind a link is not part of the project
        # All that is heard of a folder that moved is its name: it may bring or take away rules.
        self._rules.forget(path)
        try:
            status = os.lstat(f"{self._root}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            self._found.unreadable += [path, f"{path}/"]
            return
        folder = stat.S_ISDIR(status.st_mode)
        if self._rules.explain(path, folder=folder) is not None:
            self._found.excluded += 1
        elif folder and status.st_dev == self._device:
            self._folders(self._rules.folder(path))
        elif stat.S_ISREG(status.st_mode):
            self._file(path, status)

    def _folders(self, first: Folder) -> None:
        pending = [first]
        while pending:
            if self._stop():
                raise CancelledError("the scan was stopped")
            folder = pending.pop()
            try:
                with os.scandir(f"{self._root}/{folder.path}") as entries:
                    self._entries(folder, entries, pending)
            except (FileNotFoundError, NotADirectoryError):
                if folder.path == "":
                    raise
            except OSError:
                if folder.path == "":
                    raise
                self._found.unreadable.append(folder.path)

    def _entries(
        self, folder: Folder, entries: Iterable[os.DirEntry[str]], pending: list[Folder]
    ) -> None:
        found = self._found
        for entry in entries:
            name = entry.name
            if not name.isascii() and not _is_utf8(name):
                self._bad_name(folder.path + name)
            elif entry.is_file(follow_symlinks=False):
                if folder.excludes_file(name) is not None:
                    found.excluded += 1
                    continue
                path = folder.path + name
                try:
                    self._file(path, entry.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue  # deleted since the folder was read
                except OSError:
                    found.unreadable.append(path)
            elif entry.is_dir(follow_symlinks=False):
                self._subfolder(folder, entry, pending)

    def _subfolder(self, folder: Folder, entry: os.DirEntry[str], pending: list[Folder]) -> None:
        if folder.excludes_folder(entry.name) is not None:
            self._found.excluded += 1
            return
        try:
            if entry.stat(follow_symlinks=False).st_dev != self._device:
                self._found.excluded += 1
                return
        except FileNotFoundError:
            return
        except OSError:
            self._found.unreadable.append(f"{folder.path}{entry.name}/")
            return
        inner = folder.enter(entry.name)
        if inner.reason:
            self._found.excluded += 1
        else:
            pending.append(inner)

    def _file(self, path: str, status: os.stat_result) -> None:
        if status.st_size > self._rules.max_file_bytes:
            self._found.too_large += 1
            return
        racy = max(status.st_mtime_ns, status.st_ctime_ns) > self._racy_after
        self._found.files.append(
            Stat(
                path,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
                signed(status.st_ino),
                racy,
            )
        )

    def _bad_name(self, path: str) -> None:
        self._found.bad_name_count += 1
        if len(self._found.bad_names) < _TOLD:
            self._found.bad_names.append(path.encode("utf-8", "backslashreplace").decode())


def _outermost(paths: Iterable[str]) -> list[str]:
    """Without the paths that lie below another of them."""
    kept: list[str] = []
    chosen: set[str] = set()
    for path in sorted(set(paths)):
        if path == "":
            return [""]
        if not any(parent in chosen for parent in _parents(path)):
            kept.append(path)
            chosen.add(path)
    return kept


def _parents(path: str) -> Iterable[str]:
    place = path.find("/")
    while place >= 0:
        yield path[:place]
        place = path.find("/", place + 1)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
