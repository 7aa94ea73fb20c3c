"""What was made of contents that left the index: kept beside the table for when they come back.

A branch switch there and back, a stash, a folder that is moved out and in: the same bytes again.
Here are their rows, vectors too, by the digest of the bytes. A cache in every sense: bounded,
empty when the table is made anew, and never a reason for an error. What is damaged is thrown away,
what is locked is done without; both only make indexing slower, and are logged once.

Forgetting alone must not fail: where it does, the whole store goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

import pyarrow as pa

from gardenerd import durable
from gardenerd.errors import IndexUnavailableError
from gardenerd.index.languages import language_of
from gardenerd.index.rows import schema

log = logging.getLogger(__name__)

T = TypeVar("T")

_VERSION = 1
_CODEC = "zstd"
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# Troubles of the disk: the file may be whole.
_DISK = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}

_OPENING = (
    # A crash of the machine may damage the file: what is read is checked.
    "PRAGMA synchronous = OFF",
    "PRAGMA journal_mode = TRUNCATE",
    "PRAGMA foreign_keys = ON",
)
_CREATION = (
    "BEGIN IMMEDIATE",
    """CREATE TABLE IF NOT EXISTS contents (
        id INTEGER PRIMARY KEY,
        digest TEXT NOT NULL,
        form TEXT NOT NULL,
        used REAL NOT NULL,
        size INTEGER NOT NULL,
        length INTEGER NOT NULL,
        checksum BLOB NOT NULL,
        rows BLOB NOT NULL,
        UNIQUE (digest, form)
    )""",
    "CREATE INDEX IF NOT EXISTS contents_by_use ON contents (used, size)",
    """CREATE TABLE IF NOT EXISTS origins (
        project TEXT NOT NULL,
        path TEXT NOT NULL,
        content INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
        PRIMARY KEY (project, path, content)
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS origins_by_content ON origins (content)",
    f"PRAGMA user_version = {_VERSION}",
    "COMMIT",
)


class Content(NamedTuple):
    """What decides a file's rows within one table (which stands for the format and the embedder),
    the words of its path aside."""

    digest: str
    """Of the bytes, as :func:`gardenerd.index.text.digest_bytes` gives it."""
    form: str
    """Language and suffix: by these a text is cut, or left out as data."""


class Kept(NamedTuple):
    """All rows of one file, which left the table."""

    project: str
    path: str
    digest: str
    rows: pa.RecordBatch


def content_of(path: str, digest: str) -> Content:
    return Content(digest, language_of(path) + PurePosixPath(path).suffix)


