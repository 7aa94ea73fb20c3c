"""Jobs and answers of the fetch worker; see `gardenerd.workers.jobs`."""

from __future__ import annotations

import msgspec

from gardenerd.workers.jobs import Job


class FetchModel(Job, kw_only=True, frozen=True):
    """Copy a model from the hub into ``target``. Updates are :class:`FetchProgress`; answered by
    :class:`Fetched`. What was there of it in ``partial`` is gone on from."""

    repository: str
    revision: str
    """A branch, a tag or a commit."""
    target: str
    partial: str
    """A folder on the same volume; it stays when the job does not end well."""
    endpoint: str
    token: str = ""
    held: str = ""
    """The commit that ``target`` holds already; empty if there is none."""
    keep: bool = False
    """What ``target`` holds serves, and must not be replaced."""
    largest_bytes: int
    """Memory that the model may take when it serves."""
    spare_disk_bytes: int


class FetchProgress(msgspec.Struct, kw_only=True, frozen=True):
    done: int
    """Bytes."""
    total: int
    file: str = ""
    bytes_per_second: float = 0.0


class Fetched(msgspec.Struct, kw_only=True, frozen=True):
    revision: str
    bytes: int
    """Of all files of the model."""
    received: int
    """Of those, how many came over the network now; the rest was there."""
    seconds: float
    replaced: str = ""
    """The commit that stood there before; empty if none did, or the same."""


class LookAtHardware(Job, kw_only=True, frozen=True):
    """What there is to compute on, as torch finds it; answered by :class:`Hardware`."""


class Gpu(msgspec.Struct, kw_only=True, frozen=True):
    name: str
    total_bytes: int
    free_bytes: int
    bfloat16: bool
    number: int = 0


class Hardware(msgspec.Struct, kw_only=True, frozen=True):
    memory_bytes: int
    free_bytes: int
    """Of memory."""
    processor_bfloat16: bool
    """It has instructions for products in bfloat16."""
    cuda: Gpu | None = None
    """The one with most memory free."""
    apple_bytes: int = 0
    """What Apple's GPU may take of the memory; 0: there is none."""
    four_bit: bool = False
    """A CUDA device may hold weights in four bits: bitsandbytes is installed."""


FetchJob = FetchModel | LookAtHardware
