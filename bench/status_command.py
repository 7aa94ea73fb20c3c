"""How long ``gardenerctl status`` takes as a whole command, against importing zmq alone.

    python -m bench.status_command

The daemon is real and serves a home of its own. The commands take turns, so that what else the
machine does meets all of them alike. Limit: 2 times.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_ROUNDS = 25
LIMIT = 2.0


def measure(rounds: int = _ROUNDS) -> dict[str, float]:
    """Medians in milliseconds, and the ratio of the one to the other."""
    from gardenerctl.service import halt, launch
    from gardenerd.paths import Home

    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        home = Home(Path(folder))
        environment = {**os.environ, "GARDENER_HOME": folder}
        commands = {
            "status": [sys.executable, "-m", "gardenerctl", "status"],
            "import_zmq": [sys.executable, "-c", "import zmq"],
        }
        took: dict[str, list[float]] = {name: [] for name in commands}
        launch(home)
        try:
            for _ in range(rounds):
                for name, command in commands.items():
                    began = time.perf_counter()
                    subprocess.run(
                        command, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=60
                    )
                    took[name].append(time.perf_counter() - began)
        finally:
            halt(home)
    medians = {name: 1_000 * statistics.median(times) for name, times in took.items()}
    ratio = medians["status"] / medians["import_zmq"]
    return {
        "status_ms": medians["status"],
        "import_zmq_ms": medians["import_zmq"],
        "ratio": ratio,
        "limit": LIMIT,
        "within": ratio <= LIMIT,
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
