"""What is known of each project's files, and which of them the index has yet to follow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

from gardenerd.store.database import Database
from gardenerd.workers.jobs import FileResult

HitState = Literal["fresh", "pending", "gone"]

# rows in one transaction: a longer one would hold up the requests that wait for the connection
_BATCH = 5_000


_KNOWN = (
    "SELECT path, size, mtime_ns, ctime_ns, inode, NOT racy AND state != 'failed', remove "
    "FROM files"
)


class Stat(NamedTuple):
    """One regular file as a scan saw it. ``racy``: changed within 2 s of being looked at."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    racy: bool = False


class Known(NamedTuple):
    """What the table holds of a file. ``settled`` is False where a scan must look again."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    settled: bool
    removing: bool


class Claim(msgspec.Struct, kw_only=True, frozen=True):
    """Work for the indexer: follow ``paths``, drop ``remove`` even where the file exists."""

    paths: list[str]
    remove: list[str]

    def __bool__(self) -> bool:
        return bool(self.paths or self.remove)


class FileState(msgspec.Struct, kw_only=True, frozen=True):
    """One file, as the table has it."""

    state: str
    """``pending``, ``indexed``, ``skipped`` or ``failed``."""
    reason: str
    size: int
    mtime_ns: int
    chunks: int
    indexed: float
    """When, in seconds since the epoch; 0 for never."""


class Counts(msgspec.Struct, kw_only=True, frozen=True):
    files: int = 0
    """In the index."""
    chunks: int = 0
    pending: int = 0
    """Changes known and not yet in the index."""
    new_chunks: int = 0
    """Chunks that no training run has harvested."""
    skipped: int = 0
    failed: int = 0


class Files:
    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, project: str, within: Iterable[str] = ("",)) -> dict[str, Known]:
        """What a scan of the files or folders ``within`` is compared with."""
        found: dict[str, Known] = {}
        for path in within:
            # "0" follows "/": the range is all that lies below the folder
            rows = (
                self._database.rows(f"{_KNOWN} WHERE project = ?", (project,))
                if path == ""
                else self._database.rows(
                    f"{_KNOWN} WHERE project = ?1 AND path = ?2 UNION ALL "
                    f"{_KNOWN} WHERE project = ?1 AND path > ?2 || '/' AND path < ?2 || '0'",
                    (project, path),
                )
            )
            for row in rows:
                found[row[0]] = Known(row[1], row[2], row[3], row[4], bool(row[5]), bool(row[6]))
        return found

    def mark(self, project: str, changed: Iterable[Stat], gone: Iterable[str] = ()) -> None:
        """Record changes: ``changed`` must be indexed again, ``gone`` must leave the index."""
        stats = list(changed)
        for start in range(0, len(stats), _BATCH):
            self._database.run_many(
                "INSERT INTO files (project, path, size, mtime_ns, ctime_ns, inode, racy) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (project, path) DO UPDATE SET "
                "size = excluded.size, mtime_ns = excluded.mtime_ns, "
                "ctime_ns = excluded.ctime_ns, inode = excluded.inode, racy = excluded.racy, "
                "state = 'pending', claimed = 0, remove = 0",
                [(project, *stat) for stat in stats[start : start + _BATCH]],
            )
        self._database.run_many(
            "UPDATE files SET state = 'pending', claimed = 0, remove = 1 "
            "WHERE project = ? AND path = ?",
            [(project, path) for path in gone],
        )

    def forget(self, project: str, place: str) -> int:
        """Drop the rows of a file, or of all files in a folder; gives how many there were."""
        return self._database.run(
            "DELETE FROM files WHERE project = ?1 AND "
            "(path = ?2 OR path > ?2 || '/' AND path < ?2 || '0')",
            (project, place),
        )

    def mark_all(self, project: str) -> None:
        """Index everything again: the index was lost."""
        self._database.run(
            "UPDATE files SET state = 'pending', claimed = 0 WHERE project = ?", (project,)
        )

    def claim(self, project: str, limit: int) -> Claim:
        """Take up to ``limit`` pending files for the indexer, most lately written first."""
        with self._database.transaction():
            rows = self._database.rows(
                "SELECT path, remove FROM files WHERE project = ? AND state = 'pending' "
                "AND claimed = 0 ORDER BY remove DESC, mtime_ns DESC LIMIT ?",
                (project, limit),
            )
            self._database.run_many(
                "UPDATE files SET claimed = 1 WHERE project = ? AND path = ?",
                [(project, row["path"]) for row in rows],
            )
        return Claim(
            paths=[row["path"] for row in rows if not row["remove"]],
            remove=[row["path"] for row in rows if row["remove"]],
        )

    def release(self, project: str | None = None) -> None:
        """Give back what was claimed and not finished: the worker, or the daemon, died."""
        self._database.run(
            "UPDATE files SET claimed = 0 WHERE claimed = 1 AND project = coalesce(?, project)",
            (project,),
        )

    def finish(self, project: str, results: Iterable[FileResult], now: float) -> None:
        """Record what became of claimed files. One that changed since its claim stays pending."""
        with self._database.transaction():
            for result in results:
                self._finish(project, result, now)

    def _finish(self, project: str, result: FileResult, now: float) -> None:
        row = self._database.row(
            "SELECT claimed, digest, changed, new_chunks FROM files WHERE project = ? AND path = ?",
            (project, result.path),
        )
        if row is None:
            return
        still_claimed = bool(row["claimed"])
        if result.state == "gone":
            if still_claimed:
                self._database.run(
                    "DELETE FROM files WHERE project = ? AND path = ?", (project, result.path)
                )
            return
        changed = row["changed"]
        if result.digest != row["digest"] or not changed:
            # the file's own time, unless a tool set it in the future
            changed = min(result.mtime_ns / 1e9, now) if result.mtime_ns else now
        self._database.run(
            "UPDATE files SET state = ?, claimed = 0, reason = ?, digest = ?, chunks = ?, "
            "new_chunks = ?, changed = ?, indexed = ? WHERE project = ? AND path = ?",
            (
                result.state if still_claimed else "pending",
                result.reason,
                result.digest,
                result.chunks,
                min(row["new_chunks"] + result.new_chunks, max(result.chunks, 0)),
                changed,
                now,
                project,
                result.path,
            ),
        )

    def counts(self, project: str) -> Counts:
        row = self._database.row(
            "SELECT coalesce(sum(indexed > 0 AND chunks > 0 OR state = 'indexed'), 0) AS files, "
            "coalesce(sum(chunks), 0) AS chunks, "
            "coalesce(sum(state = 'pending'), 0) AS pending, "
            "coalesce(sum(new_chunks), 0) AS new_chunks, "
            "coalesce(sum(state = 'skipped'), 0) AS skipped, "
            "coalesce(sum(state = 'failed'), 0) AS failed FROM files WHERE project = ?",
            (project,),
        )
        return Counts(**dict(row)) if row is not None else Counts()

    def has_pending(self, project: str | None = None) -> bool:
        """Whether any known change is not yet in the index."""
        return bool(
            self._database.value(
                "SELECT EXISTS (SELECT 1 FROM files WHERE state = 'pending' "
                "AND project = coalesce(?, project))",
                (project,),
            )
        )

    def state(self, project: str, path: str) -> FileState | None:
        """What is known of a file; None when no scan has found it."""
        row = self._database.row(
            "SELECT state, reason, size, mtime_ns, chunks, indexed FROM files "
            "WHERE project = ? AND path = ? AND remove = 0",
            (project, path),
        )
        return None if row is None else FileState(**dict(row))

    def problems(self, project: str, limit: int) -> list[tuple[str, str]]:
        """Files that failed, with the reason."""
        rows = self._database.rows(
            "SELECT path, reason FROM files WHERE project = ? AND state = 'failed' "
            "ORDER BY path LIMIT ?",
            (project, limit),
        )
        return [(row["path"], row["reason"]) for row in rows]

    def hit_state(self, project: str, path: str, digest: str = "") -> HitState:
        """Whether a hit shows the file as it is known to be now.

        ``digest`` is that of the bytes behind the hit; one that differs makes it ``pending``.
        """
        row = self._database.row(
            "SELECT state, remove, digest FROM files WHERE project = ? AND path = ?",
            (project, path),
        )
        if row is None or row["remove"]:
            return "gone"
        if row["state"] == "pending" or (digest and row["digest"] != digest):
            return "pending"
        return "fresh"

    def indexed(self, project: str) -> list[tuple[str, float]]:
        """Path and time of the last change, in seconds since the epoch, of each indexed file."""
        rows = self._database.rows(
            "SELECT path, changed FROM files WHERE project = ? AND state = 'indexed' ORDER BY path",
            (project,),
        )
        return [(row["path"], row["changed"]) for row in rows]

    def unharvested(self, project: str) -> list[str]:
        """Files that hold chunks which no training run has harvested."""
        rows = self._database.rows(
            "SELECT path FROM files WHERE project = ? AND new_chunks > 0 AND remove = 0 "
            "ORDER BY changed DESC, path",
            (project,),
        )
        return [row["path"] for row in rows]

    def harvested(self, project: str, paths: Iterable[str]) -> None:
        """Their chunks are in the buffer of examples now."""
        self._database.run_many(
            "UPDATE files SET new_chunks = 0 WHERE project = ? AND path = ?",
            [(project, path) for path in paths],
        )
