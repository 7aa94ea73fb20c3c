"""Which adapters were handed to a server that keeps them: ``served.json`` in the home."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gardenerd import durable
from gardenerd.paths import Home
from gardenerd.workers.jobs import AdapterRef


def left_behind(home: Home) -> list[str]:
    """The servers that have copies of versions which are no more here."""
    servers = Registered(home, "").servers()
    return [url for url in servers if Registered(home, url).gone()]


class Registered:
    """The adapters at one server, by the names that they have there. One process writes the file.

    It is derived: without it adapters are handed over again, but copies of versions that are gone
    would stay at the server.
    """

    def __init__(self, home: Home, url: str) -> None:
        self._file = home.served
        self._url = url
        self._all: dict[str, dict[str, AdapterRef]] = {}
        if self._file.is_file():
            kind = dict[str, dict[str, AdapterRef]]
            try:
                self._all = msgspec.json.decode(self._file.read_bytes(), type=kind)
            except msgspec.DecodeError:
                self._all = {}

    def servers(self) -> list[str]:
        return list(self._all)

    def versions(self) -> list[str]:
        return [ref.version for ref in self._here.values()]

    def gone(self) -> list[str]:
        """Names whose version has no folder any more."""
        return [name for name, ref in self._here.items() if not Path(ref.folder).is_dir()]

    def add(self, name: str, adapter: AdapterRef) -> None:
        self._all.setdefault(self._url, {})[name] = adapter
        self._write()

    def drop(self, name: str) -> None:
        del self._all[self._url][name]
        self._write()

    @property
    def _here(self) -> dict[str, AdapterRef]:
        return self._all.get(self._url, {})

    def _write(self) -> None:
        durable.write_file(self._file, msgspec.json.encode(self._all))
