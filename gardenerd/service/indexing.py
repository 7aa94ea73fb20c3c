"""Keeps the index equal to the disk: watches, scans, hands what changed to the index worker.

Whatever the watcher says, and however little, a scan of the disk against the table of files is
what decides. Both a saved file and a whole project go the same way:

    hint ─▶ settle ─▶ scan the paths ─▶ mark pending (durable) ─▶ index worker ─▶ mark indexed

so that a crash at any point leaves work that is found again, and nothing is done twice in vain.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from gardenerd.core.batch import Batcher
from gardenerd.errors import GardenerError, RefusedError, WorkerError
from gardenerd.paths import Home
from gardenerd.service.generation import Generation
from gardenerd.service.histories import Histories
from gardenerd.service.tended import Tended
from gardenerd.service.upkeep import Upkeep
from gardenerd.service.waiting import happens
from gardenerd.settings import Settings, parse_duration
from gardenerd.store.files import Claim, Counts
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.watch.filters import Filter
from gardenerd.watch.rescan import Changes, Scan, diff, scan
from gardenerd.watch.roots import check_root, root_state
from gardenerd.watch.watcher import Changed, RescanNeeded, Watcher
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import (
    Checked,
    CheckIndex,
    Done,
    ForgetPlace,
    Indexed,
    IndexFiles,
    IndexProgress,
    PlaceForgotten,
    RemoveProject,
)

log = logging.getLogger(__name__)

Publish = Callable[[str, str, dict[str, Any]], None]

# Files in one job: enough to keep every core busy, few enough that a save need not wait long.
_JOB_FILES = 4_000
_FIRST_RETRY, _LAST_RETRY = 1.0, 60.0
_FROZEN_RECHECK_SECONDS = 5.0
ASKED = "asked for"
"""Why a scan is made that a person wished for."""


class Indexing:
    """Tends every project. One task scans and indexes, in turn; another listens to the watcher.

    ``touched`` is called when files changed, ``followed`` when the index has caught up with them.
    """

    def __init__(
        self,
        *,
        home: Home,
        settings: Settings,
        stores: Stores,
        index: Child,
        publish: Publish,
        touched: Callable[[], None],
        followed: Callable[[], None],
    ) -> None:
        self._home = home
        self._settings = settings
        self._stores = stores
        self._index = index
        self._publish = publish
        self._touched = touched
        self._followed = followed
        self._tended: dict[str, Tended] = {}
        self._batches = Batcher(
            settle=settings.watch.settle_ms / 1_000, max_settle=settings.watch.max_settle_ms / 1_000
        )
        self._watcher = Watcher(step_ms=settings.watch.step_ms)
        self._wake = asyncio.Event()
        self._pulse = asyncio.Event()
        self._generation = Generation(home.index, settings.index.embedding, stores)
        self._upkeep = Upkeep(index, parse_duration(settings.index.keep_alive) or 0.0)
        self.histories = Histories(home=home, stores=stores, index=index, followed=self._beat)
        # Held by a scan or a job: what is forgotten must not come back by one that began before.
        self._step = asyncio.Lock()
        self._retry_in = 0.0
        self.last_error = ""

    # --- what the operations ask --------------------------------------------------------------

    async def add(self, path: str, name: str | None) -> Project:
        """Begin to tend the folder ``path``.

        Raises:
            RefusedError: missing, a file, the home or root folder, inside another project, ...
        """
        roots = [tended.project.root for tended in self._tended.values()]
        root = await asyncio.to_thread(check_root, path, roots, self._home.root)
        project = self._stores.projects.add(
            secrets.token_hex(4),
            name or self._stores.projects.free_name(root.name),
            root,
            time.time(),
        )
        self._tended[project.id] = Tended(project)
        await self._watcher.add(project.id, root)
        self.rescan(project.id, "it is new")
        self._publish("index", "added", {"project": project.name})
        return project

    async def remove(self, named: str) -> Project:
        """Stop tending a project and forget all of it."""
        project = self._stores.projects.get(named)
        self._tended.pop(project.id, None)
        await self._watcher.remove(project.id)
        self._batches.drop(project.id)
        await self._index.call(RemoveProject(project=project.id), Done)
        # Only this takes the deleted rows out of the files of the table.
        self._upkeep.worked()
        await self._upkeep.run()
        self._stores.projects.remove(project.id)
        await self.histories.drop(project.id)
        self._publish("index", "removed", {"project": project.name})
        self._beat()
        return project

    async def forget(self, project: Project, path: str) -> tuple[int, int]:
        """A file, or a folder, leaves the index, to the last byte; gives how many files and chunks.

        The caller has recorded that it is forgotten: it does not come back.
        """
        async with self._step:
            tended = self._tended.get(project.id)
            if tended is None:
                return 0, 0
            if tended.rules is not None:
                tended.rules = await asyncio.to_thread(self.rules, project)
            job = ForgetPlace(project=project.id, path=path)
            answer = await self._index.call(job, PlaceForgotten)
            files = self._stores.files.forget(project.id, path)
            self._upkeep.worked()
            if self._generation.told(answer.generation):
                self._wake.set()
        await self.histories.renew(project)
        self._beat()
        return files, answer.chunks

    def rescan(self, project: str, why: str) -> None:
        """Have the whole project looked at."""
        tended = self._tended.get(project)
        if tended is not None:
            tended.scan_wanted = tended.scan_wanted or why
            self._wake.set()

    def hint(self, project: str, paths: Iterable[str]) -> None:
        """These paths may have changed."""
        self._batches.add(project, paths, time.monotonic())
        self._wake.set()

    def settled(self, project: str) -> bool:
        """Whether every change that is known of is in the index."""
        tended = self._tended.get(project)
        if tended is None:
            return True
        frozen = self._stores.projects.get(project).state == "frozen"
        busy = tended.busy or self.histories.busy(project)
        idle = not busy and (frozen or not tended.scan_wanted)
        if not idle or self._batches.waiting(project):
            return False
        return frozen or not self._stores.files.has_pending(project)

    def refuse_when_stuck(self) -> None:
        """Raise :class:`RefusedError` when the index fails again and again."""
        if self.last_error and self._retry_in > _FIRST_RETRY * 4:
            raise RefusedError(
                f"the index cannot follow: {self.last_error}",
                hint="see `gardenerctl status` and `gardenerctl logs`",
            )

    async def news(self) -> None:
        """Wait until something happened, or a second."""
        await happens(self._pulse, 1.0)

    async def check_index(self) -> None:
        """Have the index opened anew by the one who writes it: what is damaged is healed there."""
        checked = await self._index.call(CheckIndex(), Checked)
        if self._generation.told(checked.generation):
            self._wake.set()

    def counts(self, project: str) -> Counts:
        return self._stores.files.counts(project)

    def not_covered(self, project: str) -> list[str]:
        """What cannot be seen, in words; while there is any the index is not called settled."""
        tended = self._tended.get(project)
        if tended is None:
            return []
        known = self._stores.projects.get(project)
        blind = [known.reason or known.state] if known.state == "frozen" else []
        if self._watcher.problem:
            blind.append(f"changes are not heard: {self._watcher.problem}")
        return blind + tended.blind()

    def notes(self, project: str) -> list[str]:
        """What else is not in the index, in words."""
        tended = self._tended.get(project)
        return [] if tended is None else tended.left_out()

    # --- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up every project; an index that was lost, or is of another kind, is made anew."""
        self._stores.files.release()
        self._generation.start()
        projects = self._stores.projects.all()
        self._tended = {project.id: Tended(project) for project in projects}
        await self._watcher.add_all({project.id: project.root for project in projects})

    async def listen(self) -> None:
        """Turn what the watcher says into hints and wishes for a scan. Runs until cancelled."""
        while True:
            match await self._watcher.notices.get():
                case Changed(project=project, paths=paths):
                    self._touched()
                    self.hint(project, paths)
                case RescanNeeded(project=project, why=why):
                    self.rescan(project, why)

    async def work(self) -> None:
        """Scan and index, forever. Nothing that goes wrong here ends the daemon."""
        while True:
            await self._sleep_until_due()
            try:
                await self._round()
                self._retry_in = 0.0
                self.last_error = ""
            except GardenerError as error:
                self._failed(error.message)
            except OSError as error:
                self._failed(str(error))
            self._beat()

    async def close(self) -> None:
        await self._watcher.close()

    async def _sleep_until_due(self) -> None:
        now = time.monotonic()
        waits = [max(0.0, t.next_scan - now) for t in self._tended.values()]
        if (batch := self._batches.next_due(now)) is not None:
            waits.append(batch)
        if (upkeep := self._upkeep.due_in(now)) is not None:
            waits.append(upkeep)
        rest = min(waits, default=3_600.0)
        if self._retry_in:
            # What failed is pending still; hints may come meanwhile without a storm of retries.
            await asyncio.sleep(self._retry_in)
        elif not self._wake.is_set():
            await happens(self._wake, rest)
        self._wake.clear()

    def _failed(self, cause: str) -> None:
        self._retry_in = min(_LAST_RETRY, (self._retry_in or _FIRST_RETRY / 2) * 2)
        self.last_error = cause
        log.error("indexing failed", extra={"cause": cause, "retry_in_s": self._retry_in})
        self._stores.files.release()
        self._publish("index", "failed", {"reason": cause})
        self._wake.set()

    # --- one round ----------------------------------------------------------------------------

    async def _round(self) -> None:
        for tended in list(self._tended.values()):
            if time.monotonic() >= tended.next_scan:
                tended.scan_wanted = tended.scan_wanted or "the timer"
        hinted = {batch.project: batch.paths for batch in self._batches.due(time.monotonic())}
        for id, tended in list(self._tended.items()):
            tended.busy = True
            try:
                async with self._step:
                    if tended.scan_wanted:
                        await self._scan_whole(tended)
                    elif id in hinted:
                        await self._scan_paths(tended, hinted[id])
                await self._index_pending(tended)
            finally:
                tended.busy = False
                self._beat()
        if self._upkeep.due_in(time.monotonic()) == 0.0:
            await self._upkeep.run()

    async def _scan_whole(self, tended: Tended) -> None:
        project, why = tended.project, tended.scan_wanted
        tended.scan_wanted = ""
        self._generation.look()
        had_files = self._stores.files.counts(project.id).files
        known = self._stores.projects.get(project.id)
        # What a person asks for is believed: their `rescan` accepts a root on another volume.
        inode = 0 if why == ASKED else known.inode
        state = await asyncio.to_thread(
            root_state, project.root, known.device, inode, had_files=had_files > 0
        )
        if state.frozen:
            self._freeze(tended, state.reason)
            return
        self._thaw(tended)
        self._stores.projects.set_root(project.id, state.device, state.inode)
        self.histories.want(project)
        tended.rules = await asyncio.to_thread(self.rules, project)
        found, changes = await asyncio.to_thread(self._compare, tended, [""])
        tended.last_scan = found
        minutes = self._settings.watch.rescan_minutes * random.uniform(0.75, 1.25)
        tended.next_scan = time.monotonic() + minutes * 60
        self._stores.files.mark(project.id, changes.changed, changes.gone)
        log.info(
            "scanned",
            extra={
                "project": project.id,
                "why": why,
                "files": len(found.files),
                "changed": len(changes.changed),
                "gone": len(changes.gone),
                "seconds": round(found.seconds, 3),
            },
        )

    async def _scan_paths(self, tended: Tended, paths: Iterable[str]) -> None:
        if tended.rules is None or self._stores.projects.get(tended.project.id).state == "frozen":
            return
        self.histories.want(tended.project)
        _, changes = await asyncio.to_thread(self._compare, tended, paths)
        self._stores.files.mark(tended.project.id, changes.changed, changes.gone)

    def rules(self, project: Project) -> Filter:
        """What is left out of the project, as its rule files are now."""
        return Filter(
            project.root,
            self._settings.watch.max_file_bytes,
            own=self._home.root,
            forgotten=self._stores.forgotten.reasons(project),
        )

    def _compare(self, tended: Tended, paths: Iterable[str]) -> tuple[Scan, Changes]:
        assert tended.rules is not None
        found = scan(tended.rules, paths)
        return found, diff(found, self._stores.files.known(tended.project.id, found.covers))

    async def _index_pending(self, tended: Tended) -> None:
        project = tended.project
        started, before = time.monotonic(), Claim(paths=[], remove=[])
        reused = 0
        while project.id in self._tended:
            async with self._step:
                claim = self._stores.files.claim(project.id, _JOB_FILES)
                if not claim:
                    break
                if claim == before:
                    count = len(claim.paths) + len(claim.remove)
                    raise WorkerError(
                        f"the index worker left {count} files undone",
                        hint="it is tried again; `gardenerctl logs` has more",
                    )
                before = claim
                reused += await self._index_claim(project, claim)
        if before:
            self._followed()
            counts = self.counts(project.id)
            self._publish(
                "index",
                "settled",
                {
                    "project": project.name,
                    "files": counts.files,
                    "chunks": counts.chunks,
                    "reused": reused,
                    "seconds": round(time.monotonic() - started, 3),
                },
            )

    async def _index_claim(self, project: Project, claim: Claim) -> int:
        """Have the files indexed; how many of them were known by their contents."""
        answer = await self._index.call(
            IndexFiles(
                project=project.id,
                root=project.path,
                paths=claim.paths,
                remove=claim.remove,
                max_file_bytes=self._settings.watch.max_file_bytes,
            ),
            Indexed,
            on_update=lambda body: self._record(project, body),
        )
        # Whatever the worker did not mention is still claimed: it is looked at again.
        self._stores.files.release(project.id)
        self._upkeep.worked()
        return answer.reused

    def _record(self, project: Project, body: msgspec.Raw) -> None:
        if project.id not in self._tended:
            return  # removed meanwhile
        progress = msgspec.json.decode(body, type=IndexProgress)
        with self._stores.database.transaction():
            # Before the first result counts: an index that is lost now must be missed later.
            if self._generation.told(progress.generation):
                self._wake.set()
            self._stores.files.finish(project.id, progress.results, time.time())
            for result in progress.results:
                if result.state == "gone":
                    self._stores.examples.retire_path(project.id, result.path)
        counts = self.counts(project.id)
        self._publish(
            "index",
            "progress",
            {"project": project.name, "indexed": counts.files, "pending": counts.pending},
        )
        self._beat()

    def _freeze(self, tended: Tended, reason: str) -> None:
        project = tended.project
        if self._stores.projects.get(project.id).state != "frozen":
            log.warning("project frozen", extra={"project": project.id, "reason": reason})
            self._publish("index", "frozen", {"project": project.name, "reason": reason})
        self._stores.projects.set_state(project.id, "frozen", reason)
        tended.next_scan = time.monotonic() + _FROZEN_RECHECK_SECONDS

    def _thaw(self, tended: Tended) -> None:
        project = tended.project
        if self._stores.projects.get(project.id).state == "frozen":
            self._stores.projects.set_state(project.id, "ok")
            self._publish("index", "thawed", {"project": project.name})

    def _beat(self) -> None:
        """Wake everyone who waits for news."""
        self._pulse.set()
        self._pulse = asyncio.Event()
