"""The adapters that are in memory beside one base model, at most so many at a time."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gardenerd.answer.local.cache import LeastRecentlyUsed
from gardenerd.errors import AdapterError
from gardenerd.models.card import verify
from gardenerd.models.load import Base
from gardenerd.workers.jobs import AdapterRef


class AdapterShelf:
    """Puts adapters on ``base``'s own modules and switches one on for a request at a time."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._peft: Any = None
        """peft's wrapper; None while no adapter is loaded and the base is as it was."""
        self._loaded: LeastRecentlyUsed[AdapterRef, str] = LeastRecentlyUsed()
        self._count = 0
        self.broken = False
        """Loading broke off half way: the base in memory must be loaded again."""

    @property
    def loaded(self) -> list[str]:
        """Versions in memory, the least recently used first."""
        return [ref.version for ref in self._loaded]

    def prepare(self, ref: AdapterRef, *, limit: int) -> None:
        """Have ``ref`` in memory, and at most ``limit`` adapters in all.

        Raises:
            AdapterError: the adapter is damaged, missing or of another base.
        """
        if self._loaded.get(ref) is not None:
            return
        # Checked first: an adapter that is refused must not push out a good one.
        verify(Path(ref.folder), self._base.info.fingerprint)
        for old in self._loaded.excess(max(1, limit) - 1):
            self._drop(old)
        # peft takes 2.5 s to import, and is not needed until there is an adapter.
        from gardenerd.models.adapters import attach

        self._count += 1
        name = f"adapter{self._count}"  # versions may hold dots, which module names may not
        try:
            self._peft = attach(self._base, Path(ref.folder), name=name, model=self._peft)
        except AdapterError:
            self.broken = self._peft is None and _altered(self._base.model)
            raise
        self._loaded.put(ref, name)

    @contextmanager
    def serving(self, ref: AdapterRef | None) -> Generator[None]:
        """Within this context the base computes with the prepared ``ref``, or bare for None."""
        if ref is not None:
            name = self._loaded.get(ref)
            if name is None:
                raise AdapterError(f"the adapter {ref.version} is not in memory")
            self._peft.set_adapter(name)
            yield
        elif self._peft is None:
            yield
        else:
            with self._peft.disable_adapter():
                yield

    def _drop(self, ref: AdapterRef) -> None:
        from gardenerd.models.adapters import detach

        name = self._loaded.pop(ref)
        if len(self._loaded) == 0:
            # peft's wrapper cannot be without an adapter; this gives the bare base back.
            self._peft.unload()
            self._peft = None
        else:
            detach(self._peft, name)


def _altered(model: Any) -> bool:
    return any("lora_" in name for name, _ in model.named_modules())
