"""Builds the reply to ``status``: what the daemon is doing, and why it is not training."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import datetime
from typing import Any

import psutil

from gardenerd import __version__
from gardenerd.core import hours, ledger
from gardenerd.errors import ModelError
from gardenerd.host.schedule import next_window
from gardenerd.paths import Home
from gardenerd.service import backlog
from gardenerd.service.base import BaseInUse
from gardenerd.service.forgetting import Forgetting
from gardenerd.service.indexing import Indexing
from gardenerd.service.learning import Learning
from gardenerd.service.selection import Selection
from gardenerd.service.serving import Serving
from gardenerd.service.tuning import Tuning
from gardenerd.settings import Settings
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.workers.child import Child


class Reporter:
    """Looks at every part and changes none."""

    def __init__(
        self,
        *,
        home: Home,
        settings: Settings,
        stores: Stores,
        base: BaseInUse,
        indexing: Indexing,
        learning: Learning,
        tuning: Tuning,
        forgetting: Forgetting,
        serving: Serving,
        selection: Selection,
        workers: list[Child],
    ) -> None:
        self._home = home
        self._settings = settings
        self._stores = stores
        self._base = base
        self._indexing = indexing
        self._learning = learning
        self._tuning = tuning
        self._forgetting = forgetting
        self._serving = serving
        self._selection = selection
        self._workers = workers
        self._started = time.monotonic()
        self._processes: dict[int, psutil.Process] = {}

    async def status(self) -> dict[str, Any]:
        projects = self._stores.projects.all()
        told = [self._project(project) for project in projects]
        return {
            "daemon": self._daemon(),
            "workers": [self._worker(child) for child in self._workers if child.pid],
            "projects": told,
            "model": {
                **await asyncio.to_thread(self._model, projects),
                **await self._serving.status(),
            },
            "loop": self._loop(projects, told),
            "embedding": self._tuning.status(),
            "warnings": [*self._settings.train.warnings(), *self._selection.warnings()],
            "last_error": self._last_error(),
        }

    def _daemon(self) -> dict[str, Any]:
        process = self._process(os.getpid())
        return {
            "pid": os.getpid(),
            "version": __version__,
            "uptime_s": round(time.monotonic() - self._started, 3),
            "rss_bytes": process.memory_info().rss if process else 0,
            "cpu_percent": process.cpu_percent() if process else 0.0,
            "home": str(self._home.root),
        }

    def _worker(self, child: Child) -> dict[str, Any]:
        pid = child.pid or 0
        process = self._process(pid)
        try:
            cpu = process.cpu_percent() if process else 0.0
        except psutil.Error:
            cpu = 0.0
        return {
            "kind": child.kind,
            "pid": pid,
            "rss_bytes": child.rss_bytes(),
            "state": child.state,
            "cpu_percent": cpu,
        }

    def _process(self, pid: int) -> psutil.Process | None:
        """Kept between calls: processor use is measured since the last one."""
        if pid not in self._processes:
            try:
                self._processes[pid] = psutil.Process(pid)
            except psutil.Error:
                return None
        alive = {os.getpid(), *(child.pid for child in self._workers if child.pid)}
        self._processes = {p: known for p, known in self._processes.items() if p in alive}
        return self._processes.get(pid)

    def _project(self, project: Project) -> dict[str, Any]:
        counts = self._indexing.counts(project.id)
        not_covered = self._indexing.not_covered(project.id)
        return {
            "name": project.name,
            "path": project.path,
            "files": counts.files,
            "chunks": counts.chunks,
            "pending": counts.pending,
            "settled": self._indexing.settled(project.id) and not not_covered,
            "skipped": counts.skipped,
            "failed": counts.failed,
            "state": project.state,
            "reason": project.reason,
            "not_covered": not_covered,
            "notes": [
                *not_covered,
                *self._indexing.notes(project.id),
                *backlog.notes(project.id, self._stores),
            ],
            "adapter": self._stores.adapters.serving(project.id),
            "new_examples": backlog.new_examples(project.id, self._stores),
        }

    def _model(self, projects: list[Project]) -> dict[str, Any]:
        serving = {p.name: self._stores.adapters.serving(p.id) for p in projects}
        versions = {version for version in serving.values() if version}
        problem = ""
        try:
            self._base.folder()
        except ModelError as error:
            problem = error.message
        return {
            "base": self._base.name,
            # One project, the common case: its version. Several: see `adapters`.
            "adapter": next(iter(versions)) if len(serving) == 1 and versions else None,
            "adapters": serving,
            "scores": {
                project.name: self._stores.adapters.get(project.id, version).scores
                for project in projects
                if (version := serving[project.name])
            },
            "problem": problem,
        }

    def _loop(self, projects: list[Project], told: list[dict[str, Any]]) -> dict[str, Any]:
        loop = self._learning.loop
        window = hours.window(self._settings.loop, *self._stores.activity.by_hour())
        begins = next_window(datetime.now().astimezone(), window) if window else None
        names = {project.id: project.name for project in projects}
        progress = self._learning.progress
        return {
            "state": loop.phase,
            "reason": loop.reason,
            "next_window": begins.isoformat(timespec="minutes") if begins else None,
            "new_examples": sum(project["new_examples"] for project in told),
            "buffer": sum(self._stores.examples.count(p.id) for p in projects),
            "needed": self._settings.loop.batch_size,
            "run": loop.run or None,
            "project": names.get(loop.project),
            "progress": round(progress.percent, 1) if progress else None,
            "paused_until": _finite(self._learning.paused_until),
            "last_run": self._last_run(names),
        }

    def _last_run(self, names: dict[str, str]) -> dict[str, Any] | None:
        """The morning line: what came of the latest run of any project."""
        ended = [last for name in names if (last := self._stores.runs.last_ended(name)) is not None]
        if not ended:
            return None
        run = max(ended, key=lambda each: each.finished or 0.0)
        said = ledger.sentence(
            outcome=run.outcome,
            version=run.version,
            reason=run.reason,
            scores=run.scores,
            report=run.report,
        )
        return {
            "run": run.id,
            "project": names[run.project],
            "outcome": run.outcome,
            "finished": run.finished,
            "said": said,
        }

    def _last_error(self) -> str:
        parts = (self._indexing, self._learning, self._forgetting)
        found = [part.last_error for part in parts]
        found += [child.last_error for child in self._workers]
        return next((error for error in found if error), "")


def _finite(until: float | None) -> float | str | None:
    """JSON knows no infinity."""
    return "resumed" if until == float("inf") else until
