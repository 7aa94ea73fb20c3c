"""Memory that is free, and how busy the other programs keep the processors."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import psutil

_CPUINFO = Path("/proc/cpuinfo")
_NVIDIA = Path("/proc/driver/nvidia/version")


def free_memory_mb() -> float:
    """What a new process could use without swapping."""
    return psutil.virtual_memory().available / 1e6


def trains_in_half() -> bool:
    """Whether training runs in half precision here, as far as one can tell without torch.

    It does on Apple's chips and NVIDIA's, and on processors with bfloat16 products.
    """
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    try:
        flags = _CPUINFO.read_text()
    except OSError:
        flags = ""
    return _NVIDIA.exists() or "avx512_bf16" in flags or "amx_bf16" in flags


class Load:
    """The share of all processors that others used between two calls."""

    def __init__(self) -> None:
        self._before: tuple[float, float, dict[int, float]] | None = None

    def others(self, own: set[int]) -> float:
        """0 to 1, since the last call; 0.0 at the first.

        Args:
            own: process ids of gardener, whose use does not count.
        """
        times = psutil.cpu_times()
        total = sum(times)
        # waiting for a disk is idle time as well
        idle = times.idle + getattr(times, "iowait", 0.0)
        # niced work (a backup, another training) yields to the user anyway
        busy = total - idle - getattr(times, "nice", 0.0)
        mine = {pid: used for pid in own if (used := _used(pid)) is not None}
        before, self._before = self._before, (total, busy, mine)
        if before is None or total <= before[0]:
            return 0.0
        ours = sum(used - before[2].get(pid, used) for pid, used in mine.items())
        return min(1.0, max(0.0, (busy - before[1] - ours) / (total - before[0])))


def _used(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        if process.nice() > 0:
            return 0.0  # not counted above either
        times = process.cpu_times()
    except psutil.Error:
        return None  # it ended
    return times.user + times.system
