"""The protocol between clients and the daemon, as data.

A request names the protocol, itself (``id``), an operation and its parameters. Every reply names
the request that it answers: any number of ``progress`` and ``chunk`` replies, then exactly one
``result`` or ``error``. Unknown fields are ignored, so that either side may be newer; the number
rises only when an old peer would misunderstand.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

PROTOCOL = 1
"""Version of this protocol, apart from the package's version."""

SCHEMA = 1
"""Version of the JSON documents that ``gardenerctl --json`` prints."""

MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""Larger requests are refused before they are decoded."""

MAX_QUERY_BYTES = 64 * 1024
"""A question longer than this is a mistake, not a question."""


class Request(msgspec.Struct, kw_only=True):
    protocol: int
    id: str
    op: str
    params: msgspec.Raw = msgspec.Raw(b"{}")


class Reply(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    kind: Literal["progress", "chunk", "result", "error"]
    body: Any = None
    protocol: int = PROTOCOL


class ErrorBody(msgspec.Struct, kw_only=True):
    code: str
    message: str
    hint: str = ""


class Operation(msgspec.Struct, kw_only=True):
    """Base of the parameters of one operation; ``op`` is its name on the wire."""

    op: ClassVar[str]


class Hello(Operation, kw_only=True):
    op: ClassVar[str] = "hello"


class Status(Operation, kw_only=True):
    op: ClassVar[str] = "status"


class Shutdown(Operation, kw_only=True):
    op: ClassVar[str] = "shutdown"


class CancelRequest(Operation, kw_only=True):
    """Stop answering the request ``target``; harmless when it is already answered."""

    op: ClassVar[str] = "cancel_request"
    target: str


class Add(Operation, kw_only=True):
    """Tend the folder ``path``. ``name`` defaults to the folder's own."""

    op: ClassVar[str] = "add"
    path: str
    name: str | None = None


class Remove(Operation, kw_only=True):
    op: ClassVar[str] = "remove"
    project: str


class Projects(Operation, kw_only=True):
    op: ClassVar[str] = "projects"


class Rescan(Operation, kw_only=True):
    op: ClassVar[str] = "rescan"
    project: str | None = None


class Wait(Operation, kw_only=True):
    """Answered when every known change is indexed. Reports progress meanwhile."""

    op: ClassVar[str] = "wait"
    project: str | None = None
    timeout_s: float | None = None


class Why(Operation, kw_only=True):
    """What is known of the file ``path`` (absolute): whether it is indexed, and if not, why."""

    op: ClassVar[str] = "why"
    path: str


class Forget(Operation, kw_only=True):
    """Forget the file or folder ``path`` (absolute; it need not exist), for good: answered when
    nothing of it is left, with progress meanwhile. ``look``: only tell what would go."""

    op: ClassVar[str] = "forget"
    path: str
    look: bool = False


class Remember(Operation, kw_only=True):
    """Let ``path``, which was forgotten, be known again."""

    op: ClassVar[str] = "remember"
    path: str


class Forgotten(Operation, kw_only=True):
    """What was forgotten."""

    op: ClassVar[str] = "forgotten"
    project: str | None = None


class Search(Operation, kw_only=True):
    """``fresh``: not before every change on the disk is indexed."""

    op: ClassVar[str] = "search"
    query: str
    k: int = 10
    project: str | None = None
    fresh: bool = False


class Ask(Operation, kw_only=True):
    """``continued``: as the next turn of the conversation that was last held with the project.

    ``model`` is another base, for this question alone. ``adapter`` is a version, ``base`` (or
    ``none``) or ``current``.
    """

    op: ClassVar[str] = "ask"
    question: str
    project: str | None = None
    k: int = 5
    continued: bool = False
    model: str | None = None
    adapter: str = "current"


class Complete(Operation, kw_only=True):
    """Fill in at ``line`` (from 1) and ``column`` (from 0; None: end of the line) of ``path``.

    ``path`` is absolute. ``adapter`` is a version, ``base`` (or ``none``) or ``current``. ``n``
    completions that differ: the likeliest, which streams, and others that are drawn by ``seed``.
    """

    op: ClassVar[str] = "complete"
    path: str
    line: int
    column: int | None = None
    max_tokens: int | None = None
    adapter: str = "current"
    n: int = 1
    seed: int = 0


class Score(Operation, kw_only=True):
    """Bits per byte of each of ``paths`` (absolute)."""

    op: ClassVar[str] = "score"
    paths: list[str]
    adapter: str = "current"
    project: str | None = None


