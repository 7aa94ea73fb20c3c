"""An index that goes from one tree of a history to the next, without a daemon."""

from __future__ import annotations

from pathlib import Path

from gardenerd.index.build import index_files
from gardenerd.index.embed import Embedder
from gardenerd.index.reader import TableReader
from gardenerd.index.table import ChunkTable
from gardenerd.settings import Watch
from gardenerd.watch.filters import Filter
from gardenerd.watch.rescan import scan
from gardenerd.workers.jobs import IndexFiles

PROJECT = "p"


class IndexedTree:
    """The index in ``folder`` of what stands in ``root``."""

    def __init__(self, folder: Path, root: Path, embedder: Embedder) -> None:
        self.folder = folder
        self.root = root
        self.embedder = embedder
        self.reader = TableReader(folder, embedder.fingerprint, embedder.dimensions)
        self._table = ChunkTable(folder, embedder.fingerprint, embedder.dimensions)
        self._paths = set[str]()

    def follow(self) -> None:
        """Another tree stands there now."""
        paths = {file.path for file in scan(Filter(self.root, Watch().max_file_bytes)).files}
        job = IndexFiles(
            project=PROJECT,
            root=str(self.root),
            paths=sorted(paths),
            remove=sorted(self._paths - paths),
        )
        index_files(self._table, self.embedder, job, lambda _: None, lambda: None)
        self._table.index_text()
        self._paths = paths
