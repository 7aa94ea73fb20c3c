"""Has the machine what a run takes? Asked before it starts, so that nothing is begun in vain."""

from __future__ import annotations

import shutil
from pathlib import Path

from gardenerd.core import memory
from gardenerd.errors import ModelError
from gardenerd.host import free_memory_mb, trains_in_half
from gardenerd.models.info import read_config, resolve, train_defaults, weight_files
from gardenerd.paths import Home
from gardenerd.service.base import BaseInUse
from gardenerd.settings import Settings
from gardenerd.store.runs import Run
from gardenerd.store.stores import Stores

# What a run freezes beside the adapter: examples, texts, metrics.
_TEXTS_BYTES = 50_000_000
# Two checkpoints may stand at once; the candidate is written, then published.
_COPIES_ON_DISK = 2 * memory.CHECKPOINTS + 2
# An adapter of a last run that has another size was of another kind.
_SAME_KIND = 0.1


def lacking(project: str, base: BaseInUse, home: Home, settings: Settings, stores: Stores) -> str:
    """What is missing for a run of ``project``, in words with figures; empty if nothing is.

    A base model that cannot be read is no matter of memory: the run itself says so.
    """
    try:
        folder = base.folder()
        shape = _shape(folder)
        chosen = resolve(settings.train, train_defaults(folder))
    except ModelError:
        return ""
    numbers = memory.adapter_numbers(shape, chosen.rank)
    expected = memory.expected(shape, chosen, bytes_each=2 if trains_in_half() else 4)
    needed = memory.needed(expected, _taken(stores.runs.last_ended(project), numbers)) / 1e6
    free = free_memory_mb()
    if needed > free:
        return f"a run needs about {needed:,.0f} MB of memory and {free:,.0f} MB are free"
    writes = (4 * numbers * _COPIES_ON_DISK + _TEXTS_BYTES) / 1e6
    room = shutil.disk_usage(home.root).free / 1e6
    if writes + settings.loop.min_free_disk_mb > room:
        return (
            f"not enough room on the disk: a run writes {writes:,.0f} MB, "
            f"{settings.loop.min_free_disk_mb:,} MB shall stay free and {room:,.0f} MB are"
        )
    return ""


def _shape(base: Path) -> memory.Shape:
    config = read_config(base)
    half = config.get("dtype", config.get("torch_dtype")) in ("bfloat16", "float16")
    stored = sum(shard.stat().st_size for shard in weight_files(base))
    return memory.shape_of(config, stored // (2 if half else 4))


def _taken(last: Run | None, numbers: int) -> int | None:
    """The peak of the last run, if it was of this kind."""
    report = last.report if last is not None else {}
    planned = report.get("planned_parameters", 0)
    if not planned or abs(planned - numbers) > numbers * _SAME_KIND:
        return None
    return report.get("peak_rss_bytes") or None
