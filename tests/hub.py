"""A hub on a loopback socket, for tests: the parts of the real one's contract that pulling uses.

From huggingface_hub 2.4 (``hf_api.model_info``, ``file_download.get_hf_file_metadata`` and
``http_get``, ``utils/_http.hf_raise_for_status``) and the hub's API documentation:

- ``GET /api/models/{repo}/revision/{rev}?blobs=true``: ``id``, ``sha``, ``tags``, ``cardData``,
  ``siblings`` of ``rfilename``, ``size``, ``blobId`` and, for files in LFS, ``lfs`` with
  ``sha256``, ``size``, ``pointerSize``.
- ``GET /{repo}/resolve/{commit}/{file}``: small files at once with ``ETag`` (git's blob digest) and
  ``X-Repo-Commit``; files in LFS by a 302 with ``X-Linked-Etag`` (sha256), ``X-Linked-Size``, to
  another path that takes ``Range`` and answers 206 with ``Content-Range``.
- 401 ``RepoNotFound``, 404 ``RevisionNotFound``, 403 ``GatedRepo`` in ``X-Error-Code``.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    files: dict[str, bytes]
    commit: str = "a" * 40
    gated: bool = False
    licence: str = "apache-2.0"


@dataclass
class FakeHub:
    repositories: dict[str, Repository] = field(default_factory=dict)
    endpoint: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range of each request for a file."""
    tokens: list[str] = field(default_factory=list)
    break_after: int | None = None
    """Of the next answer with more bytes than this, so many; then the connection is closed."""
    pause_s: float = 0.0
    """Between pieces of 64 kB of a large file."""
    ranges: bool = True
    corrupt: bool = False
    """Large files come with one byte changed."""

    def add(self, name: str, folder: Path, **more: Any) -> Repository:
        """Offer the files of ``folder``."""
        files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        self.repositories[name] = Repository(files, **more)
        return self.repositories[name]

    def weights_asked(self) -> int:
        return sum(path.startswith("/blobs/") for path, _ in self.asked)


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin", ".gguf"))


@contextmanager
def serving() -> Iterator[FakeHub]:
    """A hub at ``endpoint`` until the context ends."""
    hub = FakeHub()

    class Handler(_Handler):
        def __init__(self, *arguments: Any) -> None:
            self.hub = hub
            super().__init__(*arguments)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        del format, args

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        try:
            if path.startswith("/api/models/"):
                self._tell(path.removeprefix("/api/models/"))
            elif path.startswith("/blobs/"):
                self._blob(path)
            else:
                self._resolve(path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _tell(self, path: str) -> None:
        name, _, revision = path.partition("/revision/")
        self.hub.tokens.append(self.headers.get("Authorization", ""))
        found = self.hub.repositories.get(name)
        if found is None:
            return self._refuse(401, "RepoNotFound", "Invalid username or password.")
        if revision not in ("main", found.commit):
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if found.gated and not self.hub.tokens[-1]:
            return self._refuse(403, "GatedRepo", f"Access to model {name} is restricted.")
        told = {
            "id": name,
            "sha": found.commit,
            "tags": ["transformers", f"license:{found.licence}"],
            "cardData": {"license": found.licence},
            "siblings": [_sibling(file, data) for file, data in found.files.items()],
        }
        return self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _resolve(self, path: str) -> None:
        name, _, rest = path.strip("/").partition("/resolve/")
        commit, _, file = rest.partition("/")
        found = self.hub.repositories.get(name)
        if found is None or commit != found.commit or file not in found.files:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        data, head = found.files[file], {"X-Repo-Commit": commit}
        if not is_large(file):
            self.hub.asked.append((path, ""))
            return self._send(200, data, {**head, "ETag": f'"{_blob(data)}"'})
        digest = hashlib.sha256(data).hexdigest()
        head |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
        return self._send(302, b"", {**head, "Location": f"/blobs/{name}/{file}"})

    def _blob(self, path: str) -> None:
        name, _, file = path.removeprefix("/blobs/").rpartition("/")
        data = self.hub.repositories[name].files[file]
        wanted = self.headers.get("Range", "")
        self.hub.asked.append((path, wanted))
        if self.hub.corrupt:
            data = data[:-1] + bytes([data[-1] ^ 1])
        start, status, head = 0, 200, {"Accept-Ranges": "bytes"}
        if wanted and self.hub.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                return self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            status = 206
            head["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return self._send(status, data[start:], head)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

    def _send(self, status: int, data: bytes, head: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**head, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        limit = self.hub.break_after
        if limit is not None and len(data) > limit:
            self.hub.break_after = None
            self.wfile.write(data[:limit])
            self.close_connection = True
            return
        for at in range(0, len(data), 65_536):
            self.wfile.write(data[at : at + 65_536])
            if self.hub.pause_s and len(data) > 65_536:
                time.sleep(self.hub.pause_s)


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    told: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": _blob(data)}
    if is_large(name):
        digest = hashlib.sha256(data).hexdigest()
        told["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
    return told


def _blob(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
