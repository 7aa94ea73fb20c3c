"""One export: checked, written beside its place, synced, renamed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from gardenerd import durable
from gardenerd.errors import RefusedError, StorageError
from gardenerd.export.gguf_adapter import write_adapter
from gardenerd.export.gguf_model import write_model
from gardenerd.export.lora import Lora, read_lora
from gardenerd.export.merged import write_merged
from gardenerd.export.modelfile import modelfile
from gardenerd.export.shape import shape_of
from gardenerd.export.tensors import TensorFile
from gardenerd.export.vocabulary import Vocabulary, read_vocabulary
from gardenerd.models.card import CARD, CONFIG, WEIGHTS, verify
from gardenerd.models.info import inspect, read_config, weight_files
from gardenerd.workers.export_jobs import Exported, ExportedFile, ExportProgress, ExportVersion
from gardenerd.workers.harness import Context

# Above this share of tokens that a server would read differently it is worth telling.
_TOLD = 0.001
_BASE, _ADAPTER = "base.gguf", "adapter.gguf"


def export(job: ExportVersion, context: Context, *, cache: Path | None = None) -> Exported:
    """Do the whole job; ``cache`` is that of fingerprints.

    Raises:
        RefusedError: the target is taken, or the model cannot be written in this format.
        ModelError, AdapterError: one of them is damaged, or they do not belong together.
        StorageError: the disk is full or not writable; nothing is left at the target.
        CancelledError: between two tensors.
    """
    began = time.monotonic()
    target = Path(job.target)
    work = _Work(job, context, cache)
    _vacant(target, work.total)
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        work.write(partial)
        context.check()
        files = durable.settle_folder(partial, target)
    except OSError as error:
        raise StorageError(
            f"cannot write {target}: {error.strerror or error}",
            hint="free some disk space or check the permissions; nothing was left there",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Exported(
        files=[ExportedFile(name=name, bytes=size) for name, size in files],
        notes=work.notes,
        seconds=time.monotonic() - began,
    )


class _Work:
    """What is to be written; all of it was checked before the first byte is."""

    def __init__(self, job: ExportVersion, context: Context, cache: Path | None) -> None:
        self._job = job
        self._context = context
        self._base = Path(job.base)
        info = inspect(self._base, name=job.base_name, cache=cache)
        self._adapter = Path(job.adapter.folder) if job.adapter else None
        if self._adapter is not None:
            verify(self._adapter, info.fingerprint)
        elif job.format == "peft" or job.lora:
            raise RefusedError("the base has no adapter to export", hint="name a version")
        self._config = read_config(self._base)
        self.notes: list[str] = []
        self._file = ""
        self._done = 0
        self._vocabulary: Vocabulary | None = None
        weights = info.bytes
        if job.format in ("gguf", "ollama"):
            shape_of(self._config)  # refuses what cannot be written
            if not job.lora:
                self._vocabulary = self._words()
        if job.format == "peft" or job.lora:
            weights = 0
        self.total = weights + (_size(self._adapter) if self._adapter else 0)

    def write(self, folder: Path) -> None:
        job = self._job
        match job.format:
            case "peft":
                self._peft(folder)
            case "merged":
                files = [TensorFile(path) for path in weight_files(self._base)]
                write_merged(self._base, files, self._lora(), folder, self._step(job.name))
            case "gguf" if job.lora:
                self._lora_alone(folder / f"{job.name}.gguf")
            case "gguf":
                self._model(folder / f"{job.name}.gguf", self._lora())
            case "ollama":
                self._model(folder / _BASE, None)
                if self._adapter is not None:
                    self._lora_alone(folder / _ADAPTER)
                self._modelfile(folder / "Modelfile")

    def _peft(self, folder: Path) -> None:
        assert self._adapter is not None
        for name in (WEIGHTS, CARD):
            shutil.copyfile(self._adapter / name, folder / name)
        config = json.loads((self._adapter / CONFIG).read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = self._job.base_name
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    def _model(self, target: Path, lora: Lora | None) -> None:
        assert self._vocabulary is not None
        files = [TensorFile(path) for path in weight_files(self._base)]
        name = self._job.name if lora else self._job.base_name
        step = self._step(target.name)
        write_model(files, self._config, self._vocabulary, lora, target, name=name, step=step)

    def _lora_alone(self, target: Path) -> None:
        assert self._adapter is not None
        lora = read_lora(self._adapter)
        write_adapter(lora, shape_of(self._config), target, name=self._job.name)
        self._step(target.name)(_size(self._adapter))

    def _modelfile(self, target: Path) -> None:
        assert self._vocabulary is not None
        text, notes = modelfile(
            self._vocabulary,
            base=_BASE,
            adapter=_ADAPTER if self._adapter else None,
            window=int(self._config["max_position_embeddings"]),
        )
        target.write_text(text, encoding="utf-8")
        self.notes += notes
        self.notes.append(f"register it: ollama create {self._job.name} -f Modelfile")

    def _lora(self) -> Lora | None:
        return read_lora(self._adapter) if self._adapter else None

    def _words(self) -> Vocabulary:
        found = read_vocabulary(self._base, int(self._config["vocab_size"]))
        if found.differs > _TOLD:
            self.notes.append(
                f"llama.cpp cuts text into words otherwise than this model's tokenizer: with the "
                f"most alike that it knows ({found.pre}) {100 * found.differs:.0f} % of the tokens "
                "of code differ, and it writes worse there than here"
            )
        return found

    def _step(self, file: str) -> Callable[[int], None]:
        """What is called after each tensor of ``file``."""

        def step(nbytes: int) -> None:
            self._context.check()
            self._done += nbytes
            self._context.update(
                ExportProgress(file=file, done=min(self._done, self.total), total=self.total)
            )

        return step


def _vacant(target: Path, needed: int) -> None:
    """Refuse a target that holds something, or a disk without room for it."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RefusedError(
            f"{target} exists and is not empty", hint="name a folder that is not there yet"
        )
    above = next(folder for folder in target.parents if folder.is_dir())
    if not os.access(above, os.W_OK):
        raise StorageError(f"cannot write into {above}", hint="name another folder")
    free = shutil.disk_usage(above).free
    if free < needed:
        raise StorageError(
            f"the export takes {needed:,} bytes, and {above} has {free:,} left",
            hint="free some disk space, or name a folder on another disk",
        )


def _size(folder: Path) -> int:
    return (folder / WEIGHTS).stat().st_size
