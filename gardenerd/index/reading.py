"""Files as material: chunks for examples, whole texts to be measured on. No table needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from gardenerd import durable
from gardenerd.errors import StorageError
from gardenerd.index.chunk import chunk_text
from gardenerd.index.languages import language_of
from gardenerd.index.text import read_file
from gardenerd.workers.jobs import ChunkText, Done, Harvest, Harvested, HeldOutText, ReadTexts

_CHUNKS_IN_UPDATE = 300


def harvest(
    job: Harvest, update: Callable[[Harvested], None], check: Callable[[], None]
) -> Harvested:
    """Send the chunks of the files by ``update``; the answer is empty.

    A file that cannot be read, or is left out, gives none.
    """
    waiting: list[ChunkText] = []
    for path in job.paths:
        check()
        found = read_file(Path(job.root), path, job.max_file_bytes)
        if found.state != "read":
            continue
        language = language_of(path)
        waiting += [
            ChunkText(
                path=path,
                symbol=chunk.symbol,
                kind=chunk.kind,
                language=language,
                start_line=chunk.start_line,
                end_line=chunk.end_line,
                text=chunk.text,
                docstring=chunk.docstring,
            )
            for chunk in chunk_text(path, found.text)
        ]
        while len(waiting) >= _CHUNKS_IN_UPDATE:
            update(Harvested(chunks=waiting[:_CHUNKS_IN_UPDATE]))
            waiting = waiting[_CHUNKS_IN_UPDATE:]
    if waiting:
        update(Harvested(chunks=waiting))
    return Harvested(chunks=[])


def read_texts(job: ReadTexts, check: Callable[[], None]) -> Done:
    """Write each readable file's redacted text as a line of ``job.target``; counts the lines.

    Raises:
        StorageError: the target cannot be written; nothing is left of it then.
    """
    target = Path(job.target)
    partial = target.with_name(f".{target.name}.partial")
    count = 0
    try:
        with partial.open("wb") as file:
            for path, which in job.paths.items():
                check()
                found = read_file(Path(job.root), path, job.max_file_bytes)
                if found.state != "read" or not found.text.strip():
                    continue
                line = HeldOutText(path=path, slice=which, text=found.text)
                file.write(msgspec.json.encode(line) + b"\n")
                count += 1
            file.flush()
            durable.sync(file.fileno())
        partial.replace(target)
        durable.sync_folder(target.parent)
    except OSError as error:
        raise StorageError(
            f"cannot write {target}: {error.strerror or error}",
            hint="free some disk space or check the permissions",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return Done(count=count)
