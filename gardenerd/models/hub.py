"""What the hub says of a repository at one commit: its files, their sizes and digests.

The contract, as huggingface_hub's client and the hub's API documentation have it:
``GET /api/models/{repository}/revision/{revision}?blobs=true`` answers ``sha`` (the commit),
``siblings`` (``rfilename``, ``size``, ``blobId``, and ``lfs`` with ``sha256`` for files that are
kept outside git), ``tags`` and ``cardData.license``. ``GET /{repository}/resolve/{commit}/{file}``
answers the bytes, or redirects to where they are; it takes byte ranges. Errors say
``X-Error-Code``.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx2
import msgspec

from gardenerd import __version__
from gardenerd.errors import ModelError
from gardenerd.models.origin import RemoteFile

# A hub that is silent for so long is gone; what came is kept.
_SILENCE_S = 30.0


class _Lfs(msgspec.Struct):
    sha256: str
    size: int


class _Sibling(msgspec.Struct, rename={"name": "rfilename", "blob": "blobId"}):
    name: str
    size: int | None = None
    blob: str = ""
    lfs: _Lfs | None = None


class _Told(msgspec.Struct, rename={"card": "cardData"}):
    sha: str
    siblings: list[_Sibling]
    tags: list[str] = []
    card: dict[str, Any] | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    repository: str
    commit: str
    licence: str
    files: dict[str, RemoteFile]
    """By name, those in folders too."""


class Hub:
    """One hub. Use it as a context.

    Args:
        endpoint: where it is, such as ``https://huggingface.co``.
        token: of a user, for repositories that are not open; sent to the hub alone.
    """

    def __init__(self, endpoint: str, token: str = "") -> None:
        self._endpoint = endpoint.rstrip("/")
        if not self._endpoint.startswith(("https://", "http://")):
            raise ModelError(
                f"{endpoint!r} is no address of a hub",
                hint="HF_ENDPOINT is unset, or such as https://huggingface.co",
            )
        headers = {"User-Agent": f"gardener/{__version__}"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        # The client drops the token where a redirect leads to another host.
        self._client = httpx2.Client(headers=headers, follow_redirects=True, timeout=_SILENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def listing(self, repository: str, revision: str) -> Listing:
        """The files of ``repository`` at the commit that ``revision`` names now.

        Raises:
            ModelError: there is none, it is not open to this user, or the hub cannot be reached.
        """
        url = f"{self._endpoint}/api/models/{repository}/revision/{quote(revision, safe='')}"
        try:
            response = self._client.get(url, params={"blobs": "true"})
        except httpx2.HTTPError as error:
            raise self.unreachable(error) from error
        self.require(response, repository, revision)
        try:
            told = msgspec.json.decode(response.content, type=_Told)
        except msgspec.DecodeError as error:
            raise ModelError(
                f"{self._endpoint} did not answer as a hub does: {error}",
                hint="check HF_ENDPOINT, and whether a login page stands between",
            ) from error
        return Listing(
            repository=repository,
            commit=told.sha,
            licence=_licence(told),
            files={sibling.name: _remote(sibling) for sibling in told.siblings},
        )

    def stream(self, listing: Listing, file: RemoteFile, start: int) -> Any:
        """The bytes of ``file`` from ``start`` on: a context that gives the response.

        Raises:
            httpx2.HTTPError: the connection failed.
        """
        # Compressed on the way the bytes could not be counted.
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        url = f"{self._endpoint}/{listing.repository}/resolve/{listing.commit}/{quote(file.name)}"
        return self._client.stream("GET", url, headers=headers)

    def require(self, response: httpx2.Response, what: str, revision: str = "") -> None:
        """Check that the hub gave ``what`` was asked of it.

        Raises:
            ModelError: the hub refused, with what it said.
        """
        if response.is_success:
            return
        code = response.headers.get("X-Error-Code", "")
        said = response.headers.get("X-Error-Message", "") or response.reason_phrase
        if code == "GatedRepo" or response.status_code == 403:
            raise ModelError(
                f"{what} is not open to everyone: {said}",
                hint="accept its terms on the hub, then set HF_TOKEN to a token of yours",
            )
        if code == "RevisionNotFound":
            raise ModelError(
                f"{what} has no revision {revision}", hint="name a branch, a tag or a commit of it"
            )
        if response.status_code in (401, 404):  # the hub does not tell which of the two
            raise ModelError(
                f"the hub has no {what}, or it is private",
                hint="check the name; for a private one set HF_TOKEN to a token of yours",
            )
        raise ModelError(
            f"the hub refused {what}: {response.status_code} {said}", hint="try again later"
        )

    def unreachable(self, error: Exception) -> ModelError:
        return ModelError(
            f"{self._endpoint} cannot be reached: {error or type(error).__name__}",
            hint="check the network; what came is kept, and the next pull goes on from there",
        )


def _remote(sibling: _Sibling) -> RemoteFile:
    if sibling.lfs is not None:
        return RemoteFile(name=sibling.name, size=sibling.lfs.size, sha256=sibling.lfs.sha256)
    return RemoteFile(name=sibling.name, size=sibling.size or 0, blob=sibling.blob)


def _licence(told: _Told) -> str:
    named = (told.card or {}).get("license")
    if isinstance(named, str):
        return named
    tagged = [tag.removeprefix("license:") for tag in told.tags if tag.startswith("license:")]
    return tagged[0] if tagged else ""
