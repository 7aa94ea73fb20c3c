"""Where things are kept: one home, ``$GARDENER_HOME`` or the platform's own place."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from gardenerd.errors import StorageError

# sun_path holds 104 bytes on macOS and 108 on Linux; the longest socket name here has 24.
_MAX_RUN_DIR_BYTES = 76


@dataclass(frozen=True, slots=True)
class Home:
    """The folders and files under one home. Building it touches nothing on disk."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def index(self) -> Path:
        return self.root / "index"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def adapters(self) -> Path:
        return self.root / "adapters"

    @property
    def embeddings(self) -> Path:
        """Rows of the embedding that were tuned, by project."""
        return self.root / "embeddings"

    @property
    def served(self) -> Path:
        """Which adapters were handed to a model server."""
        return self.root / "served.json"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def log_file(self) -> Path:
        return self.logs / "gardenerd.log"

    @property
    def run(self) -> Path:
        """Sockets and the lock. Outside a home whose path is too long for a Unix socket."""
        inside = self.root / "run"
        if len(os.fsencode(inside)) <= _MAX_RUN_DIR_BYTES:
            return inside
        # Imported here and below: every command pays for what this file imports.
        import hashlib
        import tempfile

        digest = hashlib.blake2s(os.fsencode(self.root), digest_size=6).hexdigest()
        return Path(tempfile.gettempdir()) / f"gardener-{os.getuid()}-{digest}"

    @property
    def lock(self) -> Path:
        return self.run / "gardenerd.lock"

    @property
    def request_endpoint(self) -> str:
        return f"ipc://{self.run / 'gardenerd.sock'}"

    @property
    def event_endpoint(self) -> str:
        return f"ipc://{self.run / 'events.sock'}"

    def adapter(self, project: str, version: str) -> Path:
        return self.adapters / project / version

    def embedding(self, project: str, version: str) -> Path:
        return self.embeddings / project / f"{version}.safetensors"

    def run_folder(self, run: str) -> Path:
        return self.runs / run

    def create(self) -> None:
        """Make the folders, private to the user; refuse one that others own or can write."""
        for folder in (
            self.root,
            self.index,
            self.models,
            self.adapters,
            self.embeddings,
            self.runs,
            self.logs,
            self.run,
        ):
            _private_folder(folder)


def _private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise StorageError(
                f"{folder} is not a folder of this user",
                hint="remove it, or set GARDENER_HOME to a folder of your own",
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise StorageError(
            f"cannot prepare {folder}: {error.strerror}",
            hint="check its permissions, or set GARDENER_HOME to a writable folder",
        ) from error


def find_home() -> Home:
    """The home in force: ``$GARDENER_HOME``, else the platform's data folder."""
    named = os.environ.get("GARDENER_HOME")
    if named:
        return Home(Path(named).expanduser().absolute())
    import platformdirs

    return Home(Path(platformdirs.user_data_dir("gardener", appauthor=False)))
