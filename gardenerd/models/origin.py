"""Where a pulled model comes from, kept in its folder: repository, revision, digests. Light."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from gardenerd import durable
from gardenerd.errors import ModelError

ORIGIN = "gardener-origin.json"
_PIECE = 1 << 20


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a repository, as the hub tells it."""

    name: str
    size: int
    """Bytes."""
    sha256: str = ""
    """Of its bytes; of files that are kept outside git (the weights)."""
    blob: str = ""
    """Git's own digest, SHA-1 over a header and the bytes; of files that are kept in git."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What ``gardener-origin.json`` holds."""

    repository: str
    revision: str
    """The commit, 40 hexadecimal digits."""
    licence: str = ""
    """As the hub names it; empty if it does not."""
    pulled: str = ""
    """UTC, ISO 8601."""
    files: list[RemoteFile]


def write_origin(folder: Path, origin: Origin) -> None:
    encoded = msgspec.json.format(msgspec.json.encode(origin), indent=2)
    durable.write_file(folder / ORIGIN, encoded + b"\n")


def read_origin(folder: Path) -> Origin | None:
    """None for a folder that was not pulled.

    Raises:
        ModelError: the record is damaged.
    """
    file = folder / ORIGIN
    try:
        return msgspec.json.decode(file.read_bytes(), type=Origin)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ModelError(f"{file} is damaged: {error}", hint="pull the model again") from error


def matches(path: Path, promised: RemoteFile) -> bool:
    """Whether the file at ``path`` has the size and the digest that were promised."""
    size = path.stat().st_size
    if size != promised.size:
        return False
    digest = hashlib.sha256() if promised.sha256 else hashlib.sha1(f"blob {size}\0".encode())
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest() == (promised.sha256 or promised.blob)
