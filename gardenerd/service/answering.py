"""Search, answers, completions and scores: what the index and the model know, with its sources."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from gardenerd.core import extractive
from gardenerd.core.suggestions import likeness
from gardenerd.errors import IndexUnavailableError, NotFoundError, RefusedError
from gardenerd.models.info import BaseInfo, find_base, inspect
from gardenerd.paths import Home
from gardenerd.service import embeddings
from gardenerd.service.embeddings import TUNABLE
from gardenerd.service.indexing import Indexing
from gardenerd.service.precedence import Precedence
from gardenerd.settings import Settings
from gardenerd.store.feedback import Given
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.wire.messages import MAX_QUERY_BYTES, Ask, Complete, Score, Search
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import (
    AdapterRef,
    AnswerQuestion,
    CompleteCode,
    Generated,
    Hit,
    Hits,
    Scores,
    ScoreTexts,
    SearchIndex,
    TextPiece,
)
from gardenerd.workers.tuned import TunedRef

_MAX_HITS = 500
_MAX_COMPLETED_BYTES = 4_000_000
# What one line of extracted answer says and how many sources it may quote is extractive's to
# decide; it chooses among this many hits.
_ASK_HITS = 12

Say = Callable[[str], None]
HitState = Literal["fresh", "pending", "gone"]


class Answering:
    def __init__(
        self,
        *,
        home: Home,
        settings: Settings,
        stores: Stores,
        indexing: Indexing,
        search: Child,
        precedence: Precedence,
        model: Child,
    ) -> None:
        self._home = home
        self._settings = settings
        self._stores = stores
        self._indexing = indexing
        self._search = search
        self._precedence = precedence
        self._model = model

    async def search(self, wanted: Search) -> dict[str, Any]:
        """Hits, best first, each with the state of its file in the index."""
        _check_question(wanted.query, "query")
        if not 1 <= wanted.k <= _MAX_HITS:
            raise RefusedError(f"-k must be within [1, {_MAX_HITS}], not {wanted.k}")
        projects = self._projects(wanted.project)
        hits = await self._hits(wanted.query, wanted.k, projects)
        note = self._note(projects)
        return {
            "hits": await asyncio.to_thread(self._with_states, hits, projects),
            "complete": not note,
            "note": note,
        }

    async def ask(self, wanted: Ask, say: Say) -> dict[str, Any]:
        """An answer with its sources: written by a chat model, else quoted from the code."""
        _check_question(wanted.question, "question")
        projects = self._projects(wanted.project)
        hits = await self._hits(wanted.question, max(wanted.k, _ASK_HITS), projects)
        base = await asyncio.to_thread(self.base)
        adapter, warning = None, ""
        if base.chat and hits:
            owner = next(p for p in projects if p.id == hits[0].project)
            generated = await self._model.call(
                AnswerQuestion(
                    base=base.folder,
                    adapter=self._serving(owner),
                    question=wanted.question,
                    sources=hits[: wanted.k],
                    max_tokens=self._settings.model.max_new_tokens,
                    max_adapters=self._settings.model.max_adapters,
                ),
                Generated,
                on_update=lambda body: say(msgspec.json.decode(body, type=TextPiece).text),
            )
            mode, text = "chat", generated.text
            adapter, warning = generated.adapter, generated.warning
            sources = hits[: wanted.k]
        else:
            extract = extractive.answer(wanted.question, hits)
            mode, text = "extractive", extract.text
            quoted = {(e.path, e.start_line) for e in extract.extracts}
            sources = [hit for hit in hits if (hit.path, hit.start_line) in quoted]
            say(text)
        shown = await asyncio.to_thread(self._with_states, sources, projects)
        answer = self._remember(
            "ask", projects[0].id if len(projects) == 1 else _owner(sources), wanted.question, text,
            sources=[{k: h[k] for k in ("path", "start_line", "end_line")} for h in shown],
            adapter=adapter, base=base.name,
        )  # fmt: skip
        return {
            "answer": answer,
            "text": text,
            "mode": mode,
            "sources": shown,
            "base": base.name,
            "adapter": adapter,
            "warning": warning,
            "note": self._note(projects),
        }

    async def complete(self, wanted: Complete, say: Say) -> dict[str, Any]:
        """What belongs between what stands before and after a place in a file."""
        path = Path(wanted.path)
        prefix, suffix = await asyncio.to_thread(_split, path, wanted.line, wanted.column)
        found = self._stores.projects.containing(path.resolve())
        project = found[0] if found else None
        base = await asyncio.to_thread(self.base)
        generated = await self._model.call(
            CompleteCode(
                base=base.folder,
                adapter=self._adapter(project, wanted.adapter),
                path=found[1] if found else path.name,
                prefix=prefix,
                suffix=suffix,
                max_tokens=wanted.max_tokens or self._settings.model.max_new_tokens,
                max_adapters=self._settings.model.max_adapters,
            ),
            Generated,
            on_update=lambda body: say(msgspec.json.decode(body, type=TextPiece).text),
        )
        place: list[dict[str, Any]] = []
        if found is not None:  # so that one can see later what became of it
            lines = (prefix + suffix).splitlines()
            alike, _ = await asyncio.to_thread(likeness, generated.text, lines, wanted.line)
            place = [{"path": found[1], "line": wanted.line, "alike": alike}]
        answer = self._remember(
            "complete",
            project.id if project else None,
            f"{path}:{wanted.line}",
            generated.text,
            sources=place,
            adapter=generated.adapter,
            base=base.name,
        )
        return {
            "answer": answer,
            "text": generated.text,
            "adapter": generated.adapter,
            "base": base.name,
            "tokens": generated.tokens,
            "stop": generated.stop,
            "seconds": generated.seconds,
            "warning": generated.warning,
        }

    async def score(self, wanted: Score) -> dict[str, Any]:
        """Bits per byte of files under the base, with or without an adapter."""
        if not wanted.paths:
            raise RefusedError("no file is named", hint="gardenerctl score FILE...")
        if wanted.project is not None:
            project: Project | None = self._stores.projects.get(wanted.project)
        else:
            found = self._stores.projects.containing(Path(wanted.paths[0]).resolve())
            project = found[0] if found else self._only_project()
        base = await asyncio.to_thread(self.base)
        scores = await self._model.call(
            ScoreTexts(
                base=base.folder,
                adapter=self._adapter(project, wanted.adapter),
                paths=wanted.paths,
                max_adapters=self._settings.model.max_adapters,
            ),
            Scores,
        )
        return {
            "files": msgspec.to_builtins(scores.files),
            "adapter": scores.adapter,
            "warning": scores.warning,
        }

    def base(self) -> BaseInfo:
        """The base model in use; reads files, so call it in a thread.

        Raises:
            ModelError: it is missing or damaged.
        """
        name = self._settings.model.base
        folder = find_base(name, self._home)
        return inspect(folder, name=name, cache=self._home.models / "fingerprints.json")

    # --- parts --------------------------------------------------------------------------------

    def _projects(self, named: str | None) -> list[Project]:
        if named is not None:
            return [self._stores.projects.get(named)]
        projects = self._stores.projects.all()
        if not projects:
            raise RefusedError("no project is tended yet", hint="add one: gardenerctl add PATH")
        return projects

    def _only_project(self) -> Project | None:
        projects = self._stores.projects.all()
        return projects[0] if len(projects) == 1 else None

    async def _hits(self, query: str, k: int, projects: list[Project]) -> list[Hit]:
        if not any(self._indexing.counts(project.id).files for project in projects):
            if self._note(projects):
                return []
            raise IndexUnavailableError(
                "nothing is indexed: the project holds no file that can be",
                hint="see `gardenerctl status`; .gitignore and .gardenerignore leave files out",
            )
        tuned: list[TunedRef] = []
        if self._settings.index.embedding == TUNABLE:
            tuned = embeddings.references(projects, self._home, self._stores)
        ids = [project.id for project in projects]
        job = SearchIndex(query=query, k=k, projects=ids, tuned=tuned)
        try:
            with self._precedence.taken():
                found = await self._search.call(job, Hits, retry=True)
        except IndexUnavailableError:
            await self._indexing.check_index()
            found = await self._search.call(job, Hits, retry=True)
        if found.unusable:
            embeddings.give_up(found.unusable, tuned, self._stores)
        if not self._stores.forgotten.pending():
            return found.hits
        # What is being forgotten may stand in the index for some moments yet.
        forgotten = self._stores.forgotten
        return [hit for hit in found.hits if forgotten.covering(hit.project, hit.path) is None]

    def _note(self, projects: list[Project]) -> str:
        """Why the index may not show everything; empty when it does."""
        notes: list[str] = []
        for project in projects:
            state = self._stores.projects.get(project.id)
            counts = self._indexing.counts(project.id)
            if state.state == "frozen":
                notes.append(f"{project.name}: {state.reason}")
            elif self._indexing.last_error:
                notes.append(f"{project.name}: indexing failed: {self._indexing.last_error}")
            elif counts.pending:
                notes.append(
                    f"{project.name}: still indexing, {counts.files} of "
                    f"{counts.files + counts.pending} files done"
                )
            elif not self._indexing.settled(project.id):
                notes.append(f"{project.name}: being scanned")
        return "; ".join(notes)

    def _with_states(self, hits: list[Hit], projects: list[Project]) -> list[dict[str, Any]]:
        """Hits as data, each told fresh, pending or gone by a look at the disk."""
        by_id = {project.id: project for project in projects}
        shown: list[dict[str, Any]] = []
        for hit in hits:
            project = by_id[hit.project]
            values = msgspec.to_builtins(hit)
            values["state"] = self._state(project, hit)
            values["project"] = project.name
            del values["digest"]
            shown.append(values)
        return shown

    def _state(self, project: Project, hit: Hit) -> HitState:
        try:
            found = os.lstat(project.root / hit.path)
        except OSError:
            return "gone"
        known = self._stores.files.known(project.id, [hit.path]).get(hit.path)
        if known is None or (known.size, known.mtime_ns) != (found.st_size, found.st_mtime_ns):
            return "pending"
        return self._stores.files.hit_state(project.id, hit.path, hit.digest)

    def _serving(self, project: Project) -> AdapterRef | None:
        version = self._stores.adapters.serving(project.id)
        return self._reference(project, version) if version else None

    def _adapter(self, project: Project | None, named: str) -> AdapterRef | None:
        if named == "base":
            return None
        if project is None:
            if named == "current":
                return None
            raise NotFoundError(
                f"which project's adapter {named!r}? the file is in none",
                hint="name one with --project",
            )
        if named == "current":
            return self._serving(project)
        self._stores.adapters.get(project.id, named)
        return self._reference(project, named)

    def _reference(self, project: Project, version: str) -> AdapterRef:
        return AdapterRef(version=version, folder=str(self._home.adapter(project.id, version)))

    def _remember(
        self,
        op: str,
        project: str | None,
        question: str,
        text: str,
        *,
        sources: list[dict[str, Any]],
        adapter: str | None,
        base: str,
    ) -> str:
        """Keep the answer, so that feedback can name it; gives its id.

        Of one that stems from a file that was forgotten only that it was given.
        """
        answer = secrets.token_hex(4)
        if project is not None and any(
            self._stores.forgotten.covering(project, source["path"]) for source in sources
        ):
            question, text, sources = "", "", []
        self._stores.feedback.record_answer(
            Given(
                id=answer,
                project=project,
                op=op,
                question=question,
                text=text,
                sources=sources,
                adapter=adapter,
                base=base,
                created=time.time(),
            )
        )
        return answer


def _owner(hits: list[Hit]) -> str | None:
    """The project that an answer belongs to: that of its first source."""
    return hits[0].project if hits else None


def _check_question(text: str, what: str) -> None:
    if not text.strip():
        raise RefusedError(f"the {what} is empty", hint=f"say what you look for: a {what}")
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_QUERY_BYTES:
        raise RefusedError(
            f"the {what} has {size:,} bytes; at most {MAX_QUERY_BYTES:,} are taken",
            hint="shorten it to what matters",
        )


def _split(path: Path, line: int, column: int | None) -> tuple[str, str]:
    """What stands before and after a place: ``line`` from 1, ``column`` from 0, None: line end.

    Raises:
        NotFoundError: no such file.
        RefusedError: too large, not text, or no such place in it.
    """
    try:
        if path.stat().st_size > _MAX_COMPLETED_BYTES:
            raise RefusedError(f"{path} is too large to complete", hint="name a source file")
        text = path.read_bytes().decode("utf-8")
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
