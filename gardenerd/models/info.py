"""What a base model is, read without torch: its files, size, abilities and fingerprint."""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from gardenerd import durable
from gardenerd.errors import ModelError, SettingsError
from gardenerd.paths import Home
from gardenerd.settings import Train
from gardenerd.workers.train_jobs import Hyperparameters

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
# The name that Qwen, StarCoder2 and the seedling give, and StarCoder's own.
FIM_PREFIXES = ("<|fim_prefix|>", "<fim_prefix>")
_MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit
_PULL_HINT = (
    "see `gardenerctl model list`, pull one with `gardenerctl model pull NAME`, or name a folder "
    "that holds a transformers model in safetensors"
)


class BaseInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A base model on disk."""

    name: str
    folder: str
    chat: bool
    """It has a chat template."""
    fim: bool
    """Its vocabulary has fill-in-the-middle tokens."""
    fingerprint: str
    """SHA-256 over weights, configuration and tokenizer, in hexadecimal."""
    architecture: str
    parameters: int
    """Numbers in the weight files."""
    bytes: int
    """Size of the weight files."""
    window: int | None = None
    """Tokens that it was made to read at once, if its configuration tells."""


def find_base(name: str, home: Home) -> Path:
    """The folder of a base model: ``seedling``, a folder's path, or a name under ``home.models``.

    Raises:
        ModelError: there is no such folder.
    """
    if name == "seedling":
        folder = seedling_folder()
        if not folder.is_dir():
            raise ModelError(
                f"the embedded model is missing from the installation ({folder})",
                hint="reinstall gardener, or set model.base to a folder that holds a model",
            )
        return folder
    for folder in (home.models / name, Path(name).expanduser().absolute()):
        if folder.is_dir():
            return folder
    raise ModelError(f"there is no base model {name!r}", hint=_PULL_HINT)


def seedling_folder() -> Path:
    """Where the embedded model lies."""
    return Path(str(resources.files("gardenerd") / "seedling" / "model"))


def inspect(
    folder: Path, *, name: str | None = None, cache: Path | None = None, digest: bool = True
) -> BaseInfo:
    """Check a base model's files and describe it.

    Args:
        digest: without it the fingerprint is left empty, and no weights are read.
        cache: a small JSON file that keeps fingerprints by the size and time of each file, so
            that gigabytes are hashed once.

    Raises:
        ModelError: something is missing, damaged, not safetensors, or needs remote code.
    """
    config = read_config(folder)
    shards = weight_files(folder)
    parameters = sum(_check_shard(shard) for shard in shards)
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise ModelError(f"{folder} has no tokenizer.json", hint=_PULL_HINT)
    architectures = config.get("architectures") or [config.get("model_type", "unknown")]
    return BaseInfo(
        name=name or folder.name,
        folder=str(folder),
        chat=_has_chat_template(folder),
        fim=any(_mentions(tokenizer, token) for token in FIM_PREFIXES),
        fingerprint=fingerprint(folder, cache=cache) if digest else "",
        architecture=str(architectures[0]),
        parameters=parameters,
        bytes=sum(shard.stat().st_size for shard in shards),
        window=int(window) if (window := config.get("max_position_embeddings")) else None,
    )


def read_config(folder: Path) -> dict[str, Any]:
    """The model's ``config.json``; refuses one that is damaged or needs code of its own."""
    if not folder.is_dir():
        raise ModelError(f"there is no model folder {folder}", hint=_PULL_HINT)
    config = _read_json(folder / "config.json")
    tokenizer = folder / "tokenizer_config.json"
    for found in (config, _read_json(tokenizer) if tokenizer.is_file() else {}):
        if "auto_map" in found:
            raise ModelError(
                f"the model in {folder} needs code of its own (auto_map), which is never run",
                hint="use a model of an architecture that transformers knows",
            )
    if "model_type" not in config:
        raise ModelError(f"{folder / 'config.json'} names no model_type", hint=_PULL_HINT)
    return config


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model, in order; all of them exist."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        weight_map = _read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ModelError(f"{index} is damaged: it maps no weights", hint="copy the model again")
        names = sorted({str(value) for value in weight_map.values()})
        missing = [n for n in names if Path(n).name != n or not (folder / n).is_file()]
        if missing:
            raise ModelError(
                f"{folder} lacks {', '.join(missing)}", hint="copy the model again, completely"
            )
        return [folder / name for name in names]
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    others = sorted(
        p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".ckpt"}
    )
    if others:
        raise ModelError(
            f"{folder} holds its weights as {others[0]}, a format that can run code",
            hint="convert the model to safetensors",
        )
    raise ModelError(f"{folder} has no model.safetensors", hint=_PULL_HINT)


