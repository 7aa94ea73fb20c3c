"""Every error that gardener raises on purpose.

    GardenerError                  code         exit status of gardenerctl
    ├── UsageError                 usage        2
    ├── SettingsError              settings     1
    ├── RefusedError               refused      1   understood, not done: a bad path
    │   └── NotFoundError          not_found    1
    ├── ProtocolError              protocol     1   a request that does not decode
    ├── DaemonNotRunningError      not_running  3
    ├── AlreadyRunningError        already_running 1
    ├── TimedOutError              timed_out    4
    ├── CancelledError             cancelled    1
    ├── WorkerError                worker       1   a child process died, hung or answered wrongly
    ├── IndexUnavailableError      index        1   the index is broken or being rebuilt
    ├── ModelError                 model        1   a base model missing or damaged
    │   └── ServerError            server       1   a model server out of reach, or it refuses
    ├── AdapterError               adapter      1   an adapter that is damaged or of another base
    ├── TrainingError              training     1
    └── StorageError               storage      1   disk full, no permission, a damaged database

Each carries a stable ``code``, a message that names the cause, and a ``hint`` that names the next
step.
"""

from __future__ import annotations

from typing import ClassVar


class GardenerError(Exception):
    """Base of all errors raised on purpose; ``str(error)`` is the message."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(GardenerError):
    code = "usage"
    exit_status = 2


class SettingsError(GardenerError):
    code = "settings"


class RefusedError(GardenerError):
    code = "refused"


class NotFoundError(RefusedError):
    code = "not_found"


class ProtocolError(GardenerError):
    code = "protocol"


class DaemonNotRunningError(GardenerError):
    code = "not_running"
    exit_status = 3


class AlreadyRunningError(GardenerError):
    code = "already_running"


class TimedOutError(GardenerError):
    code = "timed_out"
    exit_status = 4


class CancelledError(GardenerError):
    code = "cancelled"


class WorkerError(GardenerError):
    code = "worker"


class IndexUnavailableError(GardenerError):
    code = "index"


class ModelError(GardenerError):
    code = "model"


class ServerError(ModelError):
    """``status``: of the HTTP answer; 0 where there was none, or on this side of a socket."""

    code = "server"

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class AdapterError(GardenerError):
    code = "adapter"


class TrainingError(GardenerError):
    code = "training"


class StorageError(GardenerError):
    code = "storage"


def _tree(root: type[GardenerError]) -> dict[str, type[GardenerError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def from_code(code: str, message: str, hint: str = "") -> GardenerError:
    """Rebuild the error that travelled over a socket; an unknown code becomes the base class."""
    return _tree(GardenerError).get(code, GardenerError)(message, hint=hint)
