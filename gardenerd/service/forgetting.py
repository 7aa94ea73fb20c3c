"""Forgetting a file or a folder: from the index, the examples, the logs and the weights, for good.

That it is forgotten is written down first. From then on nothing new comes of it: the rules leave
it out, no run begins, searches do not show it. Then one place after the other is cleaned, in steps
that may be done again; only when all are done is that written down too. So a crash at any point,
or a client that leaves, changes nothing but the time it takes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gardenerd.errors import GardenerError, NotFoundError, RefusedError, StorageError
from gardenerd.paths import Home
from gardenerd.service import backlog, erasing
from gardenerd.service.following import Following
from gardenerd.service.indexing import Indexing
from gardenerd.service.learning import Learning, Publish
from gardenerd.service.tuning import Tuning
from gardenerd.service.waiting import happens
from gardenerd.settings import Settings
from gardenerd.store.forgotten import Place
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.workers.child import Child

log = logging.getLogger(__name__)

_RETRY_SECONDS = 30.0
_STEPS = (
    "ending the run",
    "looking for its traces",
    "taking them out of the tables",
    "deleting weights and runs",
    "writing the index anew",
    "cleaning the logs",
    "writing the database anew",
)

Body = dict[str, Any]


class Forgetting:
    def __init__(
        self,
        *,
        home: Home,
        settings: Settings,
        stores: Stores,
        indexing: Indexing,
        learning: Learning,
        tuning: Tuning,
        model: Child,
        search: Child,
        publish: Publish,
    ) -> None:
        self._home = home
        self._settings = settings
        self._stores = stores
        self._indexing = indexing
        self._learning = learning
        self._tuning = tuning
        self._model = model
        self._search = search
        self._publish = publish
        self._following = Following()
        self._wake = asyncio.Event()
        self.last_error = ""

    # --- what the operations ask --------------------------------------------------------------

    def find(self, path: str) -> tuple[Project, str]:
        """The project of an absolute path, which need not exist, and the path within it.

        Raises:
            NotFoundError: it is in no project.
            RefusedError: it is a whole project.
        """
        # The folder's links are resolved, the file's own is not: that is how a scan names it.
        given = Path(path)
        resolved = given.parent.resolve() / given.name
        found = self._stores.projects.containing(resolved)
        if found is None:
            raise NotFoundError(f"{resolved} is in no project", hint="see `gardenerctl projects`")
        project, place = found
        if place == ".":
            raise RefusedError(
                f"{resolved} is all of {project.name}",
                hint=f"gardenerctl remove {project.name}",
            )
        return project, place

    async def look(self, path: str) -> Body:
        """What would go if it were forgotten now; changes nothing."""
        project, place = self.find(path)
        traces = await asyncio.to_thread(self._trace, project, place)
        return {
            "project": project.name,
            "path": place,
            "files": traces.files,
            "examples": len(traces.examples),
            "answers": len(traces.answers),
            "adapters": traces.versions,
            "serving": traces.serving,
            "embeddings": traces.embeddings,
        }

    async def forget(self, path: str, on_progress: Callable[[Body], None]) -> Body:
        """Forget a file or folder and wait until nothing of it is left.

        Raises:
            NotFoundError: it is in no project.
            RefusedError: it is a whole project.
            GardenerError: a step failed; it is tried again until all are done.
        """
        project, place = self.find(path)
        name = _name(project.id, place)
        self._stores.forgotten.record(project.id, place, time.time())
        if not self._following.knows(name):
            self._following.begin(name)
        self._wake.set()
        return await self._following.result(name, on_progress)

    def undo(self, path: str) -> Body:
        """Let it be known again.

        Raises:
            NotFoundError: it was not forgotten.
            RefusedError: it is being forgotten, or a folder around it was.
        """
        project, place = self.find(path)
        covering = self._stores.forgotten.covering(project.id, place)
        if covering is not None and covering.path != place:
            raise RefusedError(
                f"all of {covering.path} was forgotten",
                hint=f"gardenerctl forget --undo {project.root / covering.path}",
            )
        if covering is not None and covering.done is None:
            raise RefusedError(f"{place} is being forgotten", hint="try again in a moment")
        self._stores.forgotten.undo(project.id, place)
        self._indexing.rescan(project.id, "something may be known again")
        return {
            "project": project.name,
            "path": place,
            "message": f"{place} may be known again; what was deleted of it does not come back",
        }

    def all(self, named: str | None) -> list[Body]:
        """What was forgotten, oldest first."""
        wanted = self._stores.projects.get(named).id if named else None
        names = {project.id: project.name for project in self._stores.projects.all()}
        return [
            {
                "project": names[place.project],
                "path": place.path,
                "since": place.since,
                "done": place.done,
            }
            for place in self._stores.forgotten.all(wanted)
        ]

    # --- life ---------------------------------------------------------------------------------

    async def work(self) -> None:
        """Forget what is to be forgotten, also what an earlier life left undone, forever."""
        while True:
            self._wake.clear()
            failed = False
            for place in self._stores.forgotten.pending():
                failed = not await self._try(place) or failed
            if not failed:
                self.last_error = ""
            await happens(self._wake, _RETRY_SECONDS if failed else None)

    def close(self) -> None:
        """Those who still wait are told that the daemon stops."""
        self._following.close()

    async def _try(self, place: Place) -> bool:
        name = _name(place.project, place.path)
        try:
            done = await self._finish(place, name)
        except GardenerError as error:
            self._failed(name, error)
        except OSError as error:
            self._failed(name, StorageError(f"{error}", hint="it is tried again by itself"))
        else:
            self._following.end(name, done)
            return True
        return False

    def _failed(self, name: str, error: GardenerError) -> None:
        self.last_error = f"forgetting: {error.message}"
        log.error("forgetting failed", extra={"cause": error.message})
        self._following.fail(name, error)

    async def _finish(self, place: Place, name: str) -> Body:
        stores, path = self._stores, place.path
        project = stores.projects.get(place.project)

        def show(step: int) -> None:
            self._following.show(name, {"step": _STEPS[step], "done": step, "total": len(_STEPS)})

        show(0)
        run = await self._learning.end_run_of(project.id, "what it learned from was forgotten")
        await self._tuning.end_run_of(project.id)
        show(1)
        traces = await asyncio.to_thread(self._trace, project, path)
        show(2)
        said = await asyncio.to_thread(erasing.erase, project, path, traces, stores, time.time())
        if traces.versions:
            log.warning("adapters were forgotten", extra={"versions": traces.versions})
            reason = "what it had learned from was forgotten"
            body = {"project": project.name, "versions": traces.versions, "reason": reason}
            self._publish("adapter", "forgotten", body)
            await self._model.stop()  # it holds their weights
        if traces.embeddings:
            log.warning("embeddings were forgotten", extra={"versions": traces.embeddings})
            await self._search.stop()  # it holds their rows
        show(3)
        await asyncio.to_thread(erasing.delete_weights, project, self._home, stores)
        runs = await asyncio.to_thread(erasing.delete_runs, project, self._home, stores)
        show(4)
        files, chunks = await self._indexing.forget(project, path)
        show(5)
        erasing.erase_answers(project, path, stores)
        lines = await asyncio.to_thread(erasing.erase_log_lines, path, self._home)
        show(6)
        await asyncio.to_thread(stores.database.shred)
        stores.forgotten.finish(project.id, path, time.time())
        log.info("forgotten", extra={"project": project.id, "files": files, "chunks": chunks})
        self._publish("index", "forgotten", {"project": project.name, "files": files})
        return {
            "project": project.name,
            "path": path,
            "since": place.since,
            "removed": {
                "files": files,
                "chunks": chunks,
                "examples": len(traces.examples),
                "answers": len(traces.answers),
                "feedback": said,
                "adapters": traces.versions,
                "embeddings": traces.embeddings,
                "run_folders": runs,
                "log_lines": lines,
            },
            "ended_run": run or None,
            "serving": stores.adapters.serving(project.id),
            "fresh_run": backlog.owes_fresh(project.id, stores),
        }

    def _trace(self, project: Project, place: str) -> erasing.Traces:
        return erasing.trace(project, place, self._stores, self._settings.watch.max_file_bytes)


def _name(project: str, place: str) -> str:
    return f"{project}:{place}"
