"""What a child process is told by its environment."""

from __future__ import annotations

import os

from gardenerd.paths import Home

FOR_TORCH = {
    # torch's threads wait for each other thousands of times a second. By default they spin
    # for as long as it takes: beside one other busy program a token then took 5 to 12
    # times as long, and training 4 times (2 cores). Never to spin costs a fifth of the
    # speed on a quiet machine. So: for some microseconds, then sleep.
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "1000",
    # oneDNN and what torch keeps of it hold a kernel for each shape of a product, 0.2 MB
    # each, 1,024 of them by default, twice: more than a small model and all of its states.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
    "LRU_CACHE_CAPACITY": "128",
}


def environment(home: Home) -> dict[str, str]:
    """The supervisor's own, and what the libraries of a child go by."""
    return {
        **os.environ,
        "GARDENER_HOME": str(home.root),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "true",
        **FOR_TORCH,
    }
