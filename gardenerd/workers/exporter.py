"""The exporting process: ``python -m gardenerd.workers.exporter ENDPOINT LOGFILE``.

One export, then the supervisor lets it go. It copies gigabytes, so it steps behind whatever the
user does.
"""

from __future__ import annotations

import os

import msgspec

from gardenerd import logs
from gardenerd.paths import find_home
from gardenerd.workers.export_jobs import ExportVersion
from gardenerd.workers.harness import Context, Harness, child_arguments


def main() -> None:
    """Serve export jobs until the supervisor says leave."""
    endpoint, log_file = child_arguments()
    logs.configure(log_file)
    os.nice(10)

    def handle(job: ExportVersion, context: Context) -> msgspec.Struct:
        from gardenerd.export.run import export

        return export(job, context, cache=find_home().models / "fingerprints.json")

    Harness(endpoint, ExportVersion, handle).serve()


if __name__ == "__main__":
    main()
