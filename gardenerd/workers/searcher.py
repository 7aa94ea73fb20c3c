"""The search worker: ``python -m gardenerd.workers.searcher ENDPOINT LOGFILE``.

A process of its own, so that a search waits neither for the interpreter of the index worker nor for
its turn on a processor that indexing, of lower priority, keeps busy. It only reads.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from typing import TYPE_CHECKING

import msgspec

from gardenerd import logs, paths, settings
from gardenerd.errors import IndexUnavailableError
from gardenerd.workers.harness import Context, Harness, child_arguments
from gardenerd.workers.jobs import Hits, SearchIndex

if TYPE_CHECKING:
    from pathlib import Path

    from gardenerd.index.embed import Embedder
    from gardenerd.index.queries import TunedQueries
    from gardenerd.index.reader import TableReader


class Searcher:
    """Answers searches from the table in ``folder``."""

    def __init__(self, folder: Path, embedding: str) -> None:
        self._folder = folder
        self._embedding = embedding
        self._opened: tuple[TableReader, Embedder, TunedQueries] | None = None
        self._searching = threading.Lock()

    def handle(self, job: SearchIndex, _context: Context) -> Hits:
        """Do one job. After an error of the table the next job opens it anew."""
        from gardenerd.index.search import search

        with self._searching:
            reader, embedder, queries = self._open()
            tuned, unusable = queries.of(job.tuned)
            try:
                found = search(reader.latest(), embedder, job, tuned)
                return msgspec.structs.replace(found, unusable=unusable)
            except IndexUnavailableError:
                reader.close()
                raise

    def warm(self) -> None:
        """Open the table ahead of the first job; that job tells of what fails here."""
        with contextlib.suppress(Exception), self._searching:
            self._open()[0].latest()
        # What was imported and read stays: a collection that looks at all of it takes 50 ms.
        gc.collect()
        gc.freeze()

    def _open(self) -> tuple[TableReader, Embedder, TunedQueries]:
        if self._opened is None:
            from gardenerd.index.embed import load_embedder
            from gardenerd.index.queries import TunedQueries
            from gardenerd.index.reader import TableReader

            embedder = load_embedder(self._embedding)
            reader = TableReader(self._folder, embedder.fingerprint, embedder.dimensions)
            self._opened = (reader, embedder, TunedQueries(embedder))
        return self._opened


def main() -> None:
    endpoint, logfile = child_arguments()
    home = paths.find_home()
    chosen = settings.load(home.config)
    logs.configure(logfile, level=chosen.log.level)
    searcher = Searcher(home.index, chosen.index.embedding)
    threading.Thread(target=searcher.warm, name="warm", daemon=True).start()
    Harness(endpoint, SearchIndex, searcher.handle).serve()


if __name__ == "__main__":
    main()
