"""An adapter's card: where it comes from, what it fits, and the digests of its files. Light."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gardenerd import durable
from gardenerd.errors import AdapterError
from gardenerd.models.info import file_digest

CARD = "card.json"
WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What ``card.json`` holds."""

    format: int = 1
    base: str
    """Name of the base model."""
    fingerprint: str
    """Of the base: the adapter fits no other."""
    rank: int
    alpha: int
    target_modules: str | tuple[str, ...]
    parent: str | None
    """The version that training continued from."""
    run: str
    data_digest: str
    """SHA-256 of the training set."""
    scores: dict[str, dict[str, float]] = {}
    """By slice: bits per byte of ``base``, ``incumbent`` and ``candidate``."""
    steps: int = 0
    strength: float = 1.0
    """How far the weights went from the parent's to what was trained: less to keep general code."""
    hold: float = 4.0
    """How firmly the anchors held it, as the run's hyperparameters say."""
    created: str
    """UTC, ISO 8601."""
    files: dict[str, str] = {}
    """SHA-256 of each other file in the folder."""


def write_card(folder: Path, card: Card) -> Card:
    """Write the card of the adapter in ``folder`` with the digests of its files; give it back."""
    files = {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CARD
    }
    complete = msgspec.structs.replace(card, files=files)
    encoded = msgspec.json.format(msgspec.json.encode(complete), indent=2)
    durable.write_file(folder / CARD, encoded + b"\n")
    return complete


def read_card(folder: Path) -> Card:
    """The card of the adapter in ``folder``.

    Raises:
        AdapterError: there is none, or it does not decode.
    """
    try:
        return msgspec.json.decode((folder / CARD).read_bytes(), type=Card)
    except OSError as error:
        raise AdapterError(
            f"the adapter in {folder} cannot be read: {error.strerror}",
            hint="roll back to another version with `gardenerctl rollback VERSION`",
        ) from error
    except msgspec.DecodeError as error:
        raise AdapterError(
            f"the card of the adapter in {folder} is damaged: {error}",
            hint="roll back to another version with `gardenerctl rollback VERSION`",
        ) from error


def verify(folder: Path, fingerprint: str) -> Card:
    """Check that the adapter in ``folder`` is whole and made for the base of ``fingerprint``.

    Raises:
        AdapterError: another base, a file missing or changed, or weights in a pickle.
    """
    card = read_card(folder)
    if card.fingerprint != fingerprint:
        raise AdapterError(
            f"the adapter in {folder} was trained on {card.base} ({card.fingerprint[:12]}), "
            f"and the base in use is another ({fingerprint[:12]})",
            hint="set model.base to the model it was trained on, or train a new adapter",
        )
    pickles = [path.name for path in folder.iterdir() if path.suffix in _PICKLES]
    if pickles:
        raise AdapterError(
            f"the adapter in {folder} holds {pickles[0]}, a format that can run code",
            hint="only safetensors are loaded: remove the file or the version",
        )
    for name in {WEIGHTS, CONFIG} | set(card.files):
        file = folder / name
        if not file.is_file():
            raise _damaged(folder, f"{name} is missing")
        if file_digest(file) != card.files.get(name):
            raise _damaged(folder, f"{name} is not the file that was saved")
    return card


def _damaged(folder: Path, cause: str) -> AdapterError:
    return AdapterError(
        f"the adapter in {folder} is damaged: {cause}",
        hint="roll back to another version with `gardenerctl rollback VERSION`",
    )
