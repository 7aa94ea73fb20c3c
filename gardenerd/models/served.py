"""Which adapters were handed to a server that keeps them: ``served.json`` in the home."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec

from gardenerd import durable
from gardenerd.paths import Home
from gardenerd.workers.jobs import AdapterRef

_Noted = dict[str, dict[str, AdapterRef]]
"""By server and by the name that the adapter has there."""

# One process writes the file, from several threads.
_writing = threading.Lock()


def left_behind(home: Home) -> list[str]:
    """The servers that have copies of versions which are no more here."""
    return [url for url in _read(home.served) if Registered(home, url).gone()]


class Registered:
    """The adapters at one server, by the names that they have there.

    Without the file adapters are handed over again, but copies of versions that are gone would stay
    at the server.
    """

    def __init__(self, home: Home, url: str) -> None:
        self._file = home.served
        self._url = url

    def versions(self) -> list[str]:
        return [ref.version for ref in self._here().values()]

    def gone(self) -> list[str]:
        """Names whose version has no folder any more."""
        return [name for name, ref in self._here().items() if not Path(ref.folder).is_dir()]

    def add(self, name: str, adapter: AdapterRef) -> None:
        with _writing:
            noted = _read(self._file)
            noted.setdefault(self._url, {})[name] = adapter
            durable.write_file(self._file, msgspec.json.encode(noted))

    def drop(self, name: str) -> None:
        with _writing:
            noted = _read(self._file)
            noted.get(self._url, {}).pop(name, None)
            durable.write_file(self._file, msgspec.json.encode(noted))

    def _here(self) -> dict[str, AdapterRef]:
        return _read(self._file).get(self._url, {})


def _read(file: Path) -> _Noted:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Noted)
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError:  # damaged: what it said cannot be known any more
        return {}
