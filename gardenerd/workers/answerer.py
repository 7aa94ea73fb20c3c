"""The model worker: completes, answers and scores. ``python -m gardenerd.workers.answerer``.

It answers pings at once: torch and transformers take 4 seconds to import, which happens in a
thread of its own while the main thread serves the socket.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING

from gardenerd import logs, settings
from gardenerd.paths import find_home
from gardenerd.workers.harness import Context, Harness, child_arguments
from gardenerd.workers.jobs import Done, Generated, ModelJob, Scores

if TYPE_CHECKING:
    from gardenerd.answer.engine import Engine


# Jobs under way: what the model computes together (answer/local/scheduler.py), and some that wait
# for it or score.
_ABREAST = 12


class _Answerer:
    """Builds the engine in the background; the first job waits for it."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        home = find_home()
        engine = self._ready()
        if settings.load(home.config).model.backend == "transformers":
            engine.warm()

    def handle(self, job: ModelJob, context: Context) -> Generated | Scores | Done:
        engine = self._ready()
        context.check()
        return engine.handle(job, context)

    def _ready(self) -> Engine:
        with self._lock:
            if self._engine is None:
                from gardenerd.answer.engine import Engine

                self._engine = Engine(find_home())
            return self._engine


def main() -> None:
    endpoint, log_file = child_arguments()
    logs.configure(log_file)
    # Libraries use these to speak to their own developers; here they would fill the log.
    warnings.filterwarnings("ignore", category=FutureWarning)
    answerer = _Answerer()
    threading.Thread(target=answerer.warm_up, name="warm-up", daemon=True).start()
    Harness[ModelJob](endpoint, ModelJob, answerer.handle, abreast=_ABREAST).serve()


if __name__ == "__main__":
    main()
