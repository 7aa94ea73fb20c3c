"""The LanceDB table of chunks: opened or healed, written in batches, compacted.

Measured on LanceDB 0.40: it never syncs (a crash of the machine can leave an empty manifest, and
then every open fails), and with a full-text index it leaks memory and descriptors in a process
that lives long. So: its new files are synced here, an empty newest manifest is dropped, its caches
are bounded, and it is opened anew after each optimisation. What cannot be healed is made anew under
a new generation: the index is derived, everything in it can be rebuilt.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Generator, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import lancedb
import pyarrow as pa
from lancedb.index import FTS
from lancedb.query import FullTextQuery, MatchQuery

from gardenerd.errors import GardenerError, IndexUnavailableError
from gardenerd.index.contents import ContentStore
from gardenerd.index.generation import FORMAT, new_generation, read_generation, tell_version
from gardenerd.index.memory import give_back
from gardenerd.index.newfiles import NewFiles
from gardenerd.index.rows import schema

log = logging.getLogger(__name__)

_INDEX_CACHE_BYTES = 64 << 20
_METADATA_CACHE_BYTES = 16 << 20
# No reader of ours keeps a version open for longer than one search.
_KEEP_VERSIONS = timedelta(seconds=60)
TEXT_INDEX = "search_idx"
"""LanceDB's name for the full-text index of the column ``search``."""
PATHS_IN_FILTER = 400
"""So many paths at most in one question for rows."""
_ALL = 10_000_000
_HEAL_TRIES = 8
_INDEX_WORKERS = 2


@contextlib.contextmanager
def _told(doing: str) -> Generator[None]:
    """Turn what LanceDB raises, of any type, into an error that says what to do."""
    try:
        yield
    except GardenerError:
        raise
    except Exception as error:
        raise IndexUnavailableError(
            f"cannot {doing} the index: {_first_line(error)}",
            hint="free some disk space if the disk is full; else it heals or is rebuilt by itself",
        ) from error


class Held(NamedTuple):
    """A file that has rows."""

    project: str
    path: str
    digest: str
    chunks: list[str]
    """Their digests, in any order."""


