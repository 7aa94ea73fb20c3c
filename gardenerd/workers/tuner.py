"""The tuning process: ``python -m gardenerd.workers.tuner ENDPOINT LOGFILE``.

One run at the lowest priority, then the supervisor lets it go. A run takes a minute or less, so it
keeps no checkpoint: one that is cut short is done again another time.
"""

from __future__ import annotations

import os

import msgspec

from gardenerd import logs
from gardenerd.workers.harness import Context, Harness, child_arguments
from gardenerd.workers.tune_jobs import TuneEmbedding

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def main() -> None:
    """Serve tuning jobs until the supervisor says leave."""
    endpoint, log_file = child_arguments()
    logs.configure(log_file)
    os.nice(19)
    for name in _ONE_THREAD:  # read when numpy is first imported
        os.environ[name] = "1"

    def handle(job: TuneEmbedding, context: Context) -> msgspec.Struct:
        from gardenerd.index.tuning.run import run

        return run(job, context.check)

    Harness(endpoint, TuneEmbedding, handle).serve()


if __name__ == "__main__":
    main()
