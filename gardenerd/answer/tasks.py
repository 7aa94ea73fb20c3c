"""What a session is asked to write, and how: a completion with its variants, an answer."""

from __future__ import annotations

import time
from typing import Literal, Protocol

import msgspec

from gardenerd.answer.backend import Drawing, Session, Writing
from gardenerd.answer.chat import compose
from gardenerd.answer.citations import CitationFilter
from gardenerd.answer.stops import CodeStop
from gardenerd.errors import ModelError
from gardenerd.workers.harness import Context
from gardenerd.workers.jobs import (
    AnswerQuestion,
    CompleteCode,
    Excerpt,
    Generated,
    Part,
    Surroundings,
    TextPiece,
    Variant,
)

# Other files take at most this share of the window and so many tokens: each of them has to be read
# before the first word is written, and the lines around the cursor tell more.
_AROUND_SHARE = 0.25
_AROUND_TOKENS = 1_024
# As usual where several completions of code are drawn: different, and still near the likeliest.
_TEMPERATURE = 0.8
_TOP_P = 0.95
# So many are drawn for each variant that is wanted; a model that is sure draws the same again.
_TRIES = 3


class _Shape(Protocol):
    """Takes generated text as it grows and gives back what may be shown."""

    done: bool

    def feed(self, text: str) -> str: ...

    def close(self) -> str: ...


def complete(job: CompleteCode, session: Session, context: Context) -> Generated:
    """Fill in; raises CancelledError between two tokens."""
    started = time.monotonic()
    around = _around(job, session)

    def fill(drawing: Drawing | None, shown: Context | None) -> Variant:
        writing = session.fill(
            job.prefix,
            job.suffix,
            max_tokens=job.max_tokens,
            check=context.check,
            drawing=drawing,
            around=around,
        )
        return _written(writing, CodeStop(job.path, job.prefix, job.suffix), shown)

    first = fill(None, context)
    found = {first.text.strip(): first}
    for number in range(_TRIES * (job.variants - 1)):
        if len(found) == job.variants:
            break
        drawing = Drawing(temperature=_TEMPERATURE, top_p=_TOP_P, seed=job.seed + number)
        variant = fill(drawing, None)
        found.setdefault(variant.text.strip(), variant)
    return Generated(
        text=first.text,
        tokens=first.tokens,
        stop=first.stop,
        base=job.base,
        adapter=session.adapter,
        warning=session.warning,
        seconds=time.monotonic() - started,
        variants=list(found.values())[1:],
        shown=_shown(around, session),
        window=session.window,
    )


def answer(job: AnswerQuestion, session: Session, context: Context) -> Generated:
    """Answer from the sources.

    Raises:
        ModelError: the base cannot chat, or the question is too long for it.
        CancelledError: between two tokens.
    """
    started = time.monotonic()
    if not session.can_chat:
        raise ModelError(
            f"the base model {session.name} cannot chat: it has no chat template",
            hint="choose one that can chat: model.base in config.toml, or model.name of a server",
        )
    room = min(job.max_tokens, session.window // 2)
    composed = compose(
        job.question,
        job.sources,
        job.turns,
        budget=session.window - room,
        count=session.count,
        clean=session.clean,
    )
    shape = CitationFilter(composed.sources)
    writing = session.chat(composed.messages, max_tokens=room, check=context.check)
    written = _written(writing, shape, context)
    return Generated(
        text=written.text,
        tokens=written.tokens,
        stop=written.stop,
        base=job.base,
        adapter=session.adapter,
        warning=session.warning,
        seconds=time.monotonic() - started,
        shown=composed.parts,
        window=session.window,
        dropped_turns=composed.dropped,
        removed=shape.removed,
    )


def _written(writing: Writing, shape: _Shape, context: Context | None) -> Variant:
    """Let it write, and stream what is certain."""
    pieces: list[str] = []

    def show(piece: str) -> None:
        if piece:
            pieces.append(piece)
            if context is not None:
                context.update(TextPiece(text=piece))

    try:
        for text in writing:
            show(shape.feed(text))
            if shape.done:
                break
    finally:
        writing.close()
    stop: Literal["end", "length"] = "length" if writing.full and not shape.done else "end"
    show(shape.close())
    return Variant(text="".join(pieces), tokens=writing.tokens, stop=stop)


def _around(job: CompleteCode, session: Session) -> Surroundings | None:
    """What of the other files finds room; None where there is none, or the model knows none."""
    if job.around is None or not session.knows_repositories:
        return None
    left = min(_AROUND_TOKENS, int(session.window * _AROUND_SHARE))
    left -= session.count(f"{job.around.repository}\n{job.around.path}\n") + 4
    kept: list[Excerpt] = []
    for excerpt in job.around.excerpts:
        tokens = _cost(excerpt, session)
        if tokens <= left:
            kept.append(excerpt)
            left -= tokens
    if not kept:
        return None
    # The most telling one stands last, nearest to the code that is written.
    return msgspec.structs.replace(job.around, excerpts=kept[::-1])


def _shown(around: Surroundings | None, session: Session) -> list[Part]:
    return [
        Part(
            kind="excerpt",
            tokens=_cost(each, session),
            path=each.path,
            start_line=each.start_line,
            end_line=each.end_line,
        )
        for each in (around.excerpts if around is not None else ())
    ]


def _cost(excerpt: Excerpt, session: Session) -> int:
    return session.count(f"{excerpt.path}\n{excerpt.text}\n") + 1