def fingerprint(folder: Path, *, cache: Path | None = None) -> str:
    """SHA-256 over the names and bytes of weights, configuration and tokenizer files."""
    files = [
        *weight_files(folder),
        folder / "config.json",
        *(folder / name for name in TOKENIZER_FILES if (folder / name).is_file()),
    ]
    known = _read_cache(cache)
    kept: dict[str, list[Any]] = {}
    whole = hashlib.sha256()
    for file in files:
        stat = file.stat()
        key, stamp = str(file), [stat.st_size, stat.st_mtime_ns]
        entry = known.get(key)
        digest = str(entry[2]) if entry is not None and entry[:2] == stamp else file_digest(file)
        kept[key] = [*stamp, digest]
        whole.update(f"{file.name}\0{digest}\n".encode())
    if cache is not None and any(known.get(key) != entry for key, entry in kept.items()):
        durable.write_file(cache, json.dumps(known | kept, indent=0).encode())
    return whole.hexdigest()


def kept_digest(file: Path, cache: Path) -> str:
    """SHA-256 of a file as :func:`fingerprint` kept it; empty if it did not, or the file has
    changed since."""
    stat = file.stat()
    entry = _read_cache(cache).get(str(file))
    return str(entry[2]) if entry and entry[:2] == [stat.st_size, stat.st_mtime_ns] else ""


def file_digest(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def train_defaults(folder: Path) -> dict[str, Any]:
    """The base's own hyperparameters, from ``gardener.json`` in its folder; empty without one."""
    file = folder / "gardener.json"
    if not file.is_file():
        return {}
    found = _read_json(file).get("train", {})
    if not isinstance(found, dict):
        raise ModelError(f"train in {file} must be an object", hint=f"mend or remove {file}")
    return found


def resolve(user: Train, defaults: dict[str, Any]) -> Hyperparameters:
    """Decide every hyperparameter: the user's, else the base's, else the general default.

    Raises:
        SettingsError: names every problem of the values chosen.
    """
    known = {field.name: field.type for field in msgspec.structs.fields(Train)}
    problems = [f"{name} is not a hyperparameter" for name in defaults if name not in known]
    chosen: dict[str, Any] = {}
    for name, kind in known.items():
        value = getattr(user, name)
        if name in defaults and (value is None or value == getattr(Train(), name)):
            try:
                value = msgspec.convert(defaults[name], kind)
            except msgspec.ValidationError as error:
                problems.append(f"{name}: {error}")
        if value is not None:
            chosen[name] = value
    problems += Train(**chosen).problems()
    decided = Hyperparameters(**chosen)
    if decided.batch_tokens < decided.max_length:
        problems.append(
            f"batch_tokens ({decided.batch_tokens}) must hold at least one row of "
            f"max_length ({decided.max_length})"
        )
    if problems:
        raise SettingsError(
            "; ".join(f"train.{problem}" for problem in problems),
            hint="mend [train] in config.toml, or gardener.json in the model's folder",
        )
    return decided


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error)
        raise ModelError(f"cannot read {file}: {cause}", hint="copy the model again") from error
    if not isinstance(found, dict):
        raise ModelError(f"{file} is not a JSON object", hint="copy the model again")
    return found


def _read_cache(cache: Path | None) -> dict[str, list[Any]]:
    if cache is None or not cache.is_file():
        return {}
    try:
        return msgspec.json.decode(cache.read_bytes(), type=dict[str, list[Any]])
    except msgspec.DecodeError:  # only a cache: it is written anew
        return {}


def _check_shard(file: Path) -> int:
    """How many numbers a safetensors file holds; its header must account for every byte."""
    size = file.stat().st_size
    damaged = ModelError(
        f"{file} is damaged: it is not a complete safetensors file", hint="copy the model again"
    )
    with file.open("rb") as opened:
        start = opened.read(8)
        if len(start) < 8:
            raise damaged
        length = struct.unpack("<Q", start)[0]
        if length > min(size - 8, _MAX_HEADER_BYTES):
            raise damaged
        try:
            header = json.loads(opened.read(length))
            tensors = [value for key, value in header.items() if key != "__metadata__"]
            end = max((tensor["data_offsets"][1] for tensor in tensors), default=0)
            numbers = sum(_product(tensor["shape"]) for tensor in tensors)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise damaged from error
    if 8 + length + end != size:
        raise damaged
    return numbers


def _product(shape: list[int]) -> int:
    result = 1
    for dimension in shape:
        result *= dimension
    return result


def _has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and bool(_read_json(config).get("chat_template"))


def _mentions(file: Path, token: str) -> bool:
    # Vocabularies reach tens of megabytes: searched as bytes, not decoded.
    if file.stat().st_size == 0:
        return False
    with (
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return content.find(json.dumps(token).encode()) >= 0
