"""The learning loop at work: carries out what the machine decides and tells it what happened."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gardenerd.core import effects, events
from gardenerd.core.machine import Loop, step
from gardenerd.core.pace import Verdict
from gardenerd.core.turns import next_turn
from gardenerd.errors import GardenerError, RefusedError, WorkerError
from gardenerd.host import Host, energy
from gardenerd.paths import Home
from gardenerd.service import backlog, needs, promoting, versions
from gardenerd.service.base import BaseInUse
from gardenerd.service.following import Following
from gardenerd.service.pacing import Pacing
from gardenerd.service.preparing import TooLittle, made_for, prepare, read_job
from gardenerd.service.presence import Presence
from gardenerd.settings import Settings
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.workers.child import Child
from gardenerd.workers.train_jobs import RunReport, TrainProgress

log = logging.getLogger(__name__)

Publish = Callable[[str, str, dict[str, Any]], None]

# A frozen run keeps its memory this long; then it is saved and leaves.
_FROZEN_SECONDS = 120.0
# Looking at the host costs a process; while a run yields to its user it is worth it.
_WATCH_SECONDS = 0.5
_ATTEMPTS = 2
_FORGETTING = "something is being forgotten, and may not be learned from meanwhile"


class Learning:
    """One run at a time on this machine, whatever the number of projects."""

    def __init__(
        self,
        *,
        home: Home,
        settings: Settings,
        stores: Stores,
        base: BaseInUse,
        index: Child,
        trainer: Child,
        host: Host,
        publish: Publish,
    ) -> None:
        self.loop = Loop()
        self.progress: TrainProgress | None = None
        self.last_error = ""
        self._home = home
        self._settings = settings
        self._stores = stores
        self._base = base
        self._index = index
        self._trainer = trainer
        self._pacing = Pacing(Presence(host, stores.activity), settings.loop, stores)
        self._following = Following()
        self._publish = publish
        self._work: asyncio.Task[None] | None = None
        self._attempts = 0
        self._suspending = False
        self._closing = False
        self._frozen_at: float | None = None
        self._end_reason = ""

    # --- what the operations ask --------------------------------------------------------------

    async def request(self, project: Project) -> str:
        """Start a run of ``project`` now, or take over one that began by itself; gives its name.

        Raises:
            RefusedError: another run is under way, training is paused, or memory or disk is short.
        """
        lacking = "" if self.loop.busy else await self._lacking(project.id)
        if lacking:
            raise RefusedError(lacking, hint="close what uses it, or see [train] in the README")
        theirs = self.loop.project == project.id and not self.loop.attended
        if self.loop.busy and not theirs:
            raise RefusedError(
                f"run {self.loop.run} is {self.loop.phase}",
                hint="follow it with `gardenerctl watch`, or stop it with `gardenerctl cancel`",
            )
        if "person" in self.loop.held:
            raise RefusedError("training is paused", hint="run `gardenerctl resume` first")
        if self._forgetting():
            raise RefusedError(_FORGETTING, hint="try again in a moment; see `gardenerctl status`")
        self._tell(events.Requested(project=project.id), new_run=_name_run())
        return self.loop.run

    async def result(
        self, run: str, on_progress: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Wait for the end of ``run`` and give its outcome.

        Raises:
            RefusedError: it is not under way.
        """
        return await self._following.result(run, on_progress)

    def pause(self, seconds: float | None) -> None:
        """Hold training until resumed, or for ``seconds``; survives a restart."""
        self._pacing.pause(seconds)
        self._tell(events.Held(by="person", reason="paused by you"))
        self._publish("loop", "held", {"seconds": seconds})

    def resume(self) -> None:
        self._pacing.resume()
        self._tell(events.Released(by="person"))

    def cancel(self) -> str:
        """End the run under way; gives its name.

        Raises:
            RefusedError: nothing is under way.
        """
        if not self.loop.busy:
            raise RefusedError("no run is under way", hint="see `gardenerctl history`")
        run = self.loop.run
        self._end_reason = "cancelled by you"
        self._tell(events.CancelRequested())
        return run

    async def end_run_of(self, project: str, reason: str) -> str:
        """End the run of ``project`` if one is under way, and wait for it; gives its name, or "".

        The caller keeps the next from beginning.
        """
        if not self.loop.busy or self.loop.project != project:
            return ""
        run = self.loop.run
        self._end_reason = reason
        self._tell(events.CancelRequested())
        await self._following.result(run)
        return run

    def touch(self) -> None:
        """The user did something: a run that nobody asked for yields at once."""
        self._pacing.touch()
        if self.loop.busy and not self.loop.attended and "host" not in self.loop.held:
            self._tell(events.Held(by="host", reason="you are back"))

    @property
    def paused_until(self) -> float | None:
        """Seconds since the epoch, ``inf`` until resumed, None when not paused."""
        return self._pacing.paused_until

    # --- life ---------------------------------------------------------------------------------

    def recover(self) -> None:
        """At start: take up the run that the last life of the daemon left unfinished."""
        if self.paused_until is not None:
            self._tell(events.Held(by="person", reason="paused by you"))
        for run in self._stores.runs.unfinished():
            resumable = (
                run.state == "training" and (self._home.run_folder(run.id) / "job.json").is_file()
            )
            # What it was given is not to be learned from any more.
            forgetting = self._forgetting(run.project)
            left = resumable and not made_for(self._base, self._home.run_folder(run.id))
            if resumable and not left and not forgetting and not self.loop.busy:
                attended = bool(run.settings.get("attended"))
                self._following.begin(run.id)
                self._tell(events.Recovered(run=run.id, project=run.project, attended=attended))
            else:
                reason = "the daemon ended while it was being prepared"
                if forgetting or left:
                    reason = _FORGETTING if forgetting else "the base model was changed meanwhile"
                self._stores.runs.end(run.id, outcome="failed", reason=reason, now=time.time())
        versions.sweep(self._home, self._stores)

    async def tick(self) -> None:
        """Once in a while: may a run start? Should one go on, or give its memory back?"""
        self._lift_pause()
        if self.loop.busy:
            self._give_back_memory()
            return
        waiting = [backlog.waiting(p.id, self._stores) for p in self._stores.projects.all()]
        turn = next_turn(waiting, self._settings.loop.batch_size, time.time())
        verdict = await self._verdict(turn.new_examples)
        reason = turn.reason or ("" if verdict.allowed else verdict.reason)
        if turn.project and not reason:
            reason = await self._lacking(turn.project)
        if self.loop.busy:  # a person was faster
            return
        reason = _FORGETTING if self._forgetting() else reason
        self._tell(
            events.Considered(
                allowed=bool(turn.project) and not reason,
                reason=reason or verdict.reason,
                project=turn.project,
                new_examples=turn.new_examples,
            ),
            new_run=_name_run(),
        )

    async def watch_user(self) -> None:
        """While a run is under way that nobody asked for: yield within a second of a return."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if not self.loop.busy or self.loop.attended:
                if "host" in self.loop.held:
                    self._tell(events.Released(by="host"))
                await asyncio.sleep(_WATCH_SECONDS)
                continue
            verdict = await self._verdict(None)
            if verdict.allowed:
                self._tell(events.Released(by="host"))
            else:
                self._tell(events.Held(by="host", reason=verdict.reason))

    async def close(self) -> None:
        """Stop working; a run under way saves a checkpoint if it can within the time given."""
        self._closing = True
        if self._work is not None and not self._work.done():
            if self._trainer.state != "absent":
                self._trainer.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(self._work), 2.5)
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
        self._following.close()

    async def spare(self) -> Verdict:
        """May work begin, or go on, that is no run: as one would that nobody asked for, if none is
        under way."""
        if self.loop.busy:
            return Verdict(False, f"run {self.loop.run} is {self.loop.phase}")
        return await self._verdict(None)

    async def _verdict(self, new_examples: int | None) -> Verdict:
        """The pace's decision; None asks whether a run under way may go on."""
        own = {child.pid for child in (self._index, self._trainer) if child.pid}
        return await self._pacing.verdict(new_examples, own)

    async def _lacking(self, project: str) -> str:
        return await asyncio.to_thread(
            needs.lacking, project, self._base, self._home, self._settings, self._stores
        )

    def _forgetting(self, project: str | None = None) -> bool:
        return bool(self._stores.forgotten.pending(project))

    def _lift_pause(self) -> None:
        until = self.paused_until
        if until is not None and until <= time.time():
            self.resume()

    def _give_back_memory(self) -> None:
        if self.loop.phase != "paused" or self._frozen_at is None:
            return
        if time.monotonic() - self._frozen_at >= _FROZEN_SECONDS:
            self._tell(events.HeldLong())

    # --- events in, effects out ---------------------------------------------------------------

    def _tell(self, event: events.Event, *, new_run: str = "") -> None:
        before = self.loop
        self.loop, wanted = step(before, event, new_run=new_run)
        for effect in wanted:
            self._do(effect)

    def _do(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Prepare(run=run, project=project, attended=attended):
                self._following.begin(run)
                self._start_work(self._prepare(run, project, attended))
            case effects.Launch(run=run):
                self._start_work(self._train(run))
            case effects.Freeze():
                self._trainer.freeze()
                self._frozen_at = time.monotonic()
            case effects.Thaw():
                self._trainer.thaw()
                self._frozen_at = None
            case effects.Suspend():
                self._suspending = True
                self._frozen_at = None
                self._trainer.terminate()
            case effects.Abort(run=run):
                self._abort(run)
            case effects.Announce():
                self._announce()
            case _:
                raise AssertionError(effect)

    def _start_work(self, work: Any) -> None:
        self._work = asyncio.create_task(self._guarded(work), name="learning")

    async def _guarded(self, work: Any) -> None:
        """Whatever goes wrong in a run ends the run, with its reason, and nothing else."""
        run = self.loop.run
        try:
            await work
        except asyncio.CancelledError:
            raise
        except GardenerError as error:
            self._fail(run, error.message, error.hint)
        except Exception as error:
            log.exception("a run failed", extra={"run": run})
            self._fail(run, f"{type(error).__name__}: {error}", "see `gardenerctl logs`")

    async def _prepare(self, run: str, project_id: str, attended: bool) -> None:
        project = self._stores.projects.get(project_id)
        self._stores.runs.begin(run, project.id, time.time(), {"attended": attended})
        self._show(TrainProgress(phase="preparing", percent=0.0))
        try:
            job = await prepare(
                run,
                project,
                base=self._base,
                home=self._home,
                settings=self._settings,
                stores=self._stores,
                index=self._index,
            )
        except TooLittle as little:
            self._end(run, "skipped", str(little))
            return
        self._stores.runs.frozen(run)
        self._attempts = 0
        log.info("inputs frozen", extra={"run": run, "folder": job.folder})
        self._tell(events.Prepared(run=run))

    async def _train(self, run: str) -> None:
        job = read_job(self._home.run_folder(run))
        self._attempts += 1
        self._suspending = False
        self._frozen_at = None
        before = await asyncio.to_thread(energy.counters)
        try:
            report = await self._trainer.call(job, RunReport, on_update=self._on_update)
        except WorkerError as error:
            if self._closing:
                return  # its row says that it is unfinished: the next start takes it up
            if self._suspending:
                self._tell(events.Suspended(run=run))
            elif self._attempts < _ATTEMPTS:
                log.warning("training is tried again", extra={"run": run, "cause": error.message})
                self._start_work(self._train(run))
            else:
                raise
            return
        await self._trainer.stop()
        verdict = await promoting.judge(
            run,
            report,
            home=self._home,
            stores=self._stores,
            keep=self._settings.loop.keep_versions,
            joules=energy.joules(before, await asyncio.to_thread(energy.counters)),
        )
        if verdict.version is not None:
            project = job.project
            self._publish("adapter", "promoted", {"project": project, "version": verdict.version})
        self._finish(
            run,
            verdict.outcome,
            verdict.reason,
            verdict.version,
            verdict.scores,
            held_out=[score.path for score in report.scores if score.slice != "general"],
        )

    def _on_update(self, body: msgspec.Raw) -> None:
        progress = msgspec.json.decode(body, type=TrainProgress)
        self._show(progress)
        if progress.phase != "preparing" and progress.phase != self.loop.phase:
            self._tell(events.Advanced(run=self.loop.run, phase=progress.phase))

    def _show(self, progress: TrainProgress) -> None:
        self.progress = progress
        body = {"run": self.loop.run, "state": self.loop.phase, **msgspec.to_builtins(progress)}
        self._publish("train", "progress", body)
        self._following.show(self.loop.run, body)

    def _abort(self, run: str) -> None:
        work = self._work

        async def end() -> None:
            if work is not None:
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await work
            await self._trainer.stop()
            self._end(run, "failed", self._end_reason)

        self._work = asyncio.create_task(end(), name="cancel")

    def _fail(self, run: str, message: str, hint: str) -> None:
        self.last_error = message
        log.error("run failed", extra={"run": run, "cause": message, "hint": hint})
        self._end(run, "failed", message)

    def _end(self, run: str, outcome: str, reason: str) -> None:
        """Close the ledger of a run that was not judged."""
        self._stores.runs.end(run, outcome=outcome, reason=reason, now=time.time())
        self._finish(run, outcome, reason, None, {})

    def _finish(
        self,
        run: str,
        outcome: str,
        reason: str,
        version: str | None,
        scores: dict[str, dict[str, float]],
        *,
        held_out: Sequence[str] = (),
    ) -> None:
        promoting.tidy(run, self._home)
        self.progress = None
        self._frozen_at = None
        result = {
            "run": run,
            "outcome": outcome,
            "reason": reason,
            "version": version,
            "scores": scores,
            "held_out": list(held_out),
        }
        log.info("run ended", extra={"run": run, "outcome": outcome, "reason": reason})
        self._tell(events.Ended(run=run, outcome=outcome, reason=reason))
        self._publish("train", "ended", result)
        self._following.end(run, result)

    def _announce(self) -> None:
        self._publish(
            "loop",
            self.loop.phase,
            {"run": self.loop.run, "project": self.loop.project, "reason": self.loop.reason},
        )


def _name_run() -> str:
    """Sorts by time, and no two are alike."""
    return time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)
