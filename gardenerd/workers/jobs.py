"""What a child process is asked and what it answers, as data.

The supervisor sends a job; the child sends any number of updates and then one answer, or an error.
Paths inside a project are relative to its root, with ``/``. Texts are redacted already: what the
secret scan found is masked before a text leaves the reader.
"""

from __future__ import annotations

import os
from typing import Literal

import msgspec

from gardenerd.workers.tuned import TunedRef


class Job(msgspec.Struct, kw_only=True, frozen=True, tag=True):
    """Base of everything a child can be asked."""


# --- the index worker -------------------------------------------------------------------------


class IndexFiles(Job, kw_only=True, frozen=True):
    """Make the index equal to these files as they are now; one that is gone leaves the index."""

    project: str
    root: str
    paths: list[str]
    max_file_bytes: int = 1_000_000
    remove: list[str] = msgspec.field(default_factory=list)
    """These leave the index without being read (excluded now, or gone); answered as ``gone``."""


class RemoveProject(Job, kw_only=True, frozen=True):
    project: str


class ForgetPlace(Job, kw_only=True, frozen=True):
    """Drop a file, or all files in a folder, and write the table anew without what was dropped.

    Answered by :class:`PlaceForgotten`.
    """

    project: str
    path: str


class PlaceForgotten(msgspec.Struct, kw_only=True, frozen=True):
    chunks: int
    """That were there."""
    generation: str
    """As in :class:`IndexProgress`: another one when the table had to be dropped instead."""


class ReadSubjects(Job, kw_only=True, frozen=True):
    """Make ``target`` from the subjects of the commits up to ``commit``, in the place of the
    project's other one; answered by :class:`Done`."""

    project: str
    root: str
    commit: str
    left_out: list[str]
    """Files and folders: a commit that touched one of them is left out."""
    target: str


class SearchIndex(Job, kw_only=True, frozen=True):
    query: str
    k: int = 10
    projects: list[str] | None = None
    """None searches all."""
    tuned: list[TunedRef] = msgspec.field(default_factory=list[TunedRef])
    """Projects whose queries are embedded by rows of their own; of others by the embedder's."""


class Added(msgspec.Struct, kw_only=True, frozen=True):
    """What a commit added to one file. Not redacted: it comes from git, not from the reader."""

    path: str
    message: str
    runs: list[list[str]]
    """Lines that stood together, without line ends."""
    near: list[str] = []
    """Lines of shorter runs, by which the place of a change is known too."""
    heads: list[str] = []
    """First lines of the definitions that git found changes in."""


class Harvest(Job, kw_only=True, frozen=True):
    """Read these files and give their chunks as material for examples."""

    root: str
    paths: list[str]
    added: list[Added] = msgspec.field(default_factory=list[Added])
    """Of these, what still stands in its file becomes a chunk of the kind ``commit``."""
    max_file_bytes: int = 1_000_000


class ReadTexts(Job, kw_only=True, frozen=True):
    """Read whole files (redacted) into ``target``, one JSON :class:`HeldOutText` a line."""

    root: str
    paths: dict[str, Literal["recent", "older"]]
    target: str
    max_file_bytes: int = 1_000_000


class OptimizeIndex(Job, kw_only=True, frozen=True):
    """Compact the table, bring its full-text index up to date, drop old versions."""


class CheckIndex(Job, kw_only=True, frozen=True):
    """Open the table anew: what is damaged is healed, or made anew and to be filled again."""


class Checked(msgspec.Struct, kw_only=True, frozen=True):
    """The answer to :class:`CheckIndex`."""

    generation: str
    """As :attr:`IndexProgress.generation`."""


class FileResult(msgspec.Struct, kw_only=True, frozen=True):
    """What became of one file; size, time and digest are those of the bytes read."""

    path: str
    state: Literal["indexed", "skipped", "gone", "failed"]
    reason: str = ""
    """Why it was skipped or failed, in words."""
    size: int = 0
    mtime_ns: int = 0
    digest: str = ""
    chunks: int = 0
    new_chunks: int = 0
    """Chunks whose text was not in the index for this file before."""
    reused: bool = False
    """Its rows were taken from what was known of the same contents: not parsed, not embedded."""


class IndexProgress(msgspec.Struct, kw_only=True, frozen=True):
    """An update: these files are done and durable in the index."""

    results: list[FileResult]
    done: int
    total: int
    generation: str
    """Names the table that holds them; it changes when the table was lost and made anew."""


class Indexed(msgspec.Struct, kw_only=True, frozen=True):
    """The answer to :class:`IndexFiles`; the results were all given by updates."""

    files: int
    seconds: float
    unchanged: int = 0
    """Files whose rows stood already."""
    reused: int = 0
    """Files whose rows were taken from what was known of the same contents."""
    parsed: int = 0
    """Files that were cut into chunks; those without a word are not."""
    embedded: int = 0
    """Chunks that were given a vector."""
    upkeep: float = 0.0
    """Of the seconds, those for the full-text index, after all results were told."""


class Hit(msgspec.Struct, kw_only=True, frozen=True):
    project: str
    path: str
    start_line: int
    end_line: int
    symbol: str
    kind: str
    score: float
    signature: str = ""
    docstring: str = ""
    text: str = ""
    digest: str = ""
    """Digest of the file's bytes when it was indexed."""


class Hits(msgspec.Struct, kw_only=True, frozen=True):
    hits: list[Hit]
    seconds: float
    unusable: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """Projects whose tuned rows were not used, and why."""


class ChunkText(msgspec.Struct, kw_only=True, frozen=True):
    path: str
    symbol: str
    kind: str
    language: str
    start_line: int
    end_line: int
    text: str
    docstring: str = ""


