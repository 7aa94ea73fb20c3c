"""Completions of code with what the repository holds around it, and scores of files."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import msgspec

from gardenerd.core.secrets import redact
from gardenerd.core.suggestions import likeness
from gardenerd.errors import NotFoundError, RefusedError
from gardenerd.service.finding import Finding
from gardenerd.service.remembering import remember
from gardenerd.service.selection import Selection
from gardenerd.service.serving import Serving
from gardenerd.service.writing import Say, writer_of
from gardenerd.settings import Settings
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.wire.messages import Complete, Score
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import (
    CompleteCode,
    Excerpt,
    Generated,
    Hit,
    Scores,
    ScoreTexts,
    Surroundings,
)

log = logging.getLogger(__name__)

_MAX_COMPLETED_BYTES = 4_000_000
_MAX_VARIANTS = 16
# A completion never waits longer than this for other files: a warm search takes a tenth of it.
_AROUND_SECONDS = 0.15
_AROUND_HITS = 8
# What is searched for: the last lines before the cursor, as many as tell what is being written.
_QUERY_LINES = 10
_QUERY_CHARACTERS = 600

Body = dict[str, Any]


class Completing:
    def __init__(
        self,
        *,
        settings: Settings,
        stores: Stores,
        finding: Finding,
        selection: Selection,
        serving: Serving,
        model: Child,
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._finding = finding
        self._selection = selection
        self._serving = serving
        self._model = model
        self._late: set[asyncio.Task[list[Hit]]] = set()
        """Searches for completions; one that is late may still be under way."""

    async def complete(self, wanted: Complete, say: Say) -> Body:
        """What belongs between what stands before and after a place in a file.

        Raises:
            NotFoundError: no such file or adapter.
            RefusedError: it cannot be read, there is no such place, or too many variants.
            ModelError: the base is missing or damaged.
        """
        if not 1 <= wanted.n <= _MAX_VARIANTS:
            raise RefusedError(f"--n must be within [1, {_MAX_VARIANTS}], not {wanted.n}")
        path = Path(wanted.path)
        prefix, suffix = await asyncio.to_thread(split, path, wanted.line, wanted.column)
        found = self._stores.projects.containing(path.resolve())
        project = found[0] if found else None
        base = await asyncio.to_thread(self._selection.writer, self._serving.server)
        around = None
        if found is not None and base.fim and self._settings.model.repository_context:
            around = await self._around(*found, prefix)
        generated = await self._serving.write(
            CompleteCode(
                base=base.folder,
                server=self._serving.server,
                adapter=self._selection.adapter(project, wanted.adapter),
                path=found[1] if found else path.name,
                prefix=prefix,
                suffix=suffix,
                max_tokens=wanted.max_tokens or self._settings.model.max_new_tokens,
                max_adapters=self._settings.model.max_adapters,
                max_memory_mb=self._settings.model.max_memory_mb,
                around=around,
                variants=wanted.n,
                seed=wanted.seed,
            ),
            say,
        )
        self._selection.served(project, wanted.adapter, generated.warning)
        place: list[Body] = []
        if found is not None:  # so that one can see later what became of it
            lines = (prefix + suffix).splitlines()
            alike, _ = await asyncio.to_thread(likeness, generated.text, lines, wanted.line)
            place = [{"path": found[1], "line": wanted.line, "alike": alike}]
        name = writer_of(base, generated)
        completions = self._remember(wanted, project, name, generated, place)
        return {
            **completions[0],
            "adapter": generated.adapter,
            "base": name,
            "seconds": generated.seconds,
            "warning": generated.warning,
            "completions": completions,
            "window": generated.window,
            "context": [
                {
                    "kind": part.kind,
                    "tokens": part.tokens,
                    "path": part.path,
                    "start_line": part.start_line,
                    "end_line": part.end_line,
                }
                for part in generated.shown
            ],
        }

    async def score(self, wanted: Score) -> Body:
        """Bits per byte of files under the base, with or without an adapter."""
        if not wanted.paths:
            raise RefusedError("no file is named", hint="gardenerctl score FILE...")
        if wanted.project is not None:
            project: Project | None = self._stores.projects.get(wanted.project)
        else:
            found = self._stores.projects.containing(Path(wanted.paths[0]).resolve())
            project = found[0] if found else self._only_project()
        base = await asyncio.to_thread(self._selection.base)
        scores = await self._model.call(
            ScoreTexts(
                base=base.folder,
                adapter=self._selection.adapter(project, wanted.adapter),
                paths=wanted.paths,
                max_adapters=self._settings.model.max_adapters,
                max_memory_mb=self._settings.model.max_memory_mb,
            ),
            Scores,
        )
        self._selection.served(project, wanted.adapter, scores.warning)
        return {
            "files": msgspec.to_builtins(scores.files),
            "adapter": scores.adapter,
            "warning": scores.warning,
        }

    def _only_project(self) -> Project | None:
        projects = self._stores.projects.all()
        return projects[0] if len(projects) == 1 else None

    async def _around(self, project: Project, path: str, prefix: str) -> Surroundings | None:
        """What other files hold that is like the lines before the cursor, if it is found in time.

        The index holds texts whose secrets are masked. The model worker starts meanwhile.
        """
        lines = [line for line in prefix.splitlines() if line.strip()][-_QUERY_LINES:]
        query = "\n".join(lines)[-_QUERY_CHARACTERS:]
        if not query.strip():
            return None
        # Not cancelled when it is late: a search worker that was just started is there next time.
        finding = asyncio.create_task(self._finding.hits(query, _AROUND_HITS, [project]))
        self._late.add(finding)
        finding.add_done_callback(self._ended)
        warming = asyncio.create_task(self._model.warm())
        await asyncio.wait({finding}, timeout=_AROUND_SECONDS)
        await warming
        if not finding.done() or finding.exception() is not None:
            return None  # a completion without them is as good as any was before
        hits = finding.result()
        excerpts = [
            Excerpt(path=hit.path, start_line=hit.start_line, end_line=hit.end_line, text=hit.text)
            for hit in hits
            if hit.path != path
        ]
        return Surroundings(repository=project.name, path=path, excerpts=excerpts)

    def _ended(self, finding: asyncio.Task[list[Hit]]) -> None:
        self._late.discard(finding)
        if not finding.cancelled() and (error := finding.exception()) is not None:
            log.info("no other files for a completion", extra={"cause": str(error)})

    def _remember(
        self,
        wanted: Complete,
        project: Project | None,
        base: str,
        generated: Generated,
        place: list[Body],
    ) -> list[Body]:
        """Keep each completion by an id of its own; gives them as they are told.

        Only of the first is it looked up later what became of it: nobody takes all of them.
        """
        written = [
            (generated.text, generated.tokens, generated.stop),
            *((each.text, each.tokens, each.stop) for each in generated.variants),
        ]
        owner = project.id if project else None
        seen = [(project.id, part.path) for part in generated.shown] if project else []
        told: list[Body] = []
        for number, (text, tokens, stop) in enumerate(written):
            answer, _ = remember(
                self._stores,
                "complete",
                owner,
                f"{wanted.path}:{wanted.line}",
                text,
                sources=place if number == 0 else [],
                adapter=generated.adapter,
                base=base,
                seen=seen,
            )
            told.append({"answer": answer, "text": text, "tokens": tokens, "stop": stop})
        return told


def split(path: Path, line: int, column: int | None) -> tuple[str, str]:
    """What stands before and after a place: ``line`` from 1, ``column`` from 0, None: line end.

    Secrets in it are masked, as in the index: nothing that a model writes or that is kept of it
    repeats one.

    Raises:
        NotFoundError: no such file.
        RefusedError: too large, not text, or no such place in it.
    """
    try:
        if path.stat().st_size > _MAX_COMPLETED_BYTES:
            raise RefusedError(f"{path} is too large to complete", hint="name a source file")
        text, _ = redact(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist", hint="name FILE:LINE[:COLUMN]") from None
    except UnicodeDecodeError:
        raise RefusedError(f"{path} is not UTF-8 text", hint="name a source file") from None
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror}", hint="") from error
    lines = text.splitlines(keepends=True) or [""]
    if not 1 <= line <= len(lines) + 1:
        raise RefusedError(f"{path} has {len(lines)} lines, there is no line {line}")
    current = lines[line - 1] if line <= len(lines) else ""
    bare = current.rstrip("\r\n")
    if column is None:
        column = len(bare)
    if not 0 <= column <= len(bare):
        raise RefusedError(f"line {line} has {len(bare)} columns, there is no column {column}")
    before = "".join(lines[: line - 1]) + current[:column]
    after = current[column:] + "".join(lines[line:])
    return before, after
