"""What the models answer: ask, complete, score."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gardenerctl.console import Console, clean, plural
from gardenerctl.search import read_text
from gardenerd.errors import UsageError
from gardenerd.paths import find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Ask, Complete, Reply, Score

# A cold model on a busy machine loads for a minute; after that each piece starts the time anew.
_TIMEOUT_S = 300.0


def ask(arguments: argparse.Namespace, console: Console) -> int:
    question = read_text(arguments.question, "question")
    streamed = _Stream(console, silent=arguments.no_stream or console.as_json)
    wanted = Ask(
        question=question,
        project=arguments.project,
        continued=arguments.continued,
        model=arguments.model,
        adapter=arguments.adapter,
    )
    with Client(find_home()) as client:
        body = client.call(wanted, on_update=streamed.take, timeout_s=_TIMEOUT_S)
    if console.as_json:
        console.object_line(body)
        return 0
    streamed.finish(body.get("text", ""))
    show_sources(body.get("sources") or [], console)
    if arguments.context:
        show_context(body, console)
    _foot(body, console)
    return 0


def complete(arguments: argparse.Namespace, console: Console) -> int:
    path, line, column = parse_place(arguments.place)
    streamed = _Stream(console, silent=arguments.no_stream or console.as_json)
    with Client(find_home()) as client:
        body = client.call(
            Complete(
                path=str(Path(path).expanduser().absolute()),
                line=line,
                column=column,
                max_tokens=arguments.max_tokens,
                adapter=arguments.adapter,
                n=arguments.n,
                seed=arguments.seed,
            ),
            on_update=streamed.take,
            timeout_s=_TIMEOUT_S * arguments.n,
        )
    if console.as_json:
        console.document(body)
        return 0
    streamed.finish(body.get("text", ""))
    others = (body.get("completions") or [])[1:]
    for number, other in enumerate(others, 2):
        head = f"--- {number} of {len(others) + 1}: gardenerctl feedback {other['answer']} good|bad"
        console.line(console.style(head, "dim"))
        console.line(clean(other["text"]))
    if arguments.context:
        show_context(body, console)
    _foot(body, console)
    return 0


def score(arguments: argparse.Namespace, console: Console) -> int:
    # The names come back as the user wrote them, not as the daemon sees them.
    named = {str(Path(file).expanduser().absolute()): file for file in arguments.files}
    with Client(find_home()) as client:
        body = client.call(
            Score(paths=list(named), adapter=arguments.adapter, project=arguments.project),
            timeout_s=None,
        )
    files: list[dict[str, Any]] = body["files"]
    for file in files:
        file["path"] = named.get(file["path"], file["path"])
    if console.as_json:
        for file in files:
            console.object_line({**file, "adapter": body.get("adapter")})
        return 0
    rows = [
        [clean(file["path"]), f"{file['bytes']:,}", f"{file['bits_per_byte']:.4f}"]
        for file in files
    ]
    console.table(["file", "bytes", "bits per byte"], rows, right="lrr")
    console.note(f"under {_served(body)}")
    _warn(body, console)
    return 0


def parse_place(place: str) -> tuple[str, int, int | None]:
    """``FILE:LINE[:COL]`` to the file, the line from 1 and the column from 0 (None: its end).

    Raises:
        UsageError: no line, or a number below 1.
    """
    head, _, last = place.rpartition(":")
    path, _, middle = head.rpartition(":")
    if path and middle.isdecimal() and last.isdecimal():
        numbers = (int(middle), int(last))
    elif head and last.isdecimal():
        path, numbers = head, (int(last),)
    else:
        raise UsageError(f"{place!r} does not look like FILE:LINE[:COL]", hint="such as app.py:12")
    if min(numbers) < 1:
        raise UsageError("lines and columns count from 1", hint="such as app.py:12:1")
    return path, numbers[0], numbers[1] - 1 if len(numbers) == 2 else None


def show_sources(sources: list[dict[str, Any]], console: Console) -> None:
    """List where an answer comes from, numbered as the answer cites them."""
    if not sources:
        return
    console.line()
    console.line(console.style("sources", "dim"))
    for number, hit in enumerate(sources, 1):
        state = hit.get("state", "fresh")
        text = f"  [{number}] {hit['path']}:{hit['start_line']}-{hit['end_line']}"
        text += f"  {hit['symbol']}" if hit.get("symbol") else ""
        text += "  (from an earlier question)" if hit.get("earlier") else ""
        console.line(clean(text) + (f"  ({state})" if state != "fresh" else ""))


def show_context(body: dict[str, Any], console: Console) -> None:
    """List what the model was shown, in order, and what each part took of its window."""
    parts: list[dict[str, Any]] = body.get("context") or []
    console.line()
    if not parts:
        console.line(console.style("context: nothing beside the file itself", "dim"))
        return
    rows = [[_part(part), f"{part['tokens']:,}" if part["tokens"] else "-"] for part in parts]
    total = sum(part["tokens"] for part in parts)
    if total:
        window = body.get("window")
        rows.append(["in all", f"{total:,}" + (f" of {window:,}" if window else "")])
    console.table(["context", "tokens"], rows, right="lr")


def _part(part: dict[str, Any]) -> str:
    turn = part.get("turn")
    head = "" if turn is None else "earlier: "
    if part.get("path"):
        return clean(f"{head}{part['path']}:{part['start_line']}-{part['end_line']}")
    kind = str(part["kind"])
    return head + {"system": "instructions", "turn": "answer"}.get(kind, kind)


class _Stream:
    """Prints pieces as they come; a terminal sequence split over two pieces is held together."""

    def __init__(self, console: Console, *, silent: bool) -> None:
        self._console = console
        self._silent = silent
        self._held = ""
        self._any = False

    def take(self, reply: Reply) -> None:
        if reply.kind != "chunk" or self._silent:
            return
        text = self._held + str(reply.body.get("text", ""))
        # A sequence is short; an escape further back will never be completed.
        begun = text.find("\x1b", max(0, len(text) - 64))
        if begun == -1:
            begun = len(text)
        self._held = text[begun:]
        self._put(text[:begun])

    def finish(self, whole: str) -> None:
        """End the answer; print all of it when nothing was streamed."""
        self._put(self._held if self._any else whole)
        self._console.line()

    def _put(self, text: str) -> None:
        if text:
            self._any = True
            self._console.write(clean(text))


def _foot(body: dict[str, Any], console: Console) -> None:
    """What else is worth knowing of an answer, on stderr: a pipe gets the answer alone."""
    if note := body.get("note"):
        console.note(f"note: {clean(note)}")
    _warn(body, console)
    parts = [_served(body)]
    if tokens := body.get("tokens"):
        parts.append(plural(tokens, "token"))
    if answer := body.get("answer"):
        parts.append(f"gardenerctl feedback {answer} good|bad")
    console.note(console.style(" · ".join(parts), "dim"))


def _served(body: dict[str, Any]) -> str:
    adapter = body.get("adapter")
    base = body.get("base") or "the base model"
    return f"{base} with adapter {adapter}" if adapter else f"{base} without an adapter"


def _warn(body: dict[str, Any], console: Console) -> None:
    if warning := body.get("warning"):
        console.note(f"warning: {clean(warning)}")
