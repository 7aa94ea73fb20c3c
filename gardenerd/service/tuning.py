"""Tunes the embedding of queries to a project on what it says of its own code, once a day at most.

Rows are trained from the packaged ones in a process of its own, which reads the index, and the gate
compares them with what serves (:mod:`gardenerd.core.tuning`). The vectors of the index stay, so to
serve is to name another small file. A run is short: it is given up when its user returns, and
begins anew another time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from gardenerd import durable
from gardenerd.core import tuning
from gardenerd.core.holdout import held_out
from gardenerd.core.pace import Verdict
from gardenerd.core.targets import targets
from gardenerd.errors import CancelledError, GardenerError, RefusedError
from gardenerd.host.commits import added_code
from gardenerd.paths import Home
from gardenerd.service import embeddings
from gardenerd.service.embeddings import TUNABLE
from gardenerd.service.learning import Publish
from gardenerd.settings import Settings
from gardenerd.store.embeddings import Embedding
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.workers.child import Child
from gardenerd.workers.tune_jobs import TuneEmbedding, TuneReport

log = logging.getLogger(__name__)

_BETWEEN_SECONDS = 20 * 3600.0
_WATCH_SECONDS = 0.5
_COMMITS = 5_000
"""So many of the last commits, of which half have code; of a tenth of them too little is learned
(docs/retrieval.md)."""
_FORGETTING = "something is being forgotten"


class Tuning:
    """One run at a time, of one project."""

    def __init__(
        self,
        *,
        home: Home,
        settings: Settings,
        stores: Stores,
        tuner: Child,
        spare: Callable[[], Awaitable[Verdict]],
        publish: Publish,
    ) -> None:
        self._home = home
        self._settings = settings
        self._stores = stores
        self._tuner = tuner
        self._spare = spare
        self._publish = publish
        self._candidate = home.embeddings / "candidate.safetensors"
        self._work: asyncio.Task[dict[str, Any]] | None = None
        self._project = ""
        """Which is being tuned."""
        self._reason = ""

    # --- what the operations ask --------------------------------------------------------------

    async def run(self, project: Project, *, again: bool = True) -> dict[str, Any]:
        """Tune now, whoever is at the machine; gives the version that came of it.

        Args:
            again: also if nothing is new since an earlier run.

        Raises:
            RefusedError: a run is under way, the embedding cannot be tuned, something is being
                forgotten, or there is too little to learn from.
            CancelledError: it was given up.
            WorkerError: the process died; what served goes on serving.
        """
        if self._settings.index.embedding != TUNABLE:
            raise RefusedError(
                f"the embedding is {self._settings.index.embedding!r}, which is not tuned",
                hint=f"set [index] embedding to {TUNABLE!r}",
            )
        if self._work is not None:
            raise RefusedError("the embedding is being tuned", hint="wait for it to end")
        if self._stores.forgotten.pending():
            raise RefusedError(_FORGETTING, hint="try again in a moment")
        work = asyncio.create_task(self._run(project, again), name="tune")
        self._work, self._project = work, project.id
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if not work.cancelled():  # whoever asked is gone
                await self._end()
                raise
            raise CancelledError("the tuning was given up") from None
        finally:
            self._work, self._project = None, ""

    async def end_run_of(self, project: str) -> None:
        """Give up the run of ``project`` if one is under way, and wait until nothing is left of it.

        The caller keeps the next from beginning.
        """
        if self._project == project:
            await self._end()

    def versions(self, project: Project | None) -> list[dict[str, Any]]:
        """What came of each run, oldest first."""
        names = {each.id: each.name for each in self._stores.projects.all()}
        found = self._stores.embeddings.all(project.id if project else None)
        return [embeddings.told(each, names[each.project]) for each in found]

    def status(self) -> dict[str, Any]:
        """What serves each project that was ever tuned, and why nothing is tuned now."""
        stores = self._stores
        projects: list[dict[str, Any]] = []
        running: str | None = None
        for project in stores.projects.all():
            if project.id == self._project:
                running = project.name
            last = stores.embeddings.last(project.id)
            if last is not None:
                projects.append(
                    {
                        "project": project.name,
                        "version": stores.embeddings.serving(project.id) or embeddings.PACKAGED,
                        "last": {
                            "version": last.version,
                            "state": last.state,
                            "reason": last.reason,
                        },
                    }
                )
        return {
            "learns": self._learns(),
            "running": running,
            "reason": self._reason,
            "projects": projects,
        }

    # --- life ---------------------------------------------------------------------------------

    def recover(self) -> None:
        """At start: remove what the last life of the daemon left unfinished."""
        self._candidate.unlink(missing_ok=True)
        embeddings.sweep(self._home, self._stores)

    async def tick(self) -> None:
        """Once in a while: tune the project whose turn it is, if nobody minds."""
        if not self._learns() or self._work is not None:
            return
        tried = {p: self._stores.embeddings.tried(p.id) for p in self._stores.projects.all()}
        due = [p for p, at in tried.items() if time.time() - at >= _BETWEEN_SECONDS]
        if not due:
            return
        if self._stores.forgotten.pending():
            self._reason = _FORGETTING
            return
        verdict = await self._spare()
        if not verdict.allowed:
            self._reason = verdict.reason
            return
        project = min(due, key=tried.__getitem__)
        try:
            done = await self._unless_wanted(self.run(project, again=False))
        except CancelledError:
            return
        except GardenerError as error:
            done = True
            self._reason = f"{project.name}: {error.message}"
            log.warning("the embedding was not tuned", extra={"cause": error.message})
        if done and any(each.id == project.id for each in self._stores.projects.all()):
            self._stores.embeddings.set_tried(project.id, time.time())

    async def close(self) -> None:
        """Give up what is under way."""
        await self._end()

    async def _unless_wanted(self, work: Awaitable[Any]) -> bool:
        """Do ``work`` while its user is away; whether it was done."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_WATCH_SECONDS)
                verdict = await self._spare()
                if not (verdict.allowed or task.done()):
                    self._reason = f"given up: {verdict.reason}"
                    return False
            task.result()
            return True
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _end(self) -> None:
        work = self._work
        while work is not None and not work.done():
            work.cancel()
            # Again, if need be: asyncio.wait_for (3.11) loses one that comes as it ends.
            await asyncio.wait({work}, timeout=_WATCH_SECONDS)

    def _learns(self) -> bool:
        index = self._settings.index
        return index.learn and index.embedding == TUNABLE

    # --- one run ------------------------------------------------------------------------------

    async def _run(self, project: Project, again: bool) -> dict[str, Any]:
        try:
            report = await self._tuner.call(await self._job(project, again), TuneReport)
            decision = tuning.decide(report)
            data = b""
            if decision.outcome == "promoted":
                data = await asyncio.to_thread(self._candidate.read_bytes)
            # From here on it is not given up: it takes a moment.
            found = self._decided(project, report, decision, data)
        finally:
            await self._tuner.stop()
            self._candidate.unlink(missing_ok=True)
        said = {"project": project.name, "version": found.version, "outcome": decision.outcome}
        log.info("embedding tuned", extra={**said, "reason": found.reason})
        self._publish("index", "embedding", {**said, "reason": found.reason})
        self._reason = ""
        return {**embeddings.told(found, project.name), "outcome": decision.outcome}

    async def _job(self, project: Project, again: bool) -> TuneEmbedding:
        stores = self._stores
        paths = {path for path, _ in stores.files.indexed(project.id)}
        accepted = targets(stores.feedback.judgements(project.id))
        known = [str(each.report.get("digest")) for each in stores.embeddings.all(project.id)]
        serving = stores.embeddings.serving(project.id)
        incumbent = None
        if serving is not None:
            found = stores.embeddings.get(project.id, serving)
            incumbent = embeddings.reference(found, self._home)
        return TuneEmbedding(
            index=str(self._home.index),
            project=project.id,
            held_out=sorted(held_out(paths)),
            added=await added_code(Path(project.path), paths, _COMMITS),
            answers=[(judged.question, text) for judged, text in accepted if judged.op == "ask"],
            incumbent=incumbent,
            target=str(self._candidate),
            known=[] if again else known,
        )

    def _decided(
        self, project: Project, report: TuneReport, decision: tuning.Decision, data: bytes
    ) -> Embedding:
        """Record what came of the run; one that was promoted serves from then on.

        Its file is whole and synced before any row names it.
        """
        stores = self._stores
        stores.projects.get(project.id)
        number = stores.embeddings.next_number(project.id)
        found = Embedding(
            project=project.id,
            version=f"v{number}",
            number=number,
            state="serving" if data else "refused",
            created=time.time(),
            reason=decision.reason,
            fingerprint=report.fingerprint if data else "",
            report={
                **{k: v for k, v in msgspec.to_builtins(report).items() if k not in _NOT_KEPT},
                "scores": decision.scores,
                "evidence": decision.evidence,
            },
        )
        if data:
            file = self._home.embedding(project.id, found.version)
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.write_file(file, data)
        with stores.database.transaction():
            stores.embeddings.add(found)
            if decision.outcome == "rolled_back":
                stores.embeddings.serve(project.id, None)
            gone = stores.embeddings.prune(project.id, self._settings.loop.keep_versions)
        for version in gone:
            self._home.embedding(project.id, version).unlink(missing_ok=True)
        return found


_NOT_KEPT = ("held_out", "fingerprint", "finite")
"""Of a report: the held-out questions are thousands of figures, which the scores sum up."""
