"""Answers to questions, with their sources: written by a chat model, else quoted from the code."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from gardenerd.core import extractive
from gardenerd.models.info import BaseInfo
from gardenerd.service.finding import Finding, check_text
from gardenerd.service.remembering import remember
from gardenerd.service.selection import Selection
from gardenerd.service.serving import Serving
from gardenerd.service.writing import Say, writer_of
from gardenerd.settings import Settings
from gardenerd.store.conversations import Conversation, Seen
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from gardenerd.wire.messages import MAX_QUERY_BYTES, Ask
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import AdapterRef, AnswerQuestion, Generated, Hit, Part, Turn

# What one line of extracted answer says and how many sources it may quote is extractive's to
# decide; it chooses among this many hits.
_ASK_HITS = 12

Body = dict[str, Any]


class _Written(msgspec.Struct, kw_only=True):
    """An answer, and what it was made of."""

    mode: str
    text: str
    sources: list[Hit]
    """What it may cite or quotes; the last ``earlier`` of them were shown for earlier questions."""
    earlier: int = 0
    parts: list[Part] = []
    generated: Generated | None = None


class Answering:
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

    async def ask(self, wanted: Ask, say: Say) -> Body:
        """An answer with its sources, as a turn of a conversation.

        Raises:
            RefusedError: no question, or nothing to ask about.
            NotFoundError: no such project or adapter.
            ModelError: no such base, or it is damaged or cannot read a question of this length.
        """
        check_text(wanted.question, "question")
        projects = self._finding.projects(wanted.project)
        scope = projects[0].id if len(projects) == 1 else ""
        before = self._stores.conversations.latest(scope) if wanted.continued else None
        conversation = before or Conversation.begin()
        hits, base = await self._prepare(wanted, conversation, projects)
        owner = _owner(projects, hits, conversation)
        adapter = self._selection.adapter(owner, wanted.adapter, base if wanted.model else None)
        if base.chat and (hits or conversation.turns):
            written = await self._write(wanted, conversation, hits, base, adapter, say)
            if not wanted.model:
                warning = written.generated.warning if written.generated else ""
                self._selection.served(owner, wanted.adapter, warning)
        else:
            written = _quote(wanted.question, hits)
            say(written.text)
        shown = await asyncio.to_thread(
            self._finding.with_states, written.sources, self._stores.projects.all()
        )
        for source in shown[len(shown) - written.earlier :]:
            source["earlier"] = True
        generated = written.generated
        version = generated.adapter if generated else None
        answer, kept = remember(
            self._stores,
            "ask",
            scope or (written.sources[0].project if written.sources else None),
            wanted.question,
            written.text,
            sources=[{k: h[k] for k in ("path", "start_line", "end_line")} for h in shown],
            adapter=version,
            base=writer_of(base, generated),
            seen=[(each.project, each.path) for each in (*written.sources, *written.parts)],
            lost=not self._stores.conversations.stands(conversation),
        )
        if kept:
            self._stores.conversations.record(conversation, answer, scope, _seen(written))
        note = self._finding.note(projects)
        if wanted.continued and before is None:
            begun = "there was no conversation to continue: this is a new one"
            note = f"{begun}; {note}" if note else begun
        return {
            "answer": answer,
            "text": written.text,
            "mode": written.mode,
            "sources": shown,
            "base": writer_of(base, generated),
            "adapter": version,
            "warning": _warning(generated),
            "note": note,
            "conversation": {
                "id": conversation.id,
                "turn": conversation.length + 1,
                "dropped_turns": generated.dropped_turns if generated else 0,
            },
            "context": self._context(written),
            "window": generated.window if generated else None,
            "removed_citations": generated.removed if generated else 0,
            "tokens": generated.tokens if generated else 0,
            "stop": generated.stop if generated else "end",
            "seconds": generated.seconds if generated else 0.0,
        }

    async def _prepare(
        self, wanted: Ask, conversation: Conversation, projects: list[Project]
    ) -> tuple[list[Hit], BaseInfo]:
        """What is found, and what answers; the model worker starts while the index is searched."""
        query = wanted.question
        if conversation.turns:  # "and where is it called?" tells little by itself
            query = f"{query}\n{conversation.turns[-1].question}"[: MAX_QUERY_BYTES // 4]
        k = max(wanted.k, _ASK_HITS)
        finding = asyncio.create_task(self._finding.hits(query, k, projects))
        try:
            server = None if wanted.model else self._serving.server
            base = await asyncio.to_thread(self._selection.writer, server, wanted.model)
            if base.chat:
                await self._model.warm()
            return await finding, base
        finally:
            finding.cancel()

    async def _write(
        self,
        wanted: Ask,
        conversation: Conversation,
        hits: list[Hit],
        base: BaseInfo,
        adapter: AdapterRef | None,
        say: Say,
    ) -> _Written:
        turns = await asyncio.to_thread(self._turns, conversation)
        generated = await self._serving.write(
            AnswerQuestion(
                base=base.folder,
                server=None if wanted.model else self._serving.server,
                adapter=adapter,
                question=wanted.question,
                sources=hits[: wanted.k],
                turns=turns,
                max_tokens=self._settings.model.max_new_tokens,
                max_adapters=self._settings.model.max_adapters,
                max_memory_mb=self._settings.model.max_memory_mb,
            ),
            say,
        )
        own, earlier = _sources(generated, hits, turns)
        return _Written(
            mode="chat",
            text=generated.text,
            sources=[*own, *earlier],
            earlier=len(earlier),
            parts=generated.shown,
            generated=generated,
        )

    def _turns(self, conversation: Conversation) -> list[Turn]:
        """Earlier turns as a model is shown them: of sources, those that stand as they stood.

        Reads the disk.
        """
        known = {project.id: project for project in self._stores.projects.all()}

        def stands(seen: Seen) -> bool:
            project = known.get(seen.project)
            return (
                project is not None
                and self._stores.forgotten.covering(seen.project, seen.path) is None
                and self._finding.state(project, seen.path, seen.digest) == "fresh"
            )

        return [
            Turn(
                question=said.question,
                answer=said.answer,
                sources=[_hit(seen) for seen in said.seen if stands(seen)],
            )
            for said in conversation.turns
        ]

    def _context(self, written: _Written) -> list[Body]:
        """What was used: of each part what it is, and what it took of the model's window."""
        names = {project.id: project.name for project in self._stores.projects.all()}
        parts = written.parts or [
            Part(
                kind="source",
                tokens=0,
                project=hit.project,
                path=hit.path,
                start_line=hit.start_line,
                end_line=hit.end_line,
            )
            for hit in written.sources
        ]
        return [
            {
                "kind": part.kind,
                "tokens": part.tokens,
                "project": names.get(part.project),
                "path": part.path or None,
                "start_line": part.start_line or None,
                "end_line": part.end_line or None,
                "turn": None if part.turn < 0 else part.turn,
            }
            for part in parts
        ]


