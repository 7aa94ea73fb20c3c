"""Hints that files changed, from watchfiles; what they missed, a scan finds.

watchfiles loses events without saying so when the system's queue overflows, stays deaf when a
root is made anew, and dies of a name that is not UTF-8. So everything suspicious becomes a
:class:`RescanNeeded`, and nothing here is trusted to be complete.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from watchfiles import Change, watch

from gardenerd.watch.builtin import VERSION_CONTROL
from gardenerd.watch.filters import RULE_FILES

log = logging.getLogger(__name__)

# Linux queues 16,384 events by default, several for each file: a batch this large may be what is
# left of one that overflowed.
OVERFLOW = 2_000
# How long one quiet wait in watchfiles lasts: the time that a new listener needs to report ready.
_TIMEOUT_MS = 500
# Whether the roots are still the folders that are listened to.
_ROOT_CHECK_S = 5.0
_BACK_OFF_S = 1.0
_MAX_BACK_OFF_S = 300.0
# A listener that lived this long was healthy: the next failure starts from the first delay again.
_STABLE_S = 60.0
# Changes inside .git that change which files there are, or which count.
_GIT_SIGNS = frozenset({".git", ".git/HEAD", ".git/index", ".git/info/exclude", ".git/config"})
# ... and what says that another commit is checked out, which alone changes no file.
_HEAD_LOG = ".git/logs/HEAD"


@dataclass(frozen=True, slots=True)
class Changed:
    """These paths (relative to the project's root) were made, written, renamed or deleted."""

    project: str
    paths: frozenset[str]


@dataclass(frozen=True, slots=True)
class RescanNeeded:
    """Only a scan can tell what changed; its rules must be read anew as well."""

    project: str
    why: str


Notice = Changed | RescanNeeded

_Identity = tuple[int, int] | None


class Watcher:
    """Listens to all roots with one thread and puts what it hears into :attr:`notices`.

    Use from one event loop. ``add`` and ``remove`` replace the listener; the new one is live
    before the old one ends, so that no event falls between.

    Args:
        step_ms: how often events are collected.
        debounce_ms: the longest that watchfiles groups events; our own settling comes after it.
    """

    def __init__(self, *, step_ms: int, debounce_ms: int = 200) -> None:
        self.notices: asyncio.Queue[Notice] = asyncio.Queue()
        self.problem = ""
        """Why changes are not heard now, in words; empty when all is well."""
        self._step_ms = step_ms
        self._debounce_ms = max(debounce_ms, step_ms)
        self._roots: dict[str, Path] = {}
        self._listener: _Listener | None = None
        self._changing = asyncio.Lock()
        self._failures = 0
        self._retry: asyncio.Task[None] | None = None
        self._closed = False

    async def add(self, project: str, root: Path) -> None:
        """Listen to ``root`` (absolute, links resolved) too. Live when this returns, unless
        :attr:`problem` says otherwise; then a scan is asked for."""
        self._roots[project] = root
        await self._replace()
        self.notices.put_nowait(RescanNeeded(project, "it is watched from now on"))

    async def add_all(self, roots: Mapping[str, Path]) -> None:
        """As :meth:`add`, for several at once."""
        if not roots:
            return
        self._roots.update(roots)
        await self._replace()
        self._ask(roots, "it is watched from now on")

    async def remove(self, project: str) -> None:
        """Stop listening to a project. Notices about it may still be in the queue."""
        if self._roots.pop(project, None) is not None:
            await self._replace()

    async def close(self) -> None:
        """Stop, and wait until the thread is gone (about one step)."""
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        async with self._changing:
            if self._listener is not None:
                await self._listener.stop()
                self._listener = None

    async def _replace(self) -> None:
        async with self._changing:
            if self._closed:
                return
            old, self._listener = self._listener, None
            if self._roots:
                new = _Listener(self, dict(self._roots), self._step_ms, self._debounce_ms)
                self._listener = new
                new.start()
                await new.ready.wait()
            if old is not None:
                await old.stop()

    def _ask(self, projects: Iterable[str], why: str) -> None:
        for project in projects:
            self.notices.put_nowait(RescanNeeded(project, why))

    # --- called on the loop by the listener ---------------------------------------------------

    def heard(self, listener: _Listener, notices: list[Notice]) -> None:
        """Something changed. A listener that is being replaced is still heard."""
        for notice in notices:
            if notice.project in self._roots and not self._closed:
                self.notices.put_nowait(notice)
        if listener is self._listener and listener.healthy():
            self._failures = 0
            self.problem = ""

    def roots_changed(self, listener: _Listener, projects: list[str]) -> None:
        """These roots are gone or are other folders than those listened to."""
        if listener is not self._listener or self._closed:
            return
        self._ask(projects, "its folder was moved, deleted or made anew")
        self._again(0.0)

    def failed(self, listener: _Listener, error: Exception) -> None:
        """The listener ended by itself."""
        if listener is not self._listener or self._closed:
            return
        if listener.healthy():
            self._failures = 0
        delay = min(_BACK_OFF_S * 2**self._failures, _MAX_BACK_OFF_S)
        self._failures += 1
        self.problem = _in_words(error)
        log.warning("watching failed", extra={"cause": self.problem, "again_in_s": delay})
        self._ask(self._roots, f"watching failed: {self.problem}")
        self._again(delay)

    def _again(self, delay: float) -> None:
        if self._retry is None or self._retry.done():
            self._retry = asyncio.get_running_loop().create_task(self._restart(delay))

    async def _restart(self, delay: float) -> None:
        await asyncio.sleep(delay)
        self._retry = None
        await self._replace()
        if self._listener is not None and self._listener.error is None:
            self.problem = ""
            self._ask(self._roots, "watching began again")


class _Listener:
    """One thread that listens to a fixed set of roots until it is stopped or fails."""

    def __init__(
        self, owner: Watcher, roots: dict[str, Path], step_ms: int, debounce_ms: int
    ) -> None:
        self.ready = asyncio.Event()
        """Set when the listener hears, or failed to begin."""
        self.error: Exception | None = None
        self._owner = owner
        self._step_ms = step_ms
        self._debounce_ms = debounce_ms
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._ended = asyncio.Event()
        self._began = time.monotonic()
        self._roots = {f"{root}{os.sep}": project for project, root in roots.items()}
        self._identities: dict[str, _Identity] = {}
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        self._stop.set()
        await self._ended.wait()

    def healthy(self) -> bool:
        return time.monotonic() - self._began > _STABLE_S

    # --- in the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._listen()
        except Exception as error:  # noqa: BLE001 - whatever ended it, the owner tries again
            self.error = error
            self._post(self._owner.failed, self, error)
        finally:
            self._post(self.ready.set)
            self._post(self._ended.set)

    def _listen(self) -> None:
        self._identities = {root: _identity(root) for root in self._roots}
        present = [root for root, identity in self._identities.items() if identity is not None]
        if not present:
            self._post(self.ready.set)
            self._wait_for_roots()
            return
        next_check = time.monotonic() + _ROOT_CHECK_S
        for changes in watch(
            *present,
            watch_filter=None,
            debounce=self._debounce_ms,
            step=self._step_ms,
            stop_event=self._stop,
            rust_timeout=_TIMEOUT_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            ignore_permission_denied=True,
        ):
            if not self.ready.is_set():
                self._post(self.ready.set)
            if changes:
                notices = self._sort(changes)
                if notices:
                    self._post(self._owner.heard, self, notices)
            if time.monotonic() >= next_check:
                self._check_roots()
                next_check = time.monotonic() + _ROOT_CHECK_S

    def _wait_for_roots(self) -> None:
        while not self._stop.wait(_ROOT_CHECK_S):
            self._check_roots()

    def _check_roots(self) -> None:
        changed = [
            project
            for root, project in self._roots.items()
            if _identity(root) != self._identities[root]
        ]
        if changed:
            self._post(self._owner.roots_changed, self, changed)

    def _sort(self, changes: Iterable[tuple[Change, str]]) -> list[Notice]:
        found: dict[str, set[str]] = {}
        rescans: dict[str, str] = {}
        for change, path in changes:
            place = self._place(path)
            if place is None:
                continue
            project, inner = place
            if inner == "":
                rescans[project] = "its folder itself changed"
                if change is Change.deleted:
                    # one made anew at once may even have the same inode, and is not listened to
                    self._post(self._owner.roots_changed, self, [project])
                else:
                    self._check_roots()
            elif inner in _GIT_SIGNS:
                rescans[project] = f"{inner} changed"
            elif inner != _HEAD_LOG and not VERSION_CONTROL.isdisjoint(inner.split("/")):
                continue
            elif inner.rpartition("/")[2] in RULE_FILES:
                rescans[project] = f"{inner} changed"
            else:
                found.setdefault(project, set()).add(inner)
        for project, inner_paths in found.items():
            if len(inner_paths) >= OVERFLOW:
                rescans[project] = f"{len(inner_paths):,} changes at once"
        notices: list[Notice] = [RescanNeeded(project, why) for project, why in rescans.items()]
        notices += [
            Changed(project, frozenset(inner_paths))
            for project, inner_paths in found.items()
            if project not in rescans
        ]
        return notices

    def _place(self, path: str) -> tuple[str, str] | None:
        for root, project in self._roots.items():
            if path.startswith(root):
                return project, path[len(root) :].rstrip("/")
            if path == root[:-1]:
                return project, ""
        return None

    def _post(self, call: object, *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)  # pyright: ignore[reportArgumentType]
        except RuntimeError:
            # the loop is closed: nobody is left to tell
            self._stop.set()


def _identity(root: str) -> _Identity:
    try:
        status = os.stat(root)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _in_words(error: Exception) -> str:
    text = str(error)
    if "watch limit" in text or "no space left" in text.lower():
        return (
            "the system's limit of watched folders is reached (not the disk); "
            "raise fs.inotify.max_user_watches"
        )
    return text or type(error).__name__
