"""What each operation of the wire does: one method an operation, looked up by its type."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from gardenerd import __version__
from gardenerd.errors import NotFoundError, RefusedError, TimedOutError
from gardenerd.paths import Home
from gardenerd.service import covering, embeddings, rewards, versions
from gardenerd.service.answering import Answering
from gardenerd.service.completing import Completing
from gardenerd.service.exporting import Exporting
from gardenerd.service.finding import Finding
from gardenerd.service.forgetting import Forgetting
from gardenerd.service.indexing import ASKED, Indexing
from gardenerd.service.learning import Learning, Publish
from gardenerd.service.models import Models
from gardenerd.service.settling import settle
from gardenerd.service.tuning import Tuning
from gardenerd.store.projects import Project
from gardenerd.store.runs import Run
from gardenerd.store.stores import Stores
from gardenerd.wire import messages
from gardenerd.wire.messages import PROTOCOL, Operation
from gardenerd.wire.server import Exchange
from gardenerd.workers.child import Child

Handler = Callable[[Any, Exchange], Awaitable[Any]]


class Operations:
    """Dispatches decoded operations; raises GardenerErrors that travel to the client."""

    def __init__(
        self,
        *,
        home: Home,
        stores: Stores,
        indexing: Indexing,
        finding: Finding,
        answering: Answering,
        exporting: Exporting,
        completing: Completing,
        forgetting: Forgetting,
        learning: Learning,
        tuning: Tuning,
        models: Models,
        workers: list[Child],
        publish: Publish,
        status: Callable[[], Awaitable[dict[str, Any]]],
        shutdown: Callable[[], None],
    ) -> None:
        self._home = home
        self._stores = stores
        self._indexing = indexing
        self._finding = finding
        self._answering = answering
        self._exporting = exporting
        self._completing = completing
        self._forgetting = forgetting
        self._learning = learning
        self._tuning = tuning
        self._models = models
        self._workers = workers
        self._publish = publish
        self._status = status
        self._shutdown = shutdown
        self._handlers: dict[type[Operation], Handler] = {
            messages.Hello: self._hello,
            messages.Status: self._tell_status,
            messages.Shutdown: self._stop,
            messages.Add: self._add,
            messages.Remove: self._remove,
            messages.Projects: self._list_projects,
            messages.Rescan: self._rescan,
            messages.Wait: self._wait,
            messages.Why: self._why,
            messages.Forget: self._forget,
            messages.Remember: self._remember,
            messages.Forgotten: self._list_forgotten,
            messages.Search: self._search,
            messages.Ask: self._ask,
            messages.Complete: self._complete,
            messages.Score: self._score,
            messages.Feedback: self._feedback,
            messages.Judgements: self._judgements,
            messages.Train: self._train,
            messages.Pause: self._pause,
            messages.Resume: self._resume,
            messages.Cancel: self._cancel,
            messages.Rollback: self._rollback,
            messages.ManageAdapter: self._manage_adapter,
            messages.Export: self._export,
            messages.Adapters: self._adapters,
            messages.Embeddings: self._embeddings,
            messages.TuneEmbedding: self._tune_embedding,
            messages.RollbackEmbedding: self._rollback_embedding,
            messages.Models: self._list_models,
            messages.ShowModel: self._show_model,
            messages.UseModel: self._use_model,
            messages.RemoveModel: self._remove_model,
            messages.PullModel: self._pull_model,
            messages.History: self._history,
            messages.Ps: self._ps,
            messages.Unload: self._unload,
        }

    async def dispatch(self, operation: Operation, exchange: Exchange) -> Any:
        """Do ``operation`` and give the body of its result."""
        return await self._handlers[type(operation)](operation, exchange)

    # --- the daemon ---------------------------------------------------------------------------

    async def _hello(self, _: messages.Hello, __: Exchange) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "version": __version__,
            "operations": sorted(messages.OPERATIONS),
        }

    async def _tell_status(self, _: messages.Status, __: Exchange) -> dict[str, Any]:
        return await self._status()

    async def _stop(self, _: messages.Shutdown, __: Exchange) -> dict[str, Any]:
        self._shutdown()
        return {"message": "stopping"}

    async def _ps(self, _: messages.Ps, __: Exchange) -> dict[str, Any]:
        status = await self._status()
        return {"workers": status["workers"]}

    async def _unload(self, _: messages.Unload, __: Exchange) -> dict[str, Any]:
        stopped = [
            child.kind for child in self._workers if child.kind != "train" and child.state == "idle"
        ]
        for child in self._workers:
            if child.kind in stopped:
                await child.stop()
        message = f"unloaded: {', '.join(stopped)}" if stopped else "nothing was loaded and idle"
        return {"message": message, "unloaded": stopped}

    # --- projects -----------------------------------------------------------------------------

    async def _add(self, wanted: messages.Add, _: Exchange) -> dict[str, Any]:
        self._learning.touch()
        project = await self._indexing.add(wanted.path, wanted.name)
        return {"id": project.id, "name": project.name, "path": project.path}

    async def _remove(self, wanted: messages.Remove, _: Exchange) -> dict[str, Any]:
        project = self._stores.projects.get(wanted.project)
        if self._learning.loop.busy and self._learning.loop.project == project.id:
            raise RefusedError(
                f"{project.name} is being learned from",
                hint="wait for the run, or stop it with `gardenerctl cancel`",
            )
        await self._tuning.end_run_of(project.id)
        await self._indexing.remove(project.id)
        embeddings.delete(project.id, self._home)
        folder = self._home.adapters / project.id
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return {"message": f"{project.name} is no longer tended; its folder was not touched"}

    async def _list_projects(self, _: messages.Projects, __: Exchange) -> dict[str, Any]:
        return {"projects": (await self._status())["projects"]}

    async def _rescan(self, wanted: messages.Rescan, _: Exchange) -> dict[str, Any]:
        projects = self._named(wanted.project)
        for project in projects:
            self._indexing.rescan(project.id, ASKED)
        return {"message": f"scanning {', '.join(project.name for project in projects)}"}

    async def _wait(self, wanted: messages.Wait, exchange: Exchange) -> dict[str, Any]:
        projects = self._named(wanted.project)
        settling = settle(self._indexing, [p.id for p in projects], exchange.progress)
        await _within(wanted.timeout_s, settling)
        blind = {project.name: self._indexing.not_covered(project.id) for project in projects}
        not_covered = [f"{name}: {text}" for name, texts in blind.items() for text in texts]
        return {
            "settled": not not_covered,
            "not_covered": not_covered,
            "projects": [project.name for project in projects],
        }

    async def _why(self, wanted: messages.Why, _: Exchange) -> dict[str, Any]:
        return await asyncio.to_thread(
            covering.explain, Path(wanted.path), self._stores, self._indexing.rules
        )

    async def _forget(self, wanted: messages.Forget, exchange: Exchange) -> dict[str, Any]:
        if wanted.look:
            return await self._forgetting.look(wanted.path)
        self._learning.touch()
        return await self._forgetting.forget(wanted.path, exchange.progress)

    async def _remember(self, wanted: messages.Remember, _: Exchange) -> dict[str, Any]:
        return self._forgetting.undo(wanted.path)

    async def _list_forgotten(self, wanted: messages.Forgotten, _: Exchange) -> dict[str, Any]:
        return {"forgotten": self._forgetting.all(wanted.project)}

    # --- asking -------------------------------------------------------------------------------

    async def _search(self, wanted: messages.Search, exchange: Exchange) -> dict[str, Any]:
        self._learning.touch()
        if wanted.fresh:
            projects = [project.id for project in self._named(wanted.project)]
            await settle(self._indexing, projects, exchange.progress)
        return await self._finding.search(wanted)

    async def _ask(self, wanted: messages.Ask, exchange: Exchange) -> dict[str, Any]:
        self._learning.touch()
        return await self._answering.ask(wanted, lambda text: exchange.chunk({"text": text}))

    async def _complete(self, wanted: messages.Complete, exchange: Exchange) -> dict[str, Any]:
        self._learning.touch()
        return await self._completing.complete(wanted, lambda text: exchange.chunk({"text": text}))

    async def _score(self, wanted: messages.Score, _: Exchange) -> dict[str, Any]:
        self._learning.touch()
        return await self._completing.score(wanted)

    async def _feedback(self, wanted: messages.Feedback, _: Exchange) -> dict[str, Any]:
        new = self._stores.feedback.record(
            wanted.answer, wanted.verdict, wanted.correction, wanted.key, time.time()
        )
        message = "thank you, stored" if new else "this feedback is stored already"
        project = self._stores.feedback.project_of(wanted.answer)
        done = rewards.watch(project, self._stores, time.time()) if new and project else None
        if done is not None:
            message = f"{message}; {done}"
            self._publish("adapter", "rolled_back", {"project": project, "reason": done})
        return {"message": message, "new": new}

    async def _judgements(self, wanted: messages.Judgements, _: Exchange) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        for project in self._named(wanted.project):
            judgements = self._stores.feedback.judgements(project.id, newest=wanted.limit)
            found += [
                {
                    **msgspec.to_builtins(judged),
                    "project": project.name,
                    "reward": rewards.worth(judged),
                }
                for judged in judgements
            ]
        found.sort(key=lambda judged: judged["created"], reverse=True)
        return {"feedback": found[: wanted.limit]}

    # --- learning -----------------------------------------------------------------------------

    async def _train(self, wanted: messages.Train, exchange: Exchange) -> dict[str, Any]:
        project = self._one(wanted.project)
        run = await self._learning.request(project)
        if not wanted.wait:
            return {"run": run, "state": self._learning.loop.phase}
        return await self._learning.result(run, exchange.progress)

    async def _pause(self, wanted: messages.Pause, _: Exchange) -> dict[str, Any]:
        if wanted.seconds is not None and wanted.seconds <= 0:
            raise RefusedError("a pause needs a length", hint="gardenerctl pause 30m")
        self._learning.pause(wanted.seconds)
        return {"message": "training is paused", "until": self._learning.paused_until}

    async def _resume(self, _: messages.Resume, __: Exchange) -> dict[str, Any]:
        self._learning.resume()
        return {"message": "training may go on"}

    async def _cancel(self, _: messages.Cancel, __: Exchange) -> dict[str, Any]:
        run = self._learning.cancel()
        return {"message": f"run {run} was cancelled", "run": run}

    async def _rollback(self, wanted: messages.Rollback, _: Exchange) -> dict[str, Any]:
        project = self._one(wanted.project)
        told = versions.roll_back(project, wanted.version, self._stores)
        self._publish("adapter", "rolled_back", {"project": project.name, **told})
        return told

    async def _manage_adapter(self, wanted: messages.ManageAdapter, _: Exchange) -> dict[str, Any]:
        project = self._one(wanted.project)
        if wanted.action == "rm":
            versions.remove(project, wanted.version, self._home, self._stores)
        else:
            self._stores.adapters.pin(project.id, wanted.version, wanted.action == "pin")
        done = {"pin": "is pinned", "unpin": "is no longer pinned", "rm": "is removed"}
        return {"message": f"{wanted.version} {done[wanted.action]}", "version": wanted.version}

    async def _export(self, wanted: messages.Export, exchange: Exchange) -> dict[str, Any]:
        project = None if wanted.version == "base" else self._one(wanted.project)
        return await self._exporting.export(wanted, project, exchange.progress)

    async def _adapters(self, wanted: messages.Adapters, _: Exchange) -> dict[str, Any]:
        named = self._stores.projects.get(wanted.project).id if wanted.project else None
        names = {project.id: project.name for project in self._stores.projects.all()}
        return {
            "adapters": [
                {
                    "version": adapter.version,
                    "project": names[adapter.project],
                    "state": adapter.state,
                    "parent": adapter.parent,
                    "created": adapter.created,
                    "scores": adapter.scores,
                    "serving": adapter.state == "serving",
                    "waits": bool(adapter.waits),
                    "pinned": adapter.pinned,
                    "run": adapter.run,
                }
                for adapter in self._stores.adapters.all(named)
            ]
        }

    async def _embeddings(self, wanted: messages.Embeddings, _: Exchange) -> dict[str, Any]:
        named = self._stores.projects.get(wanted.project) if wanted.project else None
        return {"embeddings": self._tuning.versions(named)}

    async def _tune_embedding(self, wanted: messages.TuneEmbedding, _: Exchange) -> dict[str, Any]:
        return await self._tuning.run(self._one(wanted.project))

    async def _rollback_embedding(
        self, wanted: messages.RollbackEmbedding, _: Exchange
    ) -> dict[str, Any]:
        project = self._one(wanted.project)
        told = embeddings.roll_back(project, wanted.version, self._stores)
        self._publish("index", "embedding", {"project": project.name, **told})
        return told

    async def _list_models(self, _: messages.Models, __: Exchange) -> dict[str, Any]:
        return await self._models.all()

    async def _show_model(self, wanted: messages.ShowModel, _: Exchange) -> dict[str, Any]:
        return await self._models.show(wanted.name)

    async def _use_model(self, wanted: messages.UseModel, _: Exchange) -> dict[str, Any]:
        self._learning.touch()
        told = await self._models.use(wanted.name)
        if told["changed"]:
            self._publish("adapter", "base", told)
        return told

    async def _remove_model(self, wanted: messages.RemoveModel, _: Exchange) -> dict[str, Any]:
        return await self._models.remove(wanted.name)

    async def _pull_model(self, wanted: messages.PullModel, exchange: Exchange) -> dict[str, Any]:
        return await self._models.pull(wanted, exchange.progress)

    async def _history(self, wanted: messages.History, _: Exchange) -> dict[str, Any]:
        named = self._stores.projects.get(wanted.project).id if wanted.project else None
        names = {project.id: project.name for project in self._stores.projects.all()}
        return {
            "runs": [
                {
                    "run": run.id,
                    "project": names[run.project],
                    "state": run.state,
                    "outcome": run.outcome,
                    "reason": run.reason,
                    "started": run.started,
                    "finished": run.finished,
                    "version": run.version,
                    "scores": run.scores,
                    "report": {k: v for k, v in run.report.items() if k != "scores"},
                }
                for run in self._runs(wanted.run, named, wanted.limit)
            ]
        }

    def _runs(self, run: str | None, project: str | None, limit: int) -> list[Run]:
        if run is None:
            return self._stores.runs.history(project, limit)
        found = self._stores.runs.get(run)
        if found is None:
            raise NotFoundError(f"there is no run {run!r}", hint="see `gardenerctl history`")
        return [found]

    # --- parts --------------------------------------------------------------------------------

    def _named(self, name: str | None) -> list[Project]:
        return [self._stores.projects.get(name)] if name else self._stores.projects.all()

    def _one(self, name: str | None) -> Project:
        """The project meant, where one can be left out when there is only one."""
        if name:
            return self._stores.projects.get(name)
        projects = self._stores.projects.all()
        if len(projects) == 1:
            return projects[0]
        if not projects:
            raise RefusedError("no project is tended yet", hint="add one: gardenerctl add PATH")
        names = ", ".join(project.name for project in projects)
        raise RefusedError("which project?", hint=f"name one with --project: {names}")


async def _within(seconds: float | None, work: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        raise TimedOutError(
            f"not settled after {seconds:g} s",
            hint="see `gardenerctl status`, or wait longer with --timeout",
        ) from None
