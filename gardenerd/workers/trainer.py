"""The training process: one run at the lowest priority, then the supervisor lets it go.

SIGTERM asks it to write a checkpoint and leave with status 75 (try again later); the same job
given to a new process goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import warnings

import msgspec
import psutil

from gardenerd import logs
from gardenerd.workers.harness import Context, Harness, child_arguments
from gardenerd.workers.train_jobs import TrainJob, TrainProgress

TRY_AGAIN = 75
"""Exit status after a checkpoint: EX_TEMPFAIL of sysexits.h."""
_MIN_SECONDS_BETWEEN_UPDATES = 0.2


def main() -> None:
    """Serve training jobs until the supervisor says leave."""
    endpoint, log_file = child_arguments()
    logs.configure(log_file)
    _lower_priority()
    # Libraries use these to speak to their own developers; here they would fill the log.
    warnings.filterwarnings("ignore", category=FutureWarning)
    leaving, busy = threading.Event(), threading.Event()

    def handle(job: TrainJob, context: Context) -> msgspec.Struct:
        # Imported here: the socket answers pings during the seconds that torch takes to load.
        from gardenerd.train import loop, run

        busy.set()
        sent_at, phase = 0.0, ""

        def report(progress: TrainProgress) -> None:
            nonlocal sent_at, phase
            now = time.monotonic()
            if progress.phase != phase or now - sent_at >= _MIN_SECONDS_BETWEEN_UPDATES:
                sent_at, phase = now, progress.phase
                context.update(progress)

        try:
            return run.run(job, report=report, leave=leaving.is_set, check=context.check)
        except loop.Left:
            sys.stderr.flush()
            os._exit(TRY_AGAIN)
        finally:
            busy.clear()

    def terminate() -> None:
        leaving.set()
        if not busy.is_set():
            harness.leave()

    harness = Harness[TrainJob](endpoint, TrainJob, handle, on_terminate=terminate)
    harness.serve()


def _lower_priority() -> None:
    os.nice(19)
    process = psutil.Process()
    if hasattr(process, "ionice"):  # Linux
        # A container may forbid it; a low processor priority is what matters.
        with contextlib.suppress(psutil.AccessDenied, OSError):
            process.ionice(psutil.IOPRIO_CLASS_IDLE)


if __name__ == "__main__":
    main()
