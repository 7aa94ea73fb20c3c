"""Where a run stands, on disk: adapter, optimizer, and a manifest with their digests.

Each checkpoint is a folder named by its step, renamed into place whole; older ones go after that.
Nothing random is kept, because nothing in a step is random: the data is a function of the step.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from gardenerd import durable
from gardenerd.models.info import file_digest

log = logging.getLogger(__name__)

_ADAPTER = "adapter.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_MANIFEST = "manifest.json"


class Standing(msgspec.Struct, kw_only=True, frozen=True):
    """The figures of a run after ``step`` steps."""

    identity: str
    """Digest of data, base and hyperparameters: another run's checkpoint is not taken up."""
    step: int
    steps: int
    """Planned in all."""
    tokens: int
    seconds: float
    losses: list[float]
    """Of every step, nats a token."""
    base_digest: str
    files: dict[str, str] = {}


def save(
    folder: Path,
    standing: Standing,
    parameters: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write a checkpoint in ``folder``; after a crash at any moment, one that is whole is there."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as name:
        new = Path(name)
        save_file({n: p.detach().cpu().contiguous() for n, p in parameters.items()}, new / _ADAPTER)
        moments: dict[str, torch.Tensor] = {}
        for key, parameter in parameters.items():
            for part, value in optimizer.state[parameter].items():
                moments[f"{part}/{key}"] = value.detach().cpu().contiguous()
        save_file(moments, new / _OPTIMIZER)
        digests = {file: file_digest(new / file) for file in (_ADAPTER, _OPTIMIZER)}
        whole = msgspec.structs.replace(standing, files=digests)
        (new / _MANIFEST).write_bytes(msgspec.json.encode(whole))
        target = folder / f"{standing.step:08d}"
        if not target.exists():
            durable.publish_folder(new, target)
    for other in folder.iterdir():
        if other.name != target.name:
            shutil.rmtree(other, ignore_errors=True)


def load(
    folder: Path,
    identity: str,
    parameters: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> Standing | None:
    """Set parameters and optimizer to the newest whole checkpoint; None if there is none."""
    if not folder.is_dir():
        return None
    for place in sorted(folder.glob("[0-9]*"), reverse=True):
        try:
            standing = msgspec.json.decode((place / _MANIFEST).read_bytes(), type=Standing)
            whole = all(file_digest(place / f) == digest for f, digest in standing.files.items())
            if not whole or standing.identity != identity:
                log.warning("a checkpoint does not fit", extra={"step": place.name, "whole": whole})
                continue
            weights, moments = load_file(place / _ADAPTER), load_file(place / _OPTIMIZER)
        except (OSError, msgspec.DecodeError, SafetensorError) as error:
            log.warning("a checkpoint is damaged", extra={"step": place.name, "error": str(error)})
            continue
        _restore(parameters, weights, moments, optimizer)
        return standing
    return None


def _restore(
    parameters: dict[str, torch.nn.Parameter],
    weights: dict[str, torch.Tensor],
    moments: dict[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    state: dict[str, dict[str, Any]] = {name: {} for name in parameters}
    for key, value in moments.items():
        part, _, name = key.partition("/")
        state[name][part] = value
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
            optimizer.state[parameter] = {
                part: value if part == "step" else value.to(parameter.device)
                for part, value in state[name].items()
            }
