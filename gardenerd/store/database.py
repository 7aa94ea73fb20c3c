"""``state.db``: one SQLite file that holds every durable truth, written by one connection.

SQLite before 3.51.3 can corrupt a write-ahead log that two connections write and checkpoint at
the same moment, so there is exactly one connection, and a lock around it.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gardenerd.errors import StorageError
from gardenerd.store import schema

_BUSY_MS = 5_000
_DISK = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reported an error",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_PERM: "it cannot be opened",
}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

Parameters = Sequence[Any]


class Database:
    """One open ``state.db``. Safe to call from any thread; calls wait for each other.

    Raises:
        StorageError: the file is damaged, not ours, of a newer gardener, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        with self._errors():
            self._connection = self._open()
        try:
            with self._errors():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All statements of the block take effect together and durably, or none does.

        A transaction inside another joins it. Violated constraints stay
        :class:`sqlite3.IntegrityError`; every other failure becomes a ``StorageError``.
        """
        with self._lock:
            if self._depth:
                yield
                return
            with self._errors():
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
                with self._errors():
                    self._connection.execute("COMMIT")
            except BaseException:
                # a full disk has rolled back already
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    def run(self, sql: str, parameters: Parameters = ()) -> int:
        """Execute one statement; give the number of rows that it changed."""
        with self._lock, self._errors():
            return self._connection.execute(sql, parameters).rowcount

    def run_many(self, sql: str, rows: Iterable[Parameters]) -> int:
        """Execute one statement for each of ``rows``, in one transaction."""
        with self.transaction(), self._errors():
            return self._connection.executemany(sql, rows).rowcount

    def rows(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """All rows of a query; columns by name."""
        with self._lock, self._errors():
            return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Parameters = ()) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        with self._lock, self._errors():
            return self._connection.execute(sql, parameters).fetchone()

    def value(self, sql: str, parameters: Parameters = ()) -> Any:
        """The first column of the first row, or None."""
        found = self.row(sql, parameters)
        return None if found is None else found[0]

    def shred(self) -> None:
        """Write the file anew, so that of rows that were deleted no byte is left in it or its log.

        Takes a second or so for each hundred megabytes; all others wait.
        """
        with self._lock:
            self._pragma("wal_checkpoint(TRUNCATE)")
            self.run("VACUUM")
            row = self.row("PRAGMA wal_checkpoint(TRUNCATE)")
        if row is None or row[0]:
            raise StorageError(
                f"the log of {self.path} cannot be emptied",
                hint="close what has it open; only gardenerd may use it",
            )

    def close(self) -> None:
        """Close the file, its write-ahead log folded in. Harmless when closed already."""
        with self._lock:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        # created here, private: SQLite gives its -wal and -shm files the same permissions
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.row_factory = sqlite3.Row
        return connection

    def _prepare(self) -> None:
        self._pragma(f"busy_timeout = {_BUSY_MS}")
        self._check()
        self._pragma("mmap_size = 0")
        self._pragma("journal_mode = WAL")
        # FULL: what was acknowledged survives a power loss
        self._pragma("synchronous = FULL")
        if sys.platform == "darwin":
            self._pragma("fullfsync = 1")
            self._pragma("checkpoint_fullfsync = 1")
        self._migrate()
        self._pragma("foreign_keys = 1")

    def _check(self) -> None:
        tables = self.value("SELECT count(*) FROM sqlite_master")
        application = self._pragma("application_id")
        if application != schema.APPLICATION_ID and (application or tables):
            raise StorageError(
                f"{self.path} is a database of another program",
                hint="move it away, or set GARDENER_HOME to another folder",
            )
        version = self._pragma("user_version")
        if version > len(schema.MIGRATIONS):
            raise StorageError(
                f"{self.path} was written by a newer gardener "
                f"(schema {version}, this one knows {len(schema.MIGRATIONS)})",
                hint="install the newer gardener again, or set GARDENER_HOME to another folder",
            )
        found = self._pragma("quick_check(1)")
        if found != "ok":
            raise self._damaged(str(found))

    def _migrate(self) -> None:
        version = self._pragma("user_version")
        for number, script in enumerate(schema.MIGRATIONS[version:], start=version + 1):
            with self.transaction():
                for statement in _statements(script):
                    self.run(statement)
                self._pragma(f"application_id = {schema.APPLICATION_ID}")
                self._pragma(f"user_version = {number}")

    def _pragma(self, text: str) -> Any:
        return self.value(f"PRAGMA {text}")

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.ProgrammingError as error:
            if "closed" in str(error):
                raise StorageError(f"{self.path} is closed", hint="") from error
            raise
        except sqlite3.DatabaseError as error:
            raise self._explained(error) from error
        except OSError as error:
            raise StorageError(
                f"cannot open {self.path}: {error.strerror}",
                hint="check its permissions, or set GARDENER_HOME to a writable folder",
            ) from error

    def _explained(self, error: sqlite3.DatabaseError) -> Exception:
        # extended codes carry the primary one in their low byte
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _DAMAGE:
            return self._damaged(str(error))
        if code in _DISK:
            return StorageError(
                f"cannot use {self.path}: {_DISK[code]} ({error})",
                hint="free some disk space or check the permissions; nothing was half written",
            )
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StorageError(
                f"{self.path} is locked by another program",
                hint="close what has it open; only gardenerd may write it",
            )
        return error

    def _damaged(self, detail: str) -> StorageError:
        return StorageError(
            f"{self.path} is damaged ({detail})",
            hint="restore it from a backup; or move state.db, state.db-wal and state.db-shm away "
            "to start anew: the index is rebuilt, adapters and feedback stay in the moved file",
        )


def _statements(script: str) -> Iterator[str]:
    # executescript() would commit the migration's own transaction
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"a migration ends within a statement: {statement.strip()[:60]!r}")