def _owner(projects: list[Project], hits: list[Hit], conversation: Conversation) -> Project | None:
    """The project whose adapter answers: the only one, else that of the first source."""
    if len(projects) == 1:
        return projects[0]
    found = [hit.project for hit in hits[:1]]
    found += [seen.project for said in reversed(conversation.turns) for seen in said.seen]
    return next((project for project in projects if project.id in found[:1]), None)


def _quote(question: str, hits: list[Hit]) -> _Written:
    extract = extractive.answer(question, hits)
    quoted = {(e.path, e.start_line) for e in extract.extracts}
    sources = [hit for hit in hits if (hit.path, hit.start_line) in quoted]
    return _Written(mode="extractive", text=extract.text, sources=sources)


def _sources(
    generated: Generated, hits: list[Hit], turns: list[Turn]
) -> tuple[list[Hit], list[Hit]]:
    """What the model was shown of ``hits``, and what the answer cites of earlier turns."""

    def shown(of: list[Hit], turn: int) -> list[Hit]:
        parts = {
            (part.project, part.path, part.start_line): part
            for part in generated.shown
            if part.kind == "source" and part.turn == turn
        }
        return [
            msgspec.structs.replace(hit, end_line=part.end_line, text=part.text)
            for hit in of
            if (part := parts.get((hit.project, hit.path, hit.start_line))) is not None
        ]

    earlier = [
        hit
        for number, turn in enumerate(turns)
        for hit in shown(turn.sources, number)
        if f"{hit.path}:" in generated.text
    ]
    return shown(hits, -1), earlier


def _seen(written: _Written) -> list[Seen]:
    """Of the sources what shall stand in the conversation, word for word."""
    if written.generated is None:
        return []
    return [
        Seen(
            project=hit.project,
            path=hit.path,
            start_line=hit.start_line,
            end_line=hit.end_line,
            digest=hit.digest,
            text=hit.text,
        )
        for hit in written.sources[: len(written.sources) - written.earlier]
    ]


def _hit(seen: Seen) -> Hit:
    return Hit(
        project=seen.project,
        path=seen.path,
        start_line=seen.start_line,
        end_line=seen.end_line,
        symbol="",
        kind="",
        score=0.0,
        text=seen.text,
        digest=seen.digest,
    )


def _warning(generated: Generated | None) -> str:
    if generated is None:
        return ""
    warnings = [generated.warning] if generated.warning else []
    if generated.removed == 1:
        warnings.append("1 citation was removed: it names nothing that was shown")
    elif generated.removed:
        warnings.append(
            f"{generated.removed} citations were removed: they name nothing that was shown"
        )
    return "; ".join(warnings)
