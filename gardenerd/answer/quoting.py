"""How text that is data stands in a prompt: delimited, labelled, line by line, in plain characters.

Nothing in it can end its own quotation, or pose as a turn of the conversation in any of the
formats that chat models are trained with, whichever of them the model in use has. What a template
adds around the text afterwards is then all that the model takes for structure. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gardenerd.workers.jobs import Hit

# A source cut to fewer lines than this tells nothing.
_LEAST_LINES = 3

# What separates turns and roles: ChatML, Llama 3 and their like; DeepSeek; Gemma; Llama 2;
# Mistral; documents of nearly all. At last what this package marks its own quotations with.
_MARKERS = re.compile(
    r"<\|[^<>\s|]{1,64}\|>"
    r"|<｜[^<>\s｜]{1,64}｜>"
    r"|<(?:start|end)_of_\w{1,16}>"
    r"|<</?SYS>>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT)\]"
    r"|</?(?:s|bos|eos|unk|pad|mask)>"
    r"|</?(?:sources?|think|tool_call|tool_response)\b",
    re.IGNORECASE,
)
# Anything but tab that ends a line somewhere, moves a cursor or turns the reading direction.
_CONTROLS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)


def plain(text: str) -> str:
    """``text`` with a space within each marker, so that it is read as the characters it is."""
    return _MARKERS.sub(lambda marker: f"{marker[0][0]} {marker[0][1:]}", text)


def plain_line(text: str) -> str:
    """The same of one line, which stays one line wherever lines are told apart."""
    return plain(_CONTROLS.sub(" ", text))


def lines_of(hit: Hit) -> list[str]:
    """The lines of a source as its file numbers them."""
    lines = hit.text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def block(hit: Hit, clean: Callable[[str], str]) -> str:
    """A source between its marks: each of its lines with its number, so that no line of it begins
    as a line of the prompt does."""
    path = clean(plain_line(hit.path)).replace('"', "'")
    rows = [
        f"{number}| {clean(plain_line(line.rstrip()))}".rstrip()
        for number, line in enumerate(lines_of(hit), hit.start_line)
    ]
    label = f'path="{path}" lines="{hit.start_line}-{hit.end_line}"'
    return "\n".join([f"<source {label}>", *rows, "</source>\n"])


def fitting(
    hit: Hit, budget: int, count: Callable[[str], int], clean: Callable[[str], str]
) -> tuple[str, Hit] | None:
    """The block of a source, cut from its end to ``budget`` tokens, and what of it is shown; None
    when there is no room."""
    lines = lines_of(hit)
    shown = hit
    while lines:
        text = block(shown, clean)
        if count(text) <= budget:
            return text, shown
        if len(lines) <= _LEAST_LINES:
            return None
        lines = lines[: max(_LEAST_LINES, len(lines) * 3 // 4)]
        shown = part_of(hit, lines)
    return None


def part_of(hit: Hit, lines: list[str]) -> Hit:
    """The source with its first ``lines`` alone."""
    return Hit(
        project=hit.project,
        path=hit.path,
        start_line=hit.start_line,
        end_line=hit.start_line + len(lines) - 1,
        symbol=hit.symbol,
        kind=hit.kind,
        score=hit.score,
        text="\n".join(lines),
        digest=hit.digest,
    )