class Feedback(Operation, kw_only=True):
    """``key`` makes a repeated request take effect once."""

    op: ClassVar[str] = "feedback"
    answer: str
    verdict: Literal["good", "bad"]
    correction: str | None = None
    key: str | None = None


class Judgements(Operation, kw_only=True):
    """Feedback as it stands, newest first: given by people, or read from the code."""

    op: ClassVar[str] = "judgements"
    project: str | None = None
    limit: int = 20


class Train(Operation, kw_only=True):
    """Start a run now. ``wait``: answer with its outcome, with progress meanwhile."""

    op: ClassVar[str] = "train"
    project: str | None = None
    wait: bool = False


class Pause(Operation, kw_only=True):
    """Hold training, for ``seconds`` or until resumed."""

    op: ClassVar[str] = "pause"
    seconds: float | None = None


class Resume(Operation, kw_only=True):
    op: ClassVar[str] = "resume"


class Cancel(Operation, kw_only=True):
    """End the run under way and drop its work."""

    op: ClassVar[str] = "cancel"


class Rollback(Operation, kw_only=True):
    """Serve ``version`` (``base`` for none), or what served before when None."""

    op: ClassVar[str] = "rollback"
    version: str | None = None
    project: str | None = None


class ManageAdapter(Operation, kw_only=True):
    """Keep a version for good, let it go in its time, or remove it."""

    op: ClassVar[str] = "manage_adapter"
    action: Literal["pin", "unpin", "rm"]
    version: str
    project: str | None = None


class Export(Operation, kw_only=True):
    """Write ``version`` (``base`` for the bare one, ``current`` for what serves) into the folder
    ``target`` (absolute, empty or not there), with progress meanwhile. ``lora``: as GGUF, the
    adapter by itself."""

    op: ClassVar[str] = "export"
    version: str
    format: Literal["peft", "merged", "gguf", "ollama"]
    target: str
    project: str | None = None
    lora: bool = False


class Adapters(Operation, kw_only=True):
    op: ClassVar[str] = "adapters"
    project: str | None = None


class Embeddings(Operation, kw_only=True):
    """What came of each tuning of the embedding, oldest first, of one project or of all."""

    op: ClassVar[str] = "embeddings"
    project: str | None = None


class TuneEmbedding(Operation, kw_only=True):
    """Tune the embedding of queries to a project now; answered with the version and outcome."""

    op: ClassVar[str] = "tune_embedding"
    project: str | None = None


class RollbackEmbedding(Operation, kw_only=True):
    """Let ``version`` serve (``packaged`` for none), or what served before when None."""

    op: ClassVar[str] = "rollback_embedding"
    version: str | None = None
    project: str | None = None


class Models(Operation, kw_only=True):
    """The base models on this machine, and those that are recommended."""

    op: ClassVar[str] = "models"


class ShowModel(Operation, kw_only=True):
    """All that is known of the model ``name``; None: of the one that serves."""

    op: ClassVar[str] = "show_model"
    name: str | None = None


class UseModel(Operation, kw_only=True):
    """Let the model ``name`` (or the folder at that absolute path) serve, from now on."""

    op: ClassVar[str] = "use_model"
    name: str


class RemoveModel(Operation, kw_only=True):
    """Delete the pulled model ``name``."""

    op: ClassVar[str] = "remove_model"
    name: str


class PullModel(Operation, kw_only=True):
    """Copy the model ``name`` from the hub; with progress meanwhile. What was copied before a
    cancellation stays, and the next request goes on from it.

    ``revision`` is a branch, a tag or a commit. ``endpoint`` (empty: the public hub) and ``token``
    are what the caller's HF_ENDPOINT and HF_TOKEN say.
    """

    op: ClassVar[str] = "pull_model"
    name: str
    revision: str = "main"
    endpoint: str = ""
    token: str = ""


class History(Operation, kw_only=True):
    """Past runs, newest first; or the one named ``run``."""

    op: ClassVar[str] = "history"
    project: str | None = None
    limit: int = 30
    run: str | None = None


class Ps(Operation, kw_only=True):
    op: ClassVar[str] = "ps"


class Unload(Operation, kw_only=True):
    """Stop the model worker and the index worker; all their memory goes back to the system."""

    op: ClassVar[str] = "unload"


OPERATIONS: dict[str, type[Operation]] = {kind.op: kind for kind in Operation.__subclasses__()}


class Event(msgspec.Struct, kw_only=True):
    """What the daemon publishes to any number of followers."""

    topic: Literal["index", "loop", "train", "adapter", "daemon"]
    name: str
    time: float
    """Seconds since the epoch."""
    body: dict[str, Any] = msgspec.field(default_factory=dict)
