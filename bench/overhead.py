"""What a run costs beside its training: ``python -m bench.overhead``.

A real run of the seedling on three packages of the standard library. Limits: the supervisor takes
under 100 MB more and 5 % of a core, 10 ms of its processor time for each update that it passes on
to a follower, and the first step comes within 2 s, besides the imports of a training process (which
are measured in the same run) and the preparation of the examples (as the run's own clock tells it).
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
from typing import Any

import psutil

MINUTES = 0.5
LIMIT_MB = 100.0
LIMIT_PERCENT = 5.0
LIMIT_UPDATE_MS = 10.0
LIMIT_START_S = 2.0
_PACKAGES = ("json", "email", "asyncio")
_CONFIG = f"""\
[loop]
window = ""
idle_minutes = 0
[train]
minutes = {MINUTES}
"""
_IMPORTS = "import torch, transformers, peft, accelerate, gardenerd.train.run"


def measure() -> dict[str, Any]:
    """One run, followed as ``train --wait`` does."""
    from gardenerctl.service import halt, launch
    from gardenerd.paths import Home
    from gardenerd.wire.client import Client
    from gardenerd.wire.messages import Add, History, Train, Wait

    standard = Path(sysconfig.get_paths()["stdlib"])
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
    imports = time.monotonic() - began
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        home = Home(Path(folder) / "home")
        home.create()
        home.config.write_text(_CONFIG)
        hello, _ = launch(home)
        try:
            with Client(home) as client:
                for name in _PACKAGES:
                    shutil.copytree(standard / name, Path(folder) / "project" / name)
                client.call(Add(path=str(Path(folder) / "project"), name="p"))
                client.call(Wait(timeout_s=120), timeout_s=None)
                daemon = psutil.Process(hello["pid"])
                memory, used = daemon.memory_info().rss, _used(daemon)
                asked = time.monotonic()
                stepped: list[float] = []
                updates = 0
                most = memory

                def follow(reply: Any) -> None:
                    nonlocal updates, most
                    updates += 1
                    most = max(most, daemon.memory_info().rss)
                    if reply.body.get("step"):
                        stepped.append(time.monotonic())

                client.call(Train(project="p", wait=True), on_update=follow, timeout_s=None)
                seconds = time.monotonic() - asked
                spent = _used(daemon) - used
                report = client.call(History(project="p", limit=1))["runs"][0]["report"]
        finally:
            halt(home)
    first_step = report["seconds"]["training"] / max(1, report["steps"])
    start = stepped[0] - asked - imports - report["seconds"]["preparing"] - first_step
    found = {
        "added_mb": (most - memory) / 1e6,
        "limit_mb": LIMIT_MB,
        "percent_of_a_core": 100 * spent / seconds,
        "limit_percent": LIMIT_PERCENT,
        "update_ms": 1e3 * spent / updates,
        "limit_update_ms": LIMIT_UPDATE_MS,
        "updates": updates,
        "start_s": start,
        "limit_start_s": LIMIT_START_S,
        "imports_s": imports,
        "run_mb": report["peak_rss_bytes"] / 1e6,
    }
    within = (
        found["added_mb"] < LIMIT_MB
        and found["percent_of_a_core"] < LIMIT_PERCENT
        and found["update_ms"] < LIMIT_UPDATE_MS
        and found["start_s"] < LIMIT_START_S
    )
    return {**found, "within": within}


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
