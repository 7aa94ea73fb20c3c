"""Jobs and answers of the process that exports; see `gardenerd.workers.jobs`."""

from __future__ import annotations

from typing import Literal

import msgspec

from gardenerd.workers.jobs import AdapterRef, Job

Format = Literal["peft", "merged", "gguf", "ollama"]


class ExportVersion(Job, kw_only=True, frozen=True):
    """Write a version into the folder ``target``, whole or not at all.

    Updates are :class:`ExportProgress`, the answer is :class:`Exported`.
    """

    format: Format
    base: str
    """Its folder."""
    base_name: str
    adapter: AdapterRef | None
    """None for the base alone."""
    target: str
    name: str
    """Of what is exported, for the names of files and for the server's list of models."""
    lora: bool = False
    """As GGUF: the adapter by itself, for a server that has the base already."""


class ExportProgress(msgspec.Struct, kw_only=True, frozen=True):
    file: str
    done: int
    """Bytes, of ``total``."""
    total: int


class ExportedFile(msgspec.Struct, kw_only=True, frozen=True):
    name: str
    bytes: int


class Exported(msgspec.Struct, kw_only=True, frozen=True):
    files: list[ExportedFile]
    notes: list[str]
    """What the user must know of it."""
    seconds: float