class ContentStore:
    """One SQLite file in the index folder, open only while it is used. No call but those that
    forget ever raises.

    Args:
        folder: the index folder.
        generation: of the table; the contents beside another one are deleted.
        dimensions: of the vectors.
    """

    def __init__(self, folder: Path, generation: str, dimensions: int) -> None:
        self.path = folder / f"contents-v{_VERSION}-{generation}.db"
        self._schema = schema(dimensions)
        self._said: set[str] = set()
        self.ruled: set[str] = set()
        """Projects whose rules were held against what is here."""
        try:
            for old in folder.glob("contents-*"):
                if not old.name.startswith(self.path.name):
                    old.unlink(missing_ok=True)
        except OSError as error:
            self._trouble(error)

    # --- taking and keeping -------------------------------------------------------------------

    def touch(self, contents: Collection[Content]) -> dict[Content, int]:
        """Those that are here, and how many bytes their rows take in memory; they now count as
        used last."""

        def look(connection: sqlite3.Connection) -> dict[Content, int]:
            now = time.time()
            found: dict[Content, int] = {}
            update = "UPDATE contents SET used = ? WHERE digest = ? AND form = ? RETURNING length"
            for content in contents:
                for (length,) in connection.execute(update, (now, *content)).fetchall():
                    found[content] = length
            return found

        return self._use(look, {}) if self.path.exists() else {}

    def rows(self, contents: Iterable[Content]) -> dict[Content, pa.RecordBatch]:
        """The rows of those that are here, with the project and path that they once had."""

        def read(connection: sqlite3.Connection) -> dict[Content, pa.RecordBatch]:
            found: dict[Content, pa.RecordBatch] = {}
            for content in contents:
                row = connection.execute(
                    "SELECT length, checksum, rows FROM contents WHERE digest = ? AND form = ?",
                    content,
                ).fetchone()
                if row is not None:
                    found[content] = self._unpacked(content, *row)
            return found

        return self._use(read, {})

    def exchange(self, taken: Iterable[Content], kept: Iterable[Kept], limit: int) -> None:
        """Let go of what stands in the table again, keep what left it, and stay under ``limit``
        bytes of compressed rows: what was used longest ago goes."""
        comes = [(each, *self._packed(each.rows)) for each in kept]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM contents WHERE digest = ? AND form = ?", taken)
            now = time.time()
            for each, length, data in comes:
                content = content_of(each.path, each.digest)
                (id,) = connection.execute(
                    "INSERT INTO contents (digest, form, used, size, length, checksum, rows) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (digest, form) DO UPDATE SET used = excluded.used RETURNING id",
                    (*content, now, len(data), length, _checksum(content, data), data),
                ).fetchone()
                connection.execute(
                    "INSERT OR IGNORE INTO origins VALUES (?, ?, ?)", (each.project, each.path, id)
                )
            _evict(connection, limit)

        self._use(write, None)

    @property
    def bytes(self) -> int:
        """Of all compressed rows."""
        return self._use(_bytes, 0) if self.path.exists() else 0

    # --- forgetting ---------------------------------------------------------------------------

    def origins(self, project: str) -> list[str]:
        """The paths in ``project`` whose contents are here."""
        asked = "SELECT DISTINCT path FROM origins WHERE project = ?"
        return self._use(lambda c: [path for (path,) in c.execute(asked, (project,))], [])

    def forget(self, project: str, paths: Iterable[str] = (), digests: Iterable[str] = ()) -> None:
        """Drop what came from ``paths`` (files or folders of ``project``), whatever else had the
        same contents, and all contents with one of ``digests``; from the disk too.

        Raises:
            IndexUnavailableError: not even the whole store could be deleted.
        """
        listed, digested = list(paths), [(digest,) for digest in digests]

        def drop(connection: sqlite3.Connection) -> bool:
            for path in listed:
                # "0" follows "/": the range is all that lies below the folder
                connection.execute(
                    "DELETE FROM contents WHERE id IN (SELECT content FROM origins WHERE "
                    "project = ?1 AND (path = ?2 OR path > ?2 || '/' AND path < ?2 || '0'))",
                    (project, path),
                )
            connection.executemany("DELETE FROM contents WHERE digest = ?", digested)
            return True

        if listed or digested:
            self._forget(drop)

    def forget_project(self, project: str) -> None:
        """Drop what only ``project`` had, from the disk too; raises as :meth:`forget`."""

        def drop(connection: sqlite3.Connection) -> bool:
            connection.execute("DELETE FROM origins WHERE project = ?", (project,))
            connection.execute("DELETE FROM contents WHERE id NOT IN (SELECT content FROM origins)")
            return True

        self._forget(drop)

    def _forget(self, drop: Callable[[sqlite3.Connection], bool]) -> None:
        if not self.path.exists():
            return
        try:
            if self._use(drop, False) and self._use(_rewrite, False):
                durable.sync_folder(self.path)  # opens any path, a file as well
            else:
                self._delete()
        except OSError as error:
            raise IndexUnavailableError(
                f"cannot delete what was kept of earlier contents: {error}",
                hint=f"stop the daemon and delete {self.path}",
            ) from error

    # --- the file -----------------------------------------------------------------------------

    def _use(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Do ``work`` in one transaction; ``otherwise`` when the store cannot be used now."""
        try:
            # created here, private: SQLite gives its journal the same permissions
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            with contextlib.closing(
                sqlite3.connect(self.path, timeout=0, isolation_level=None)
            ) as connection:
                _prepare(connection)
                connection.execute("BEGIN IMMEDIATE")
                with connection:
                    return work(connection)
        except sqlite3.ProgrammingError:
            raise  # no fault of the file
        except (sqlite3.Error, OSError, _DamagedError) as error:
            self._trouble(error)
            return otherwise

    def _trouble(self, error: sqlite3.Error | OSError | _DamagedError) -> None:
        code: int | None = getattr(error, "sqlite_errorcode", None)
        harmless = isinstance(error, OSError) or (code is not None and code & 0xFF in _BUSY | _DISK)
        cause = str(error)
        if not harmless:
            try:
                self._delete()
            except OSError as failure:
                cause = f"{cause}; {failure}"
        if cause not in self._said:
            self._said.add(cause)
            log.warning("earlier contents are not reused", extra={"cause": cause})

    def _delete(self) -> None:
        for file in self.path.parent.glob(f"{self.path.name}*"):
            file.unlink(missing_ok=True)

    # --- one content --------------------------------------------------------------------------

    def _packed(self, rows: pa.RecordBatch) -> tuple[int, bytes]:
        plain = rows.cast(self._schema).serialize()
        return plain.size, pa.compress(plain, codec=_CODEC, asbytes=True)

    def _unpacked(
        self, content: Content, length: int, checksum: bytes, data: bytes
    ) -> pa.RecordBatch:
        # Arrow trusts what it reads.
        if _checksum(content, data) != checksum:
            raise _DamagedError("the rows of a content are damaged")
        plain = pa.decompress(data, decompressed_size=length, codec=_CODEC)
        return pa.ipc.read_record_batch(plain, self._schema)


class _DamagedError(Exception):
    pass


def _prepare(connection: sqlite3.Connection) -> None:
    for statement in _OPENING:
        connection.execute(statement)
    if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        for statement in _CREATION:
            connection.execute(statement)


def _checksum(content: Content, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16, key="\0".join(content).encode()[:64]).digest()


def _bytes(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT coalesce(sum(size), 0) FROM contents").fetchone()[0]


def _evict(connection: sqlite3.Connection, limit: int) -> None:
    over = _bytes(connection) - limit
    goes: list[tuple[int]] = []
    for id, size in connection.execute("SELECT id, size FROM contents ORDER BY used, id"):
        if over <= 0:
            break
        goes.append((id,))
        over -= size
    connection.executemany("DELETE FROM contents WHERE id = ?", goes)


def _rewrite(connection: sqlite3.Connection) -> bool:
    """Write the file anew: freed pages, and corners of others, hold what was dropped."""
    connection.execute("COMMIT")
    connection.execute("VACUUM")
    return True
