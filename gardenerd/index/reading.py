"""Files as material: chunks for examples, whole texts to be measured on. No table needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import msgspec

from gardenerd import durable
from gardenerd.core.secrets import redact
from gardenerd.errors import StorageError
from gardenerd.index.chunk import chunk_text
from gardenerd.index.languages import GRAMMARS, language_of
from gardenerd.index.text import read_file
from gardenerd.workers.jobs import (
    Added,
    ChunkText,
    Done,
    Harvest,
    Harvested,
    HeldOutText,
    ReadTexts,
)

_CHUNKS_IN_UPDATE = 300


def harvest(
    job: Harvest, update: Callable[[Harvested], None], check: Callable[[], None]
) -> Harvested:
    """Send the chunks of the files, and of the commits, by ``update``; the answer is empty.

    A file that cannot be read, or is left out, gives none.
    """
    waiting: list[ChunkText] = []
    for chunk in chain(_of_files(job, check), _of_commits(job, check)):
        waiting.append(chunk)
        if len(waiting) == _CHUNKS_IN_UPDATE:
            update(Harvested(chunks=waiting))
            waiting = []
    if waiting:
        update(Harvested(chunks=waiting))
    return Harvested(chunks=[])


def _of_files(job: Harvest, check: Callable[[], None]) -> Iterator[ChunkText]:
    for path in job.paths:
        check()
        found = read_file(Path(job.root), path, job.max_file_bytes)
        if found.state != "read":
            continue
        language = language_of(path)
        for chunk in chunk_text(path, found.text):
            yield ChunkText(
                path=path,
                symbol=chunk.symbol,
                kind=chunk.kind,
                language=language,
                start_line=chunk.start_line,
                end_line=chunk.end_line,
                text=chunk.text,
                docstring=chunk.docstring,
            )


def _of_commits(job: Harvest, check: Callable[[], None]) -> Iterator[ChunkText]:
    """A commit's message as a comment, and below it the code that it added to a file, redacted.

    Code counts only as the file holds it now, line for line; so what a secret scan masks there,
    or what is gone, is in none.
    """
    by_path: dict[str, list[Added]] = defaultdict(list)
    for added in job.added:
        by_path[added.path].append(added)
    for path, commits in by_path.items():
        check()
        language = language_of(path)
        if language not in GRAMMARS:
            continue
        found = read_file(Path(job.root), path, job.max_file_bytes)
        if found.state != "read":
            continue
        text = f"\n{found.text}\n"
        mark = "#" if language == "python" else "//"
        for added in commits:
            runs = ["\n".join(run) for run in added.runs]
            places = [(text.find(f"\n{run}\n"), run) for run in runs]
            standing = sorted((at, run) for at, run in places if at >= 0)
            if not standing:
                continue
            message, _ = redact(added.message)
            comment = "\n".join(f"{mark} {line}".rstrip() for line in message.splitlines())
            last, run = standing[-1]
            yield ChunkText(
                path=path,
                symbol="",
                kind="commit",
                language=language,
                start_line=text.count("\n", 0, standing[0][0] + 1),
                end_line=text.count("\n", 0, last + len(run) + 1),
                text="\n".join([comment, *(run for _, run in standing)]),
            )


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
