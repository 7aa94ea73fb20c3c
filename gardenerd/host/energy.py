"""The energy that the processor used, where the system counts it.

Linux tells it for Intel's and AMD's processors by the powercap interface; newer kernels let only
root read it. macOS tells it to root alone. Counted is the whole processor, whoever used it.
"""

from __future__ import annotations

import re
from pathlib import Path

_POWERCAP = Path("/sys/class/powercap")
_PACKAGE = re.compile(r"intel-rapl:\d+")  # their parts are counted in them already

Counters = dict[str, tuple[int, int]]
"""By package: microjoules so far, and the number at which counting begins anew."""


def counters(folder: Path = _POWERCAP) -> Counters:
    """All that can be read; empty where nothing can."""
    found: Counters = {}
    try:
        packages = [path for path in folder.iterdir() if _PACKAGE.fullmatch(path.name)]
        for package in packages:
            used = int((package / "energy_uj").read_text())
            most = int((package / "max_energy_range_uj").read_text())
            found[package.name] = used, most
    except (OSError, ValueError):
        return {}
    return found


def joules(before: Counters, after: Counters) -> float | None:
    """The energy used between two readings; None if it cannot be told.

    A counter that is lower than before began anew once.
    """
    if not before or before.keys() != after.keys():
        return None
    used = 0
    for name, (start, most) in before.items():
        end = after[name][0]
        used += end - start if end >= start else end + most - start
    return used / 1e6
