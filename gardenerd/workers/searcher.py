"""The search worker: ``python -m gardenerd.workers.searcher ENDPOINT LOGFILE``.

A process of its own, so that a search waits neither for the interpreter of the index worker nor for
its turn on a processor that indexing, of lower priority, keeps busy. It only reads.

For some seconds after a search it follows the table of itself, since one search is seldom the last:
what was written meanwhile takes 10 ms to open, and after a compaction half a second.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
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


_FOLLOW_SECONDS = 10.0
_LOOK_SECONDS = 0.025


class Searcher:
    """Answers searches from the table in ``folder``."""

    def __init__(self, folder: Path, embedding: str) -> None:
        self._folder = folder
        self._embedding = embedding
        self._opened: tuple[TableReader, Embedder, TunedQueries] | None = None
        self._searching = threading.Lock()
        self._asked = threading.Event()
        self._asked_at = 0.0

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
            finally:
                self._asked_at = time.monotonic()
                self._asked.set()

    def follow(self) -> None:
        """Have the table open as it is now for the search to come; does not return."""
        from gardenerd.index.generation import read_version

        seen: int | None = None
        while True:
            self._asked.wait()
            if time.monotonic() - self._asked_at > _FOLLOW_SECONDS:
                self._asked.clear()
                continue
            time.sleep(_LOOK_SECONDS)
            if (version := read_version(self._folder)) != seen:
                seen = version
                self._catch_up()

    def _catch_up(self) -> None:
        with self._searching:
            reader = self._open()[0]
            try:
                reader.latest()
            except IndexUnavailableError:
                reader.close()  # the next search meets and tells it

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
    threading.Thread(target=searcher.follow, name="follow", daemon=True).start()
    Harness(endpoint, SearchIndex, searcher.handle).serve()


if __name__ == "__main__":
    main()