class ChunkTable:
    """The one writer of the table; other processes read it by :mod:`gardenerd.index.reader`.

    Args:
        folder: the index folder; it holds the generation and the LanceDB database.
        fingerprint: of the embedder; vectors of two embedders never share a table.
        dimensions: of its vectors.
    """

    def __init__(self, folder: Path, fingerprint: str, dimensions: int) -> None:
        self._folder = folder
        self._name = table_name(fingerprint, dimensions)
        self._dimensions = dimensions
        self._new_files = NewFiles(self.path)
        self.generation = ""
        self._open()
        self.contents = ContentStore(folder, self.generation, dimensions)

    @property
    def path(self) -> Path:
        return self._folder / "lance" / f"{self._name}.lance"

    # --- opening --------------------------------------------------------------------------

    def _open(self) -> None:
        (self._folder / "lance").mkdir(parents=True, exist_ok=True)
        known = read_generation(self._folder)
        for _ in range(_HEAL_TRIES):
            if not self.path.exists() or known is None:
                break
            try:
                self._reopen()
            except Exception as error:  # noqa: BLE001 - LanceDB raises whatever its core says
                log.warning("the index does not open", extra={"cause": _first_line(error)})
                if not self._drop_empty_manifest():
                    break
            else:
                self.generation = known
                self._commit()
                return
        self._create()

    def _reopen(self) -> None:
        """Fresh handles: nothing of the old ones' caches and descriptors stays."""
        self._database = connect(self._folder)
        table = self._database.open_table(self._name)
        table.count_rows()
        if table.schema != schema(self._dimensions):
            raise IndexUnavailableError("the table has another schema")
        # A damaged data or index file shows only when it is read.
        table.search().select(["path", "vector"]).limit(1).to_arrow()
        self._table = table
        self._has_text_index = any("search" in index.columns for index in table.list_indices())
        if self._has_text_index:
            self._check_text_index()

    def _check_text_index(self) -> None:
        """A damaged full-text index shows only when it is asked; it is made anew from the rows."""
        try:
            self._table.search(match("a"), query_type="fts").limit(1).to_arrow()
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("the full-text index is damaged", extra={"cause": _first_line(error)})
            self._build_text_index()

    def _create(self) -> None:
        """Make an empty table under a new generation; whatever stood there goes."""
        for old in (self._folder / "lance").glob("chunks-*.lance"):
            shutil.rmtree(old)
        self._database = connect(self._folder)
        self._table = self._database.create_table(self._name, schema=schema(self._dimensions))
        self._has_text_index = False
        self._new_files = NewFiles(self.path)
        self._commit()
        self.generation = new_generation(self._folder)
        log.info("a new index table", extra={"generation": self.generation})

    def _drop_empty_manifest(self) -> bool:
        """Remove the newest manifest if it has no bytes; the version before it then stands."""
        manifests = [p for p in (self.path / "_versions").glob("*.manifest") if p.is_file()]
        empty = [p for p in manifests if p.stat().st_size == 0]
        if not empty or len(empty) == len(manifests):
            return False
        for manifest in empty:
            manifest.unlink()
        return True

    # --- writing --------------------------------------------------------------------------

    def replace(self, project: str, paths: Sequence[str], batch: pa.RecordBatch | None) -> None:
        """Make ``batch`` all that the table holds of ``paths``, durably; None just removes them."""
        with _told("write"):
            for part in _parts(paths, PATHS_IN_FILTER):
                self._table.delete(f"project = {_quoted(project)} AND path IN ({_list(part)})")
            if batch is not None and batch.num_rows:
                self._table.add(batch)
            self._commit()

    def remove_project(self, project: str) -> int:
        """Remove all rows of a project, kept ones too; returns how many the table had."""
        where = f"project = {_quoted(project)}"
        with _told("write"):
            count = self._table.count_rows(where)
            if count:
                self._table.delete(where)
                self._commit()
        self.contents.forget_project(project)
        return count

    def forget(self, project: str, path: str) -> int:
        """Remove all rows of a file, or of all files in a folder, and every byte of them; gives
        how many rows there were.

        A table that cannot be written anew is dropped and made empty, under a new generation.

        Raises:
            IndexUnavailableError: not even that succeeded.
        """
        below = f"starts_with(path, {_quoted(path + '/')})"
        where = f"project = {_quoted(project)} AND (path = {_quoted(path)} OR {below})"
        with _told("write"):
            count = self._table.count_rows(where)
            if count:
                self._table.delete(where)
                self._commit()
        self.contents.forget(project, [path])
        try:
            self._write_anew()
        except Exception as error:  # noqa: BLE001 - LanceDB raises whatever its core says
            log.warning("the index is dropped", extra={"cause": _first_line(error)})
            with _told("write"):
                self._create()
            self.contents = ContentStore(self._folder, self.generation, self._dimensions)
        return count

    def _write_anew(self) -> None:
        """Write every row once more and drop all files of before.

        Deleting leaves a row's bytes where they are, and compaction rewrites a file only when a
        tenth of it was deleted: whatever was deleted earlier may still be in it too.
        """
        before = _written(self.path)
        if self._table.count_rows():
            self._table.update(where="true", values_sql={"start_line": "start_line"})
            self._build_text_index()
        # The searches that come now read what was written; those under way may fail once.
        self._commit()
        # Of no age at all would be warned of in the log. Unverified: leftovers of a crash.
        self._table.optimize(cleanup_older_than=timedelta(milliseconds=1), delete_unverified=True)
        self._reopen()
        self._commit()
        left = before & _written(self.path)
        if left:
            raise IndexUnavailableError(f"{len(left)} files of the index were not replaced")

    def _commit(self) -> None:
        """Make durable what was written, and let readers see it: whole, not between two steps."""
        self._new_files.sync()
        tell_version(self._folder, self._table.version)

    # --- upkeep ---------------------------------------------------------------------------

    def index_text(self) -> None:
        """Bring the full-text index up to date; rows outside it are found, but slowly."""
        if self._has_text_index:
            for failure in self.optimize():
                log.warning("a step of the upkeep failed", extra={"cause": failure})
            return
        with _told("write"):
            if self._table.count_rows():
                self._build_text_index()
                self._commit()

    def _build_text_index(self) -> None:
        # The words come split, stemmed and in lower case: see identifiers.
        config = FTS(
            base_tokenizer="whitespace",
            lower_case=False,
            stem=False,
            remove_stop_words=False,
            ascii_folding=False,
            with_position=False,
            num_workers=_INDEX_WORKERS,
        )
        self._table.create_index("search", config=config, replace=True)
        self._has_text_index = True

    def optimize(self) -> list[str]:
        """Compact, bring the full-text index up to date, drop old versions; open anew.

        Returns what failed, in words: one step's failure does not keep the others from running.
        """
        failures: list[str] = []
        try:
            self._table.optimize(cleanup_older_than=_KEEP_VERSIONS)
        except Exception as error:  # noqa: BLE001 - as above; reported, and mended below
            failures.append(f"optimize: {_first_line(error)}")
        try:
            if self._table.count_rows() and (failures or not self._has_text_index):
                self._build_text_index()
        except Exception as error:  # noqa: BLE001
            failures.append(f"full-text index: {_first_line(error)}")
        with _told("open"):
            self._reopen()
            self._commit()
        give_back()
        return failures

    # --- reading --------------------------------------------------------------------------

    @property
    def has_text_index(self) -> bool:
        return self._has_text_index

    def count(self, project: str | None = None) -> int:
        with _told("read"):
            return self._table.count_rows(
                None if project is None else f"project = {_quoted(project)}"
            )

    def unindexed_rows(self) -> int:
        """Rows that the full-text index does not hold yet."""
        if not self._has_text_index:
            return self._table.count_rows()
        stats = self._table.index_stats(TEXT_INDEX)
        return 0 if stats is None else stats.num_unindexed_rows

    def held(self, project: str, paths: Sequence[str], digests: Sequence[str]) -> list[Held]:
        """Files that have rows: those of ``paths`` in ``project``, and any with such contents."""
        files: dict[tuple[str, str], Held] = {}
        where = f"project = {_quoted(project)} AND path IN ({_list(paths)})"
        rows = self._rows(
            self._table,
            f"({where}) OR digest IN ({_list(digests)})",
            ["project", "path", "digest", "chunk_digest"],
        )
        for *file, digest, chunk in zip(*(column.to_pylist() for column in rows), strict=True):
            found = files.setdefault((file[0], file[1]), Held(file[0], file[1], digest, []))
            found.chunks.append(chunk)
        return list(files.values())

    def rows_with(self, reader: Any, digests: Sequence[str]) -> pa.Table:
        """All rows of all files with such contents, as when ``reader`` was got from
        :meth:`reader`."""
        return self._rows(reader, f"digest IN ({_list(digests)})", reader.schema.names)

    def reader(self) -> Any:
        """A handle on the rows as they are now, which later writes do not change."""
        return self._database.open_table(self._name)

    def _rows(self, reader: Any, where: str, columns: list[str]) -> pa.Table:
        with _told("read"):
            found = reader.search().where(where).select(columns).limit(_ALL)
            return found.to_arrow().select(columns)


