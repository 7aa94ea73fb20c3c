"""The daemon: wires the parts, runs them, and shuts them down in order."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

import zmq.asyncio

from gardenerd import __version__, host, logs
from gardenerd.errors import AlreadyRunningError
from gardenerd.host.schedule import Schedule
from gardenerd.paths import Home
from gardenerd.service.answering import Answering
from gardenerd.service.base import BaseInUse
from gardenerd.service.completing import Completing
from gardenerd.service.exporting import Exporting
from gardenerd.service.finding import Finding
from gardenerd.service.forgetting import Forgetting
from gardenerd.service.indexing import Indexing
from gardenerd.service.learning import Learning
from gardenerd.service.models import Models
from gardenerd.service.operations import Operations
from gardenerd.service.precedence import Precedence
from gardenerd.service.selection import Selection
from gardenerd.service.serving import Serving
from gardenerd.service.switching import Switching
from gardenerd.service.tuning import Tuning
from gardenerd.settings import Settings, parse_duration
from gardenerd.status import Reporter
from gardenerd.store.stores import Stores
from gardenerd.wire.server import Server
from gardenerd.workers.child import MODULES, Child

log = logging.getLogger(__name__)

_CONSIDER_SECONDS = 20.0
_TUNE_SECONDS = 120.0
_REAP_SECONDS = 5.0
_SWEEP_SECONDS = 60.0
# Of the worker that pulls models and looks at the hardware, for which it imports torch.
_FETCH_KEEP_SECONDS = 10.0
# Of the one that exports: when it is cancelled, it has to take away what it wrote.
_EXPORT_KEEP_SECONDS = 10.0
# launchd kills about 5 s after its SIGTERM; what is not done by then is taken up at the next start.
_SHUTDOWN_SECONDS = 4.0


class Lock:
    """One daemon in a home. The kernel releases it however the process ends."""

    def __init__(self, home: Home) -> None:
        self._path = home.lock
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise AlreadyRunningError(
                f"a daemon is running in this home (pid {owner})",
                hint="see `gardenerctl status`, or set GARDENER_HOME for another home",
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)


class Daemon:
    """All parts of one home. Build it inside the event loop, holding the home's lock."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._context = zmq.asyncio.Context()
        self._stores = Stores(home.database)
        base = BaseInUse(settings.model.base, home)
        index_keep, model_keep = (
            parse_duration(text) or 0.0
            for text in (settings.index.keep_alive, settings.model.keep_alive)
        )
        self._index = Child("index", MODULES["index"], home, self._context, keep_alive=index_keep)
        self._search = Child(
            "search", MODULES["search"], home, self._context, keep_alive=index_keep
        )
        self._model = Child("model", MODULES["model"], home, self._context, keep_alive=model_keep)
        # A training process belongs to its run; the loop ends it.
        self._trainer = Child(
            "train", MODULES["train"], home, self._context, keep_alive=float("inf")
        )
        self._tuner = Child("tune", MODULES["tune"], home, self._context, keep_alive=0)
        self._fetcher = Child(
            "fetch", MODULES["fetch"], home, self._context, keep_alive=_FETCH_KEEP_SECONDS
        )
        self._workers = [self._index, self._search, self._model, self._trainer, self._tuner]
        self._workers.append(self._fetcher)
        exporter = Child(
            "export", MODULES["export"], home, self._context, keep_alive=_EXPORT_KEEP_SECONDS
        )
        self._workers.append(exporter)
        self._learning = Learning(
            home=home,
            settings=settings,
            stores=self._stores,
            base=base,
            index=self._index,
            trainer=self._trainer,
            host=host.this_host(),
            publish=self._publish,
        )
        self._tuning = Tuning(
            home=home,
            settings=settings,
            stores=self._stores,
            tuner=self._tuner,
            spare=self._learning.spare,
            publish=self._publish,
        )
        self._indexing = Indexing(
            home=home,
            settings=settings,
            stores=self._stores,
            index=self._index,
            publish=self._publish,
            touched=self._learning.touch,
            followed=lambda: self._schedule.soon("consider"),
        )
        self._forgetting = Forgetting(
            home=home,
            settings=settings,
            stores=self._stores,
            indexing=self._indexing,
            learning=self._learning,
            tuning=self._tuning,
            model=self._model,
            search=self._search,
            publish=self._publish,
        )
        finding = Finding(
            home=home,
            settings=settings,
            stores=self._stores,
            indexing=self._indexing,
            search=self._search,
            precedence=Precedence(self._index),
        )
        selection = Selection(home=home, base=base, stores=self._stores)
        self._serving = Serving(settings.model, home, model=self._model)
        answering = Answering(
            settings=settings,
            stores=self._stores,
            finding=finding,
            selection=selection,
            serving=self._serving,
            model=self._model,
        )
        completing = Completing(
            settings=settings,
            stores=self._stores,
            finding=finding,
            selection=selection,
            serving=self._serving,
            model=self._model,
        )
        self._switching = Switching(
            home=home, stores=self._stores, base=base, learning=self._learning
        )
        models = Models(
            home=home,
            settings=settings,
            stores=self._stores,
            base=base,
            switching=self._switching,
            fetcher=self._fetcher,
        )
        reporter = Reporter(
            home=home,
            settings=settings,
            stores=self._stores,
            base=base,
            indexing=self._indexing,
            learning=self._learning,
            tuning=self._tuning,
            forgetting=self._forgetting,
            selection=selection,
            serving=self._serving,
            workers=self._workers,
        )
        operations = Operations(
            home=home,
            stores=self._stores,
            indexing=self._indexing,
            finding=finding,
            answering=answering,
            completing=completing,
            exporting=Exporting(home=home, base=base, stores=self._stores, exporter=exporter),
            forgetting=self._forgetting,
            learning=self._learning,
            tuning=self._tuning,
            models=models,
            workers=self._workers,
            publish=self._publish,
            status=reporter.status,
            shutdown=self.stop,
        )
        self._server = Server(home, self._context, operations.dispatch)
        self._schedule = Schedule()

    async def run(self) -> None:
        """Serve until :meth:`stop`, or SIGTERM or SIGINT; a second SIGINT ends at once."""
        self._take_signals()
        self._server.bind()
        await self._indexing.start()
        await self._switching.adopt()
        self._learning.recover()
        self._tuning.recover()
        self._go(self._server.serve(), "server")
        self._go(self._indexing.listen(), "listen")
        self._go(self._indexing.work(), "index")
        self._go(self._indexing.histories.work(), "histories")
        self._go(self._learning.watch_user(), "user")
        self._go(self._forgetting.work(), "forget")
        self._schedule.every(_CONSIDER_SECONDS, self._learning.tick, name="consider")
        self._schedule.every(_TUNE_SECONDS, self._tuning.tick, name="tune")
        self._schedule.every(_SWEEP_SECONDS, self._serving.tick, name="served")
        self._schedule.every(_REAP_SECONDS, self._reap, name="reap")
        self._schedule.start()
        self._schedule.soon("consider")
        log.info("ready", extra={"pid": os.getpid(), "version": __version__})
        self._publish("daemon", "ready", {"pid": os.getpid()})
        try:
            await self._until_stopped()
        finally:
            await self._close()

    def stop(self) -> None:
        self._stopping.set()

    async def _until_stopped(self) -> None:
        """Wait for a reason to end: somebody's wish, or a part that failed for good."""
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait([stopping, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in done:
            if task is not stopping:
                log.error("a part ended", extra={"part_name": task.get_name()})
                task.result()  # raises what ended it

    async def _close(self) -> None:
        """In order: no new work, children end, then what they used."""
        log.info("stopping")
        self._schedule.stop()
        self._publish("daemon", "stopping", {})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._close_parts(), _SHUTDOWN_SECONDS)
        await asyncio.gather(*(child.stop(grace=0.3) for child in self._workers))
        self._stores.close()
        self._server.unbind()  # where a part did not close in time
        self._context.destroy(linger=200)
        log.info("stopped")

    async def _close_parts(self) -> None:
        await self._tuning.close()
        await self._learning.close()
        self._forgetting.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._indexing.close()
        await self._server.close()

    async def _reap(self) -> None:
        now = time.monotonic()
        for child in self._workers:
            await child.reap_when_idle(now)

    def _go(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    def _publish(self, topic: str, name: str, body: dict[str, Any]) -> None:
        self._server.publish(topic, name, body)

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        # A closed terminal is no reason to end: this is a service.
        loop.add_signal_handler(signal.SIGHUP, lambda: None)

    def _interrupted(self) -> None:
        if self._stopping.is_set():
            os._exit(130)  # children see their pipe close and end too
        self.stop()


def run(home: Home, settings: Settings, *, terminal: bool) -> None:
    """Run a daemon in ``home`` until it is told to stop. Blocks.

    Raises:
        AlreadyRunningError: another daemon has this home.
        StorageError: the home cannot be used.
    """
    os.umask(0o077)
    home.create()
    with Lock(home):
        logs.configure(home.log_file, level=settings.log.level, terminal=terminal)
        for warning in settings.train.warnings():
            log.warning(warning)

        async def main() -> None:
            await Daemon(home, settings).run()

        try:
            asyncio.run(main())
        except Exception:
            log.exception("the daemon failed")
            raise
