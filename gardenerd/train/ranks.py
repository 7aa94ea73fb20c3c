"""Several devices share the steps of a run: each has a process, a *rank*, and takes a part of them.

The run's own process is rank 0. It decides, and writes what is written. The others
(:mod:`gardenerd.train.follower`) make the same model and the same rows; gradients are added up over
all, so that each takes the same update, and they end with the run. Nothing leaves the machine: they
meet by a file, and speak over the loopback or between the devices.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list, gather_object

from gardenerd.errors import TrainingError
from gardenerd.train.lines import read_lines
from gardenerd.workers.jobs import AdapterRef
from gardenerd.workers.train_jobs import Example, Hyperparameters

T = TypeVar("T")

_JOB, _EXAMPLES = "job.json", "examples.jsonl"
_LEAVE_SECONDS = 5.0
# For one another: while models load, and while a run is frozen.
_TIMEOUT = timedelta(minutes=10)
_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


class Shared(msgspec.Struct, kw_only=True, frozen=True):
    """What each rank trains."""

    base: str
    parent: AdapterRef | None
    hyperparameters: Hyperparameters
    identity: str


def useful(device: torch.device, rows_per_step: int) -> int:
    """How many devices are there to share a step's rows: one of a kind, but for CUDA's."""
    return min(torch.cuda.device_count(), rows_per_step) if device.type == "cuda" else 1


@contextmanager
def followers(
    folder: Path, shared: Shared, examples: Sequence[Example], size: int
) -> Generator[None]:
    """Start the other ranks of ``size`` and join them; afterwards they are gone.

    Args:
        folder: of the run; they are told what to train, and meet, in a folder of theirs in it.
    """
    if size == 1:
        yield
        return
    place = folder / "ranks"
    shutil.rmtree(place, ignore_errors=True)  # of a run that was killed
    place.mkdir()
    (place / _JOB).write_bytes(msgspec.json.encode(shared))
    (place / _EXAMPLES).write_bytes(msgspec.json.Encoder().encode_lines(examples))
    command = [sys.executable, "-P", "-m", "gardenerd.train.follower", str(folder), str(size)]
    # They leave when their input closes, however this process ends.
    started = [
        subprocess.Popen([*command, str(rank)], stdin=subprocess.PIPE) for rank in range(1, size)
    ]
    try:
        join(folder, 0, size)
        yield
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.communicate(timeout=_LEAVE_SECONDS)
        _part()
        shutil.rmtree(place, ignore_errors=True)


def read(folder: Path) -> tuple[Shared, list[Example]]:
    """What :func:`followers` wrote."""
    place = folder / "ranks"
    shared = msgspec.json.decode((place / _JOB).read_bytes(), type=Shared)
    return shared, read_lines(place / _EXAMPLES, Example)


def meeting(folder: Path) -> Path:
    """The file by which the ranks find each other."""
    return folder / "ranks" / "meeting"


def join(folder: Path, rank: int, size: int) -> None:
    """Become a rank of a run; an :class:`Accelerator` made from now on knows of the others."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ.update({name: str(value) for name, value in place.items()})
    os.environ.update({"GLOO_SOCKET_IFNAME": _LOOPBACK, "NCCL_SOCKET_IFNAME": _LOOPBACK})
    AcceleratorState._reset_state(reset_partial_state=True)  # pyright: ignore[reportPrivateUsage]
    with _lost():
        dist.init_process_group(
            "nccl" if torch.cuda.is_available() else "gloo",
            init_method=f"file://{meeting(folder)}",
            rank=rank,
            world_size=size,
            timeout=_TIMEOUT,
        )


def _part() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)  # pyright: ignore[reportPrivateUsage]
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        os.environ.pop(name, None)


class Group:
    """What the ranks of a run do together; a process that is alone does nothing.

    Each of its methods is called by all of them, in the same order. Raises :class:`TrainingError`
    when another rank has ended.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.rank, self.size = accelerator.process_index, accelerator.num_processes

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def told(self, order: T) -> T:
        """What rank 0 says, whatever the others say."""
        if self.size == 1:
            return order
        said: list[Any] = [order]
        with _lost():
            broadcast_object_list(said, from_process=0)
        return said[0]

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Each parameter's gradient becomes the sum of it over all."""
        if self.size == 1:
            return
        own = list(parameters)
        # One that had no part in the step has no gradients.
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in own]
        flat = torch.cat([grad.view(-1) for grad in grads])
        with _lost():
            summed: Any = self._accelerator.reduce([flat])
        parts = summed[0].split([p.numel() for p in own])
        for parameter, part in zip(own, parts, strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def gathered(self, found: T) -> list[T]:
        """What each found, by rank."""
        if self.size == 1:
            return [found]
        with _lost():
            return gather_object([found])


@contextmanager
def _lost() -> Generator[None]:
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            f"a process that trains on another device has ended: {error}",
            hint="see the log; with CUDA_VISIBLE_DEVICES=0 one device trains alone",
        ) from error
