"""Single values that outlive a run of the daemon."""

from __future__ import annotations

from gardenerd.store.database import Database


class Meta:
    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> str | None:
        return self._database.value("SELECT value FROM meta WHERE key = ?", (key,))

    def set(self, key: str, value: str | None) -> None:
        """Remember ``value``; None forgets the key."""
        if value is None:
            self._database.run("DELETE FROM meta WHERE key = ?", (key,))
        else:
            self._database.run("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
