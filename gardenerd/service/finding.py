"""What the index finds, for a search, a question or a completion, and how sure one can be of it."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Literal

import msgspec

from gardenerd.errors import IndexUnavailableError, RefusedError
from gardenerd.paths import Home
from gardenerd.service import embeddings
from gardenerd.service.embeddings import TUNABLE
from gardenerd.service.indexing import Indexing
from gardenerd.service.precedence import Precedence
from gardenerd.settings import Settings
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.wire.messages import MAX_QUERY_BYTES, Search
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import Hit, Hits, SearchIndex
from gardenerd.workers.tuned import TunedRef

_MAX_HITS = 500

HitState = Literal["fresh", "pending", "gone"]


class Finding:
    def __init__(
        self,
        *,
        home: Home,
        settings: Settings,
        stores: Stores,
        indexing: Indexing,
        search: Child,
        precedence: Precedence,
    ) -> None:
        self._home = home
        self._settings = settings
        self._stores = stores
        self._indexing = indexing
        self._search = search
        self._precedence = precedence

    async def search(self, wanted: Search) -> dict[str, Any]:
        """Hits, best first, each with the state of its file in the index."""
        check_text(wanted.query, "query")
        if not 1 <= wanted.k <= _MAX_HITS:
            raise RefusedError(f"-k must be within [1, {_MAX_HITS}], not {wanted.k}")
        projects = self.projects(wanted.project)
        hits = await self.hits(wanted.query, wanted.k, projects)
        note = self.note(projects)
        return {
            "hits": await asyncio.to_thread(self.with_states, hits, projects),
            "complete": not note,
            "note": note,
        }

    def projects(self, named: str | None) -> list[Project]:
        """The project of that name, or all of them.

        Raises:
            NotFoundError: no project has the name.
            RefusedError: there is none yet.
        """
        if named is not None:
            return [self._stores.projects.get(named)]
        projects = self._stores.projects.all()
        if not projects:
            raise RefusedError("no project is tended yet", hint="add one: gardenerctl add PATH")
        return projects

    async def hits(self, query: str, k: int, projects: list[Project]) -> list[Hit]:
        """The ``k`` best, best first, of what may be known.

        Raises:
            IndexUnavailableError: nothing is indexed, or the index cannot be opened.
        """
        if not any(self._indexing.counts(project.id).files for project in projects):
            if self.note(projects):
                return []
            raise IndexUnavailableError(
                "nothing is indexed: the project holds no file that can be",
                hint="see `gardenerctl status`; .gitignore and .gardenerignore leave files out",
            )
        tuned: list[TunedRef] = []
        if self._settings.index.embedding == TUNABLE:
            tuned = embeddings.references(projects, self._home, self._stores)
        ids = [project.id for project in projects]
        job = SearchIndex(query=query, k=k, projects=ids, tuned=tuned)
        try:
            with self._precedence.taken():
                found = await self._search.call(job, Hits, retry=True)
        except IndexUnavailableError:
            await self._indexing.check_index()
            found = await self._search.call(job, Hits, retry=True)
        if found.unusable:
            embeddings.give_up(found.unusable, tuned, self._stores)
        if not self._stores.forgotten.pending():
            return found.hits
        # What is being forgotten may stand in the index for some moments yet.
        forgotten = self._stores.forgotten
        return [hit for hit in found.hits if forgotten.covering(hit.project, hit.path) is None]

    def note(self, projects: list[Project]) -> str:
        """Why the index may not show everything; empty when it does."""
        notes: list[str] = []
        for project in projects:
            state = self._stores.projects.get(project.id)
            counts = self._indexing.counts(project.id)
            if state.state == "frozen":
                notes.append(f"{project.name}: {state.reason}")
            elif self._indexing.last_error:
                notes.append(f"{project.name}: indexing failed: {self._indexing.last_error}")
            elif counts.pending:
                notes.append(
                    f"{project.name}: still indexing, {counts.files} of "
                    f"{counts.files + counts.pending} files done"
                )
            elif not self._indexing.settled(project.id):
                notes.append(f"{project.name}: being scanned")
        return "; ".join(notes)

    def with_states(self, hits: list[Hit], projects: list[Project]) -> list[dict[str, Any]]:
        """Hits as data, each told fresh, pending or gone by a look at the disk."""
        by_id = {project.id: project for project in projects}
        shown: list[dict[str, Any]] = []
        for hit in hits:
            project = by_id[hit.project]
            values = msgspec.to_builtins(hit)
            values["state"] = self.state(project, hit.path, hit.digest)
            values["project"] = project.name
            del values["digest"]
            shown.append(values)
        return shown

    def state(self, project: Project, path: str, digest: str) -> HitState:
        """Whether the file is as it was when its bytes had ``digest``."""
        try:
            found = os.lstat(project.root / path)
        except OSError:
            return "gone"
        known = self._stores.files.known(project.id, [path]).get(path)
        if known is None or (known.size, known.mtime_ns) != (found.st_size, found.st_mtime_ns):
            return "pending"
        return self._stores.files.hit_state(project.id, path, digest)


def check_text(text: str, what: str) -> None:
    """Raises RefusedError for a query or question that is empty or far too long."""
    if not text.strip():
        raise RefusedError(f"the {what} is empty", hint=f"say what you look for: a {what}")
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_QUERY_BYTES:
        raise RefusedError(
            f"the {what} has {size:,} bytes; at most {MAX_QUERY_BYTES:,} are taken",
            hint="shorten it to what matters",
        )
