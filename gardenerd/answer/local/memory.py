"""The memory of the worker, kept under a limit: what can be had again gives way first."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence

import psutil
import torch

from gardenerd.errors import ModelError

_MB = 1_000_000


class Memory:
    """What this process holds, and what it can give up.

    Args:
        limit: of the whole process, in bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.spare: Sequence[Callable[[], bool]] = ()
        """Each gives something up and says whether it had anything; in the order to ask them."""
        self._process = psutil.Process()

    @property
    def used(self) -> int:
        """Resident, and on a CUDA device what torch has reserved there."""
        reserved = torch.cuda.memory_reserved() if torch.cuda.is_initialized() else 0
        return self._process.memory_info().rss + reserved

    def make_room(self, wanted: int) -> bool:
        """Give up what is needed so that ``wanted`` bytes more stay under the limit; False when
        there is not so much to give up."""
        while self.used + wanted > self.limit:
            if not any(give_up() for give_up in self.spare):
                return False
            _return_to_system()
        return True

    def error(self, what: str, wanted: int) -> ModelError:
        """Why there is no room for ``what``."""
        return ModelError(
            f"{what} needs {wanted // _MB:,} MB; the model worker holds {self.used // _MB:,} MB "
            f"and may hold {self.limit // _MB:,} MB",
            hint="raise model.max_memory_mb in config.toml, or use a smaller model",
        )


def _return_to_system() -> None:
    """Have the C library give back what it keeps of freed memory."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        if trim is not None:
            trim(0)
