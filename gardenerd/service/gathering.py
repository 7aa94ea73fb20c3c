"""What is new since the last run goes into the replay buffer: changed code, commits, feedback."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from gardenerd.core.quality import rejection
from gardenerd.core.replay import evict
from gardenerd.core.reward import WEAK
from gardenerd.core.secrets import redact
from gardenerd.core.targets import targets
from gardenerd.host.commits import added_code
from gardenerd.service.suggestions import Notice
from gardenerd.settings import Settings
from gardenerd.store.examples import Stored, example_id
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import ChunkText, Harvest, Harvested


async def gather(
    project: Project,
    indexed: set[str],
    kept_out: set[str],
    settings: Settings,
    stores: Stores,
    index: Child,
) -> None:
    """Bring the project's buffer up to date.

    Args:
        indexed: the paths of all files.
        kept_out: those of them that are held out.

    Raises:
        WorkerError: the index worker died; nothing was lost, it can be tried again.
    """
    await _learn_from_files(project, kept_out, settings, stores, index)
    await _learn_from_commits(project, indexed - kept_out, settings, stores, index)
    learn_from_feedback(project.id, stores, time.time())
    bound(project.id, settings.loop.buffer_size, stores)


async def _learn_from_files(
    project: Project, kept_out: set[str], settings: Settings, stores: Stores, index: Child
) -> None:
    """Put the chunks of every file that changed since the last run into the buffer."""
    changed = stores.files.unharvested(project.id)
    # A held-out file is never learned from; what an earlier split took from it goes too.
    for path in kept_out:
        stores.examples.retire_path(project.id, path)
    stores.files.harvested(project.id, [path for path in changed if path in kept_out])
    paths = [path for path in changed if path not in kept_out]
    if not paths:
        return
    now = time.time()
    notice = Notice(project.id, stores, now)
    kept: dict[str, list[str]] = {path: [] for path in paths}

    def collect(body: msgspec.Raw) -> None:
        # Stored as they come: a large project's texts never stand in memory together.
        chunks = msgspec.json.decode(body, type=Harvested).chunks
        notice.see(chunks)
        examples = _examples(project.id, chunks, now)
        stores.examples.add(examples)
        for example in examples:
            kept[example.path].append(example.id)

    job = Harvest(root=project.path, paths=paths, max_file_bytes=settings.watch.max_file_bytes)
    await index.call(job, Harvested, on_update=collect)
    with stores.database.transaction():
        for path, ids in kept.items():
            stores.examples.retire_path(project.id, path, ids)
        stores.files.harvested(project.id, paths)
        notice.judge()


async def _learn_from_commits(
    project: Project, learned: set[str], settings: Settings, stores: Stores, index: Child
) -> None:
    """What the last commits said and added, as far as it still stands in files learned from.

    All of them are gathered each time: code that is gone since, or old, retires so.
    """
    added = await added_code(Path(project.path), learned) if settings.loop.commits else []
    now = time.time()
    examples: list[Stored] = []

    def collect(body: msgspec.Raw) -> None:
        chunks = msgspec.json.decode(body, type=Harvested).chunks
        examples.extend(_examples(project.id, chunks, now))

    if added:
        job = Harvest(
            root=project.path, paths=[], added=added, max_file_bytes=settings.watch.max_file_bytes
        )
        await index.call(job, Harvested, on_update=collect)
    with stores.database.transaction():
        stores.examples.retire_kind(project.id, "commit")
        stores.examples.add(examples)


def learn_from_feedback(project: str, stores: Stores, now: float) -> None:
    """All that feedback asks for is gathered each time: what was taken back since retires so."""
    judgements = stores.feedback.judgements(project)
    examples: list[Stored] = []
    for judged, target in targets(judgements):
        asked = f"{judged.question}\n{target}" if judged.op == "ask" else target
        text, _ = redact(asked)  # what a person typed has not been through the reader
        path = f"feedback/{judged.answer}"
        if rejection(text) is None:
            examples.append(
                Stored(
                    id=example_id(project, path, text),
                    project=project,
                    path=path,
                    symbol="",
                    kind="answer",
                    language="",
                    text=text,
                    # A correction is right by definition, as what was called good is.
                    weight=WEAK if judged.weak else 1.0,
                    source="feedback",
                    created=now,
                    used=0,
                )
            )
    with stores.database.transaction():
        stores.examples.retire_kind(project, "answer")
        stores.examples.add(examples)
        stores.feedback.mark_harvested([judged.id for judged in judgements])


def bound(project: str, size: int, stores: Stores) -> None:
    """Keep at most ``size`` examples. Those whose code is gone stay as long as there is room: it
    may be away on another branch, and is not new when it comes back."""
    alive = [*stores.examples.new(project), *stores.examples.old(project)]
    stores.examples.delete(evict(alive, size, seed=0))
    stores.examples.drop_retired(project, keep=max(0, size - len(alive)))


def _examples(project: str, chunks: list[ChunkText], now: float) -> list[Stored]:
    """Those chunks that are worth learning from."""
    return [
        Stored(
            id=example_id(project, chunk.path, chunk.text),
            project=project,
            path=chunk.path,
            symbol=chunk.symbol,
            kind=chunk.kind,
            language=chunk.language,
            text=chunk.text,
            weight=1.0,
            source="code",
            created=now,
            used=0,
        )
        for chunk in chunks
        if rejection(chunk.text) is None
    ]
