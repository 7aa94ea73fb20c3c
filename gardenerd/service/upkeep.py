"""When the index is compacted, and when its worker has had its day.

Compaction rewrites most of the table, so it is left for quiet times. There it takes three passes:
the first compacts what is new and brings the full-text index up to date, the second merges that
with the rest, the third drops the files of which the versions before were made. Only one who never
rests is compacted while working; beside this, the worker itself does so when too many rows are
outside of its full-text index.
"""

from __future__ import annotations

import logging
import time

from gardenerd.workers.child import Child
from gardenerd.workers.jobs import Done, OptimizeIndex

log = logging.getLogger(__name__)

# Quiet before each pass. What a search may still read is younger than the minute for which old
# versions are kept, or is the newest; so the last pass alone waits for longer than that.
_QUIET_SECONDS = (20.0, 20.0, 65.0)
_MOST_JOBS = 200
# Bounds what LanceDB may leak in a process that holds a table with a full-text index.
_WORN_JOBS = 1_000
_WORN_PASSES = 100


class Upkeep:
    """Counts what the index worker does, and asks it to compact.

    Only a worker that is there anyway is asked in quiet times: it is never started for this, and
    the first pass comes before one with a short ``keep_alive`` (in seconds) leaves.
    """

    def __init__(self, index: Child, keep_alive: float) -> None:
        self._index = index
        self._keep_alive = keep_alive
        self._pass = len(_QUIET_SECONDS)
        """The number of the next one; past the last when all is done."""
        self._jobs = 0
        """Since the last pass."""
        self._last = time.monotonic()
        """When the index was changed or compacted."""
        self._pid: int | None = None
        self._worn = 0.0
        """How much of its life the present process has lived; 1 is all."""

    def worked(self) -> None:
        """The worker changed the index."""
        self._jobs += 1
        self._pass = 0
        self._last = time.monotonic()
        self._wear(1 / _WORN_JOBS)

    def due_in(self, now: float) -> float | None:
        """Seconds until the next pass; None when none is needed. ``now`` is monotonic."""
        if self._jobs >= _MOST_JOBS:
            return 0.0
        if self._pass == len(_QUIET_SECONDS) or self._index.state == "absent":
            return None
        quiet = min(_QUIET_SECONDS[self._pass], self._keep_alive / 2)
        return max(0.0, self._last + quiet - now)

    async def run(self) -> None:
        """One pass. It counts also if it fails: nothing is repeated for ever.

        Raises:
            GardenerError: the worker failed.
        """
        self._pass = min(self._pass + 1, len(_QUIET_SECONDS))
        self._jobs = 0
        try:
            await self._index.call(OptimizeIndex(), Done)
        finally:
            self._last = time.monotonic()
        self._wear(1 / _WORN_PASSES)

    def _wear(self, part: float) -> None:
        if self._index.pid != self._pid:
            self._pid, self._worn = self._index.pid, 0.0
        self._worn += part
        if self._worn >= 1 and self._pid is not None:
            log.info("the index worker is replaced", extra={"pid": self._pid})
            self._index.retire()
