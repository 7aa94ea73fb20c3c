"""Copy a file from the hub: by byte range from where it broke off, and only as it was promised."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx2

from gardenerd import durable
from gardenerd.errors import ModelError, StorageError
from gardenerd.models.hub import Hub, Listing
from gardenerd.models.origin import RemoteFile, matches

# Of a connection that breaks off: tried again so often without a byte between.
_ATTEMPTS = 6
_FIRST_WAIT_S = 0.5
_PARTIAL_CONTENT = 206
_PASSING = (416, 429)  # and all from 500: a range beyond the end, too many requests


class Transfer:
    """Copies files of one listing into ``folder``.

    Args:
        arrived: called with the number of bytes that came, or that were there (negative: that had
            to be thrown away).
        check: called often; it may raise to cancel. What came stays.
    """

    def __init__(
        self,
        hub: Hub,
        listing: Listing,
        folder: Path,
        *,
        arrived: Callable[[int], None],
        check: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._listing = listing
        self._folder = folder
        self._arrived = arrived
        self._check = check
        self.received = 0
        """Bytes that came over the network."""

    def there(self, file: RemoteFile) -> int:
        """How many of its bytes are there."""
        for path in (self._folder / file.name, self._part(file)):
            if path.is_file():
                return min(path.stat().st_size, file.size)
        return 0

    def fetch(self, file: RemoteFile) -> Path:
        """Have ``file`` in the folder, whole and as it was promised.

        Raises:
            ModelError: the hub refused or could not be reached, or sent something else.
            StorageError: it cannot be written.
        """
        path, part = self._folder / file.name, self._part(file)
        if path.is_file() and matches(path, file):
            self._arrived(file.size)
            return path
        try:
            for last in (False, True):
                resumed = part.is_file()
                self._complete(file, part)
                if matches(part, file):
                    break
                # What was there before may have been damaged; what came as a whole is wrong.
                self._arrived(-part.stat().st_size)
                part.unlink()
                if last or not resumed:
                    raise ModelError(
                        f"{file.name} is not what the hub promised: its digest differs",
                        hint="try again; a proxy may change what it passes on",
                    )
            with part.open("rb") as whole:
                durable.sync(whole.fileno())
            part.rename(path)
        except OSError as error:
            raise StorageError(
                f"cannot write {part}: {error.strerror or error}",
                hint="free some disk space; what came is kept, the next pull goes on from there",
            ) from error
        return path

    def _part(self, file: RemoteFile) -> Path:
        """Of these bytes and no others: a part of another commit's is not gone on from."""
        return self._folder / f"{file.name}.{(file.sha256 or file.blob)[:12]}.part"

    def _complete(self, file: RemoteFile, part: Path) -> None:
        """Fill ``part``, through as many connections as it takes."""
        failures = 0
        if part.is_file():
            if part.stat().st_size > file.size:
                part.unlink()
            else:
                self._arrived(part.stat().st_size)
        while True:
            before = part.stat().st_size if part.is_file() else 0
            if before == file.size and part.is_file():
                return
            try:
                self._receive(file, part, before)
                cause: Exception = OSError("the connection ended early")
            except httpx2.HTTPError as error:
                cause = error
            now = part.stat().st_size if part.is_file() else 0
            failures = 0 if now > before else failures + 1
            if now < file.size:
                if failures >= _ATTEMPTS:
                    raise self._hub.unreachable(cause) from cause
                self._wait(_FIRST_WAIT_S * 2**failures)

    def _receive(self, file: RemoteFile, part: Path, start: int) -> None:
        with self._hub.stream(self._listing, file, start) as response:
            if response.status_code in _PASSING or response.status_code >= 500:
                return  # tried again, as a connection that broke
            self._hub.require(response, file.name)
            if start and response.status_code != _PARTIAL_CONTENT:
                self._arrived(-start)  # it does not take ranges: from the beginning
                start = 0
            with part.open("r+b" if start else "wb") as target:
                target.seek(start)
                for piece in response.iter_raw():  # as they come: what is gathered can be lost
                    self._check()
                    if target.tell() + len(piece) > file.size:
                        raise ModelError(
                            f"{file.name} is longer than the hub promised", hint="try again later"
                        )
                    target.write(piece)
                    self.received += len(piece)
                    self._arrived(len(piece))

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._check()
            time.sleep(0.05)
