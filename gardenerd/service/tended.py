"""What is known of a project only while the daemon runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from gardenerd.store.projects import Project
from gardenerd.watch.filters import Filter
from gardenerd.watch.rescan import Scan


@dataclass(slots=True)
class Tended:
    project: Project
    rules: Filter | None = None
    scan_wanted: str = "start"
    """Why the whole project must be looked at; empty when it need not."""
    busy: bool = False
    last_scan: Scan | None = None
    next_scan: float = field(default_factory=time.monotonic)

    def blind(self) -> list[str]:
        """What the last scan could not see, in words."""
        if self.last_scan is None or not (unreadable := self.last_scan.unreadable):
            return []
        return [f"{len(unreadable)} unreadable, first {unreadable[0]}"]

    def left_out(self) -> list[str]:
        """What else the last scan did not take, in words."""
        return [] if self.last_scan is None else self.last_scan.left_out()