def connect(folder: Path) -> Any:
    """The database of an index folder, with caches of its own."""
    session = lancedb.Session(
        index_cache_size_bytes=_INDEX_CACHE_BYTES,
        metadata_cache_size_bytes=_METADATA_CACHE_BYTES,
    )
    return lancedb.connect(folder / "lance", session=session)


def table_name(fingerprint: str, dimensions: int) -> str:
    """The table of an embedder: vectors of two embedders never share one."""
    return f"chunks-v{FORMAT}-{_safe(fingerprint)}-{dimensions}"


def match(words: str) -> FullTextQuery:
    """The full-text query for any of ``words``, which are split and stemmed as the rows are."""
    return MatchQuery(words, "search")  # pyright: ignore[reportCallIssue]


def reading() -> contextlib.AbstractContextManager[None]:
    """Turns what a search in LanceDB raises into :class:`IndexUnavailableError`."""
    return _told("search")


def project_filter(projects: Iterable[str]) -> str:
    """LanceDB's filter for the rows of these projects."""
    return f"project IN ({_list(projects)})"


def _written(table: Path) -> set[Path]:
    """The files that hold what is in rows, or was."""
    kinds = ("data", "_deletions", "_indices")
    return {file for kind in kinds for file in (table / kind).rglob("*") if file.is_file()}


def _parts(items: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (items[at : at + size] for at in range(0, len(items), size))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _list(items: Iterable[str]) -> str:
    return ", ".join(_quoted(item) for item in items) or "''"


def _safe(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text)[:40]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
