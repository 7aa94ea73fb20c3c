"""The index worker: ``python -m gardenerd.workers.indexer ENDPOINT LOGFILE``.

Three lanes: files are indexed in one; reading files as material for examples never waits for it,
nor does it for git.
The table is opened by the first job that needs it, and written by this process alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING

import msgspec

from gardenerd import logs, paths, settings
from gardenerd.errors import IndexUnavailableError
from gardenerd.index.generation import read_generation
from gardenerd.workers.harness import Context, Harness, child_arguments
from gardenerd.workers.jobs import (
    Checked,
    CheckIndex,
    Done,
    ForgetPlace,
    Harvest,
    IndexFiles,
    IndexJob,
    OptimizeIndex,
    PlaceForgotten,
    ReadSubjects,
    ReadTexts,
    RemoveProject,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gardenerd.index.embed import Embedder
    from gardenerd.index.table import ChunkTable

log = logging.getLogger(__name__)


class Indexer:
    """Does the jobs of the index worker on the table in ``folder``."""

    def __init__(self, folder: Path, embedding: str) -> None:
        self._folder = folder
        self._embedding = embedding
        self._opened: tuple[ChunkTable, Embedder] | None = None
        self._opening = threading.Lock()

    def lane(self, job: IndexJob) -> str:
        match job:
            case Harvest() | ReadTexts():
                return "files"
            case ReadSubjects():
                return "history"
            case IndexFiles() | RemoveProject() | ForgetPlace() | OptimizeIndex() | CheckIndex():
                return "write"

    def handle(self, job: IndexJob, context: Context) -> msgspec.Struct:
        """Do one job. After an error of the table the next job opens it anew, and so heals it."""
        try:
            return self._do(job, context)
        except IndexUnavailableError:
            with self._opening:
                self._opened = None
            raise

    def _do(self, job: IndexJob, context: Context) -> msgspec.Struct:
        match job:
            case IndexFiles():
                from gardenerd.index.build import index_files

                table, embedder = self._open()
                return index_files(table, embedder, job, context.update, context.check)
            case RemoveProject(project=project):
                return Done(count=self._open()[0].remove_project(project))
            case ForgetPlace(project=project, path=path):
                table, _ = self._open()
                chunks = table.forget(project, path)
                return PlaceForgotten(chunks=chunks, generation=table.generation)
            case OptimizeIndex():
                failures = self._open()[0].optimize()
                for failure in failures:
                    log.warning("a step of the upkeep failed", extra={"cause": failure})
                return Done(count=len(failures))
            case CheckIndex():
                with self._opening:
                    self._opened = None
                return Checked(generation=self._open()[0].generation)
            case Harvest():
                from gardenerd.index.reading import harvest

                return harvest(job, context.update, context.check)
            case ReadSubjects():
                from gardenerd.index.history import read_subjects

                return read_subjects(job)
            case ReadTexts():
                from gardenerd.index.reading import read_texts

                return read_texts(job, context.check)

    def warm(self) -> None:
        """Open the table ahead of the first job; that job tells of what fails here."""
        with contextlib.suppress(Exception):
            self._open()

    def _open(self) -> tuple[ChunkTable, Embedder]:
        with self._opening:
            # A table whose files were deleted still answers from what is open and cached.
            if self._opened and self._opened[0].generation != read_generation(self._folder):
                self._opened = None
            if self._opened is None:
                from gardenerd.index.embed import load_embedder
                from gardenerd.index.table import ChunkTable

                embedder = load_embedder(self._embedding)
                table = ChunkTable(self._folder, embedder.fingerprint, embedder.dimensions)
                self._opened = (table, embedder)
            return self._opened


# Below what people wait for, searches too, and above training.
_NICE = 15


def main() -> None:
    endpoint, logfile = child_arguments()
    os.nice(_NICE)
    home = paths.find_home()
    chosen = settings.load(home.config)
    logs.configure(logfile, level=chosen.log.level)
    indexer = Indexer(home.index, chosen.index.embedding)
    threading.Thread(target=indexer.warm, name="warm", daemon=True).start()
    Harness(endpoint, IndexJob, indexer.handle, lane=indexer.lane).serve()


if __name__ == "__main__":
    main()
