"""The fetch worker: pulls models and looks at the hardware. ``python -m
gardenerd.workers.fetcher``. It is apart from the model worker, which goes on answering meanwhile.
"""

from __future__ import annotations

import os

from gardenerd import logs
from gardenerd.workers.fetch_jobs import Fetched, FetchJob, FetchModel, Hardware
from gardenerd.workers.harness import Context, Harness, child_arguments


def main() -> None:
    """Serve jobs until the supervisor says leave."""
    endpoint, log_file = child_arguments()
    logs.configure(log_file)
    os.nice(10)

    def handle(job: FetchJob, context: Context) -> Fetched | Hardware:
        if isinstance(job, FetchModel):
            from gardenerd.models.pull import pull

            return pull(job, context.update, context.check)
        from gardenerd.models.device import look

        return look()

    # A look at the hardware does not wait for gigabytes.
    Harness[FetchJob](endpoint, FetchJob, handle, lane=lambda job: type(job).__name__).serve()


if __name__ == "__main__":
    main()
