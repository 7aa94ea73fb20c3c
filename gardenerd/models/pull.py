"""Pull a model: look at what the hub has, refuse what cannot serve, copy, check, put in place.

What is small is copied and judged first; no weights are copied of a model that is refused.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path

from gardenerd import durable
from gardenerd.errors import ModelError, RefusedError, StorageError
from gardenerd.models.check import check, check_architecture, refuse_too_large
from gardenerd.models.hub import Hub, Listing
from gardenerd.models.info import TOKENIZER_FILES, inspect, read_config
from gardenerd.models.origin import Origin, RemoteFile, write_origin
from gardenerd.models.transfer import Transfer
from gardenerd.workers.fetch_jobs import Fetched, FetchModel, FetchProgress

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_NEEDED = ("config.json", "tokenizer.json")
_SMALL = (*_NEEDED, *TOKENIZER_FILES, "generation_config.json", "chat_template.j*", "LICEN[CS]E*")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
_SAY_EVERY_S = 0.2
_SPEED_OVER_S = 5.0


def pull(
    job: FetchModel, say: Callable[[FetchProgress], None], check_cancelled: Callable[[], None]
) -> Fetched:
    """Do ``job``; see :class:`FetchModel`.

    Raises:
        ModelError: it cannot serve here, the hub cannot be reached, or what came is not what was
            promised.
        RefusedError: it would replace the model that serves.
        StorageError: the disk is full.
        CancelledError: what ``check_cancelled`` raises; what came stays.
    """
    began = time.monotonic()
    target, partial = Path(job.target), Path(job.partial)
    with Hub(job.endpoint, job.token) as hub:
        listing = hub.listing(job.repository, job.revision)
        if listing.commit == job.held:
            whole = sum(file.stat().st_size for file in target.iterdir() if file.is_file())
            return Fetched(revision=job.held, bytes=whole, received=0, seconds=0.0)
        if job.keep:
            raise RefusedError(
                f"{job.repository} serves at {job.held[:12] or 'a revision of its own'} and the "
                f"hub has {listing.commit[:12]}",
                hint="let another serve first: gardenerctl model use seedling; then pull again",
            )
        refuse_by_names(listing)
        try:
            partial.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make {partial}: {error.strerror}", hint="") from error
        progress = _Progress(say)
        transfer = Transfer(hub, listing, partial, arrived=progress.arrived, check=check_cancelled)
        small = [file for file in listing.files.values() if _is_small(file.name)]
        for file in sorted(small, key=lambda file: file.name != "config.json"):
            transfer.fetch(file)
        weights = _weights(listing, partial)
        _refuse_by_config(job, partial, weights)
        _require_disk(job, partial, sum(f.size - transfer.there(f) for f in weights))
        progress.expect(sum(file.size for file in (*small, *weights)), weights)
        for file in weights:
            progress.file = file.name
            transfer.fetch(file)
    files = [*small, *weights]
    _finish(partial, files, listing)
    replaced = job.held if target.is_dir() else ""
    _put(partial, target)
    return Fetched(
        revision=listing.commit,
        bytes=sum(file.size for file in files),
        received=transfer.received,
        seconds=round(time.monotonic() - began, 3),
        replaced=replaced,
    )


def refuse_by_names(listing: Listing) -> None:
    """Refuse a repository whose files alone show that it cannot be loaded.

    Raises:
        ModelError: says what it holds instead.
    """
    names, where = set(listing.files), listing.repository
    if not names & {_SINGLE, _INDEX}:
        if any(name.endswith(".gguf") for name in names):
            raise ModelError(
                f"{where} holds GGUF files, which gardener does not load itself",
                hint="let ollama or a server serve them: see model.backend in docs/models.md",
            )
        pickles = sorted(name for name in names if name.endswith(_PICKLES))
        if pickles:
            raise ModelError(
                f"{where} holds its weights as {pickles[0]}, a format that can run code",
                hint="name a repository that has safetensors",
            )
        raise ModelError(
            f"{where} holds no {_SINGLE}",
            hint="name the repository of a whole model, not of an adapter or a data set",
        )
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise ModelError(
            f"{where} has no {missing[0]}", hint="name a repository in transformers' format"
        )


def _is_small(name: str) -> bool:
    return name == _INDEX or any(fnmatch(name, pattern) for pattern in _SMALL)


def _weights(listing: Listing, folder: Path) -> list[RemoteFile]:
    """The weight files that the index names, else the single one."""
    if _INDEX not in listing.files:
        return [listing.files[_SINGLE]]
    try:
        shards = {str(n) for n in json.loads((folder / _INDEX).read_bytes())["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{listing.repository} has a damaged {_INDEX}: {error}", hint="try another revision"
        ) from error
    strange = sorted(
        name
        for name in shards
        if "/" in name or not name.endswith(".safetensors") or name not in listing.files
    )
    if strange or not shards:
        raise ModelError(
            f"{listing.repository} lacks {strange[0] if strange else 'weights'}",
            hint="try another revision",
        )
    return [listing.files[name] for name in sorted(shards)]


def _refuse_by_config(job: FetchModel, folder: Path, weights: list[RemoteFile]) -> None:
    config = read_config(folder)
    check_architecture(config, job.repository)
    check(folder)
    stored = sum(file.size for file in weights)
    half = config.get("dtype", config.get("torch_dtype")) in ("bfloat16", "float16")
    parameters = stored // (2 if half else 4)
    refuse_too_large(job.repository, config, parameters, stored, job.largest_bytes)


def _require_disk(job: FetchModel, folder: Path, missing: int) -> None:
    free = shutil.disk_usage(folder).free
    if missing + job.spare_disk_bytes > free:
        raise StorageError(
            f"{job.repository} takes {missing / 1e9:.1f} GB more on the disk, "
            f"{job.spare_disk_bytes / 1e9:.1f} GB shall stay free and {free / 1e9:.1f} GB are",
            hint="free some disk space, or lower loop.min_free_disk_mb",
        )


def _finish(folder: Path, files: list[RemoteFile], listing: Listing) -> None:
    """What is no part of the model goes; where it comes from is written down; all is looked at."""
    kept = {file.name for file in files}
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()
    inspect(folder, digest=False)
    write_origin(
        folder,
        Origin(
            repository=listing.repository,
            revision=listing.commit,
            licence=listing.licence,
            pulled=datetime.now(UTC).isoformat(timespec="seconds"),
            files=sorted(files, key=lambda file: file.name),
        ),
    )


def _put(partial: Path, target: Path) -> None:
    """Rename into place; what stood there before is deleted afterwards."""
    old = partial.with_name(f"{partial.name}.old")
    try:
        shutil.rmtree(old, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            target.rename(old)
        partial.rename(target)
        durable.sync_folder(target.parent)
    except OSError as error:
        raise StorageError(
            f"cannot put {target} in place: {error.strerror}", hint="check its permissions"
        ) from error
    shutil.rmtree(old, ignore_errors=True)


class _Progress:
    """Bytes done of bytes expected, and how fast they came lately; told a few times a second."""

    def __init__(self, say: Callable[[FetchProgress], None]) -> None:
        self._say = say
        self._done = 0
        self._total = 0
        self._said = 0.0
        self._lately: list[tuple[float, int]] = []
        self.file = "config.json"

    def expect(self, total: int, waiting: list[RemoteFile]) -> None:
        self._total = total
        self._lately.clear()
        self.file = waiting[0].name

    def arrived(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if not self._total or (now - self._said < _SAY_EVERY_S and self._done < self._total):
            return
        self._said = now
        self._lately = [each for each in self._lately if now - each[0] <= _SPEED_OVER_S]
        self._lately.append((now, self._done))
        first = self._lately[0]
        seconds = now - first[0]
        self._say(
            FetchProgress(
                done=self._done,
                total=self._total,
                file=self.file,
                bytes_per_second=(self._done - first[1]) / seconds if seconds > 0 else 0.0,
            )
        )
