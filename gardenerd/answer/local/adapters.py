"""The adapters that are in memory beside one base model, at most so many at a time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from gardenerd.answer.local.cache import LeastRecentlyUsed
from gardenerd.answer.local.lora import Adapter, LoraRows
from gardenerd.models.card import WEIGHTS, verify
from gardenerd.models.load import Base
from gardenerd.workers.jobs import AdapterRef

# Read as they are and once more as float32, of which the file may hold the half.
_LOADING = 3


class AdapterShelf:
    """Loads adapters of ``base`` and drops those that nobody uses; for any number of threads.

    Args:
        dropped: called with an adapter that left.
    """

    def __init__(
        self, base: Base, lora: LoraRows, dropped: Callable[[Adapter], None] = lambda _: None
    ) -> None:
        self._base = base
        self._lora = lora
        self._dropped = dropped
        self._loaded: LeastRecentlyUsed[AdapterRef, Adapter] = LeastRecentlyUsed()
        self._users: Counter[AdapterRef] = Counter()
        self._lock = threading.RLock()

    @property
    def loaded(self) -> list[str]:
        """Versions in memory, the least recently used first."""
        with self._lock:
            return [ref.version for ref in self._loaded]

    @contextmanager
    def serving(
        self, ref: AdapterRef, *, limit: int, room: Callable[[int], None] = lambda _: None
    ) -> Generator[Adapter]:
        """Have ``ref`` in memory while the context lasts, and at most ``limit`` adapters in all;
        more only while all of them are in use.

        Args:
            room: called with the bytes that loading takes; raises when there is no room.

        Raises:
            AdapterError: the adapter is damaged, missing, of another base, or has no room.
        """
        with self._lock:
            adapter = self._loaded.get(ref)
            if adapter is None:
                adapter = self._load(ref, limit, room)
            self._users[ref] += 1
        try:
            yield adapter
        finally:
            with self._lock:
                self._users[ref] -= 1
                self._shrink(limit)

    def drop_idle(self) -> bool:
        """Drop the least recently used adapter that is not in use; False when there is none."""
        with self._lock:
            ref = next((ref for ref in self._loaded if not self._users[ref]), None)
            if ref is None:
                return False
            self._drop(ref)
            return True

    def _load(self, ref: AdapterRef, limit: int, room: Callable[[int], None]) -> Adapter:
        folder = Path(ref.folder)
        # Checked first: an adapter that is refused must not push out a good one.
        verify(folder, self._base.info.fingerprint)
        room(_LOADING * (folder / WEIGHTS).stat().st_size)
        adapter = self._lora.read(folder)
        self._shrink(max(1, limit) - 1)
        self._loaded.put(ref, adapter)
        return adapter

    def _shrink(self, limit: int) -> None:
        idle = [ref for ref in self._loaded if not self._users[ref]]
        for ref in idle[: max(0, len(self._loaded) - max(0, limit))]:
            self._drop(ref)

    def _drop(self, ref: AdapterRef) -> None:
        del self._users[ref]
        self._dropped(self._loaded.pop(ref))
