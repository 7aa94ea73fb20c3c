"""Keeps what the index knows of each project's commits equal to the history of its checkout.

What it is made of (the commit that is checked out, and what was forgotten) names the file, so one
look at git and one at the folder tell whether it is right. It is looked at whenever a project is;
git itself is read by the index worker, beside the indexing of files, which waits for none of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from gardenerd.errors import GardenerError, StorageError
from gardenerd.host.subjects import head
from gardenerd.index.generation import subjects_file, subjects_folder
from gardenerd.paths import Home
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import Done, ReadSubjects

log = logging.getLogger(__name__)

_TRIES = 3
_RETRY_SECONDS = 1.0


class Histories:
    """``followed`` is called when one was looked at."""

    def __init__(
        self, *, home: Home, stores: Stores, index: Child, followed: Callable[[], None]
    ) -> None:
        self._home = home
        self._folder = subjects_folder(home.index)
        self._stores = stores
        self._index = index
        self._followed = followed
        self._wanted: dict[str, Project] = {}
        self._current = ""
        self._wake = asyncio.Event()
        # Held while a file is made: what is dropped meanwhile must not come back by it.
        self._step = asyncio.Lock()

    def want(self, project: Project) -> None:
        """Its history may have gone on, or something was forgotten."""
        self._wanted[project.id] = project
        self._wake.set()

    def busy(self, project: str) -> bool:
        """Whether it has yet to be looked at."""
        return project in self._wanted or project == self._current

    async def drop(self, project: str) -> None:
        """Delete what is known of a project's commits, also what is being made.

        Raises:
            StorageError: it cannot be deleted.
        """
        async with self._step:
            await asyncio.to_thread(self._delete, project)

    async def renew(self, project: Project) -> None:
        """Drop what is known of its commits and have it made anew, without what was forgotten.

        Raises:
            StorageError: it cannot be deleted.
        """
        await self.drop(project.id)
        self.want(project)

    async def work(self) -> None:
        """Follow what is wanted, forever. Nothing that goes wrong here ends the daemon."""
        try:
            await asyncio.to_thread(
                self._delete_others, {project.id for project in self._stores.projects.all()}
            )
        except StorageError as error:
            log.warning("left of earlier projects", extra={"cause": error.message})
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._wanted:
                self._current = next(iter(self._wanted))
                project = self._wanted.pop(self._current)
                try:
                    await self._try(project)
                finally:
                    self._current = ""
                    self._followed()

    async def _try(self, project: Project) -> None:
        for tries_left in reversed(range(_TRIES)):
            try:
                async with self._step:
                    await self._follow(project)
            except (GardenerError, OSError) as error:
                # The next look at the project tries again.
                log.warning("a history was not read", extra={"cause": str(error)})
                if tries_left:
                    await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def _follow(self, project: Project) -> None:
        if all(project.id != known.id for known in self._stores.projects.all()):
            return  # removed meanwhile
        commit = await head(project.root)
        if commit is None:
            await asyncio.to_thread(self._delete, project.id)
            return
        left_out = sorted(place.path for place in self._stores.forgotten.all(project.id))
        target = subjects_file(self._home.index, project.id, commit, left_out)
        if await asyncio.to_thread(target.exists):
            return
        job = ReadSubjects(
            project=project.id,
            root=project.path,
            commit=commit,
            left_out=left_out,
            target=str(target),
        )
        await self._index.call(job, Done)

    def _delete(self, project: str) -> None:
        self._unlink(self._folder.glob(f"*{project}-*"))

    def _delete_others(self, known: Collection[str]) -> None:
        """What is of none of these projects, which a crash may have left."""
        named = tuple(f"{project}-" for project in known)
        self._unlink(each for each in self._folder.glob("*") if not each.name.startswith(named))

    def _unlink(self, files: Iterable[Path]) -> None:
        try:
            for each in files:
                each.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot delete what was kept of commits: {error.strerror}",
                hint=f"stop the daemon and delete {self._folder}",
            ) from error
