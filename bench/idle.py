"""What the supervisor costs when nothing happens: three projects tended, 60 seconds.

    python -m bench.idle

Limits: 45 MB resident, 0.2 % of a core, and no worker alive after its idle time.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import psutil

SECONDS = 60.0
LIMIT_MB = 45.0
LIMIT_PERCENT = 0.2
_PACKAGES = ("json", "email", "asyncio")


def measure(seconds: float = SECONDS) -> dict[str, float | int | bool]:
    """Resident memory in MB, processor use in percent of one core, workers left alive."""
    from gardenerctl.service import halt, launch
    from gardenerd.paths import Home

    standard = Path(sysconfig.get_paths()["stdlib"])
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        home = Home(Path(folder) / "home")
        home.create()
        home.config.write_text(  # idle at any hour
            '[index]\nkeep_alive = "2s"\n[loop]\nwindow = ""\nidle_minutes = 0\n'
        )
        hello, _ = launch(home)
        try:
            for name in _PACKAGES:
                shutil.copytree(standard / name, Path(folder) / name)
                _ctl(home.root, "add", str(Path(folder) / name))
            _ctl(home.root, "wait", "--settled", "--timeout", "120")
            daemon = psutil.Process(hello["pid"])
            while daemon.children(recursive=True):
                time.sleep(0.2)
            before = _used(daemon)
            time.sleep(seconds)
            percent = 100 * (_used(daemon) - before) / seconds
            memory = daemon.memory_info().rss / 1e6
            workers = len(daemon.children(recursive=True))
        finally:
            halt(home)
    return {
        "rss_mb": memory,
        "limit_mb": LIMIT_MB,
        "percent_of_a_core": percent,
        "limit_percent": LIMIT_PERCENT,
        "workers": workers,
        "within": memory < LIMIT_MB and percent < LIMIT_PERCENT and not workers,
    }


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def _ctl(home: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "gardenerctl", *arguments],
        env={"GARDENER_HOME": str(home), "PATH": ""},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