class Harvested(msgspec.Struct, kw_only=True, frozen=True):
    """An update of :class:`Harvest`, a few hundred chunks at a time; also its (empty) answer."""

    chunks: list[ChunkText]


class HeldOutText(msgspec.Struct, kw_only=True, frozen=True):
    path: str
    slice: Literal["recent", "older", "general"]
    text: str


class FreshText(msgspec.Struct, kw_only=True, frozen=True):
    """Code that no model has trained on yet, a line of ``fresh.jsonl`` in the run folder."""

    path: str
    day: str
    """On which it was written."""
    text: str


class Done(msgspec.Struct, kw_only=True, frozen=True):
    """The answer where there is nothing to tell."""

    count: int = 0


# --- the model worker -------------------------------------------------------------------------


class AdapterRef(msgspec.Struct, kw_only=True, frozen=True):
    """An adapter version and the folder that holds it."""

    version: str
    folder: str


class ServerRef(msgspec.Struct, kw_only=True, frozen=True):
    """A model server that answers instead of the base; as the settings say (``model.*``)."""

    kind: Literal["ollama", "openai"]
    url: str
    name: str = ""
    window: int = 0
    key_env: str = ""
    allow_remote: bool = False
    keep_alive: str = "5m"

    def key(self) -> str | None:
        """What the server is shown, from this process's environment; it is nowhere kept."""
        return os.environ.get(self.key_env) if self.key_env else None


class Excerpt(msgspec.Struct, kw_only=True, frozen=True):
    """Some lines of another file."""

    path: str
    start_line: int
    end_line: int
    text: str


class Surroundings(msgspec.Struct, kw_only=True, frozen=True):
    """What else of its repository is shown beside a file that is completed."""

    repository: str
    """Its name."""
    path: str
    """Of the file, within the repository."""
    excerpts: list[Excerpt]
    """The most telling first."""


class CompleteCode(Job, kw_only=True, frozen=True):
    """Fill in between ``prefix`` and ``suffix``. Updates are :class:`TextPiece`, of the first."""

    base: str
    """Its folder; with a ``server`` only adapters belong to it."""
    server: ServerRef | None = None
    adapter: AdapterRef | None
    path: str
    prefix: str
    suffix: str
    max_tokens: int = 128
    max_adapters: int = 3
    max_memory_mb: int = 4_096
    around: Surroundings | None = None
    variants: int = 1
    """Completions that differ, at most: the likeliest, then others that are drawn by chance."""
    seed: int = 0
    """Of that chance."""


class Turn(msgspec.Struct, kw_only=True, frozen=True):
    """An earlier question of a conversation, its answer, and what of its sources was shown."""

    question: str
    answer: str
    sources: list[Hit]


class AnswerQuestion(Job, kw_only=True, frozen=True):
    """Answer with a chat model from ``sources``. Updates are :class:`TextPiece`."""

    base: str
    server: ServerRef | None = None
    adapter: AdapterRef | None
    question: str
    sources: list[Hit]
    turns: list[Turn] = msgspec.field(default_factory=list[Turn])
    """What was said before, oldest first."""
    max_tokens: int = 256
    max_adapters: int = 3
    max_memory_mb: int = 4_096


class ScoreTexts(Job, kw_only=True, frozen=True):
    """Bits per byte of each file under the base, with or without an adapter."""

    base: str
    adapter: AdapterRef | None
    paths: list[str]
    """Absolute."""
    max_adapters: int = 3
    max_memory_mb: int = 4_096


class SweepServer(Job, kw_only=True, frozen=True):
    """Delete the adapters at a server whose version is no more here; answered by :class:`Done`."""

    server: ServerRef


class TextPiece(msgspec.Struct, kw_only=True, frozen=True):
    text: str


class Part(msgspec.Struct, kw_only=True, frozen=True):
    """A part of what a model was shown, and what it took of the window."""

    kind: Literal["system", "source", "turn", "question", "excerpt"]
    tokens: int
    project: str = ""
    path: str = ""
    start_line: int = 0
    end_line: int = 0
    text: str = ""
    """Of a source, as it was shown, without the numbers of its lines."""
    turn: int = -1
    """The number of the earlier turn that it belongs to, from 0; -1: to this one."""


class Variant(msgspec.Struct, kw_only=True, frozen=True):
    """Another completion for the same place."""

    text: str
    tokens: int
    stop: Literal["end", "length"]


class Generated(msgspec.Struct, kw_only=True, frozen=True):
    text: str
    tokens: int
    stop: Literal["end", "length", "cancelled"]
    base: str
    """The folder of the base, or the name of a server's model."""
    adapter: str | None
    """The version that served, or None for the bare base."""
    warning: str = ""
    """Why another adapter served than the one asked for; empty when all went well."""
    seconds: float = 0.0
    variants: list[Variant] = msgspec.field(default_factory=list[Variant])
    """Others, after the first."""
    shown: list[Part] = msgspec.field(default_factory=list[Part])
    """What the model was shown, in order."""
    window: int = 0
    """Tokens that the model reads and writes at most."""
    dropped_turns: int = 0
    """Of the conversation, the oldest, for which there was no room."""
    removed: int = 0
    """Citations that the model made up."""


class FileScore(msgspec.Struct, kw_only=True, frozen=True):
    path: str
    bytes: int
    bits_per_byte: float


class Scores(msgspec.Struct, kw_only=True, frozen=True):
    files: list[FileScore]
    adapter: str | None
    warning: str = ""


TableJob = IndexFiles | RemoveProject | ForgetPlace | OptimizeIndex | CheckIndex
IndexJob = TableJob | ReadSubjects | Harvest | ReadTexts
ModelJob = CompleteCode | AnswerQuestion | ScoreTexts | SweepServer
