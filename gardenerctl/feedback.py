"""``feedback``: say what an answer was worth, or see what has been said."""

from __future__ import annotations

import argparse
import os

from gardenerctl.console import Console, clean
from gardenerctl.search import read_text
from gardenerctl.status import when
from gardenerd.errors import UsageError
from gardenerd.paths import find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Feedback, Judgements

_EXCERPT = 22


def feedback(arguments: argparse.Namespace, console: Console) -> int:
    if arguments.answer is None:
        return _list(arguments, console)
    if arguments.verdict is None:
        raise UsageError(
            f"was {arguments.answer} good or bad?",
            hint=f"gardenerctl feedback {arguments.answer} good|bad",
        )
    correction = arguments.correction
    if correction is not None:
        correction = read_text(correction, "correction")
    with Client(find_home()) as client:
        body = client.call(
            Feedback(
                answer=arguments.answer,
                verdict=arguments.verdict,
                correction=correction,
                key=os.urandom(16).hex(),
            )
        )
    if console.as_json:
        console.document(body)
    else:
        console.line(clean(body.get("message") or "kept"))
    return 0


def _list(arguments: argparse.Namespace, console: Console) -> int:
    wanted = Judgements(project=arguments.project, limit=arguments.n)
    with Client(find_home()) as client:
        found = client.call(wanted)["feedback"]
    if console.as_json:
        console.document(found)
        return 0
    if not found:
        console.line("no feedback yet: gardenerctl feedback ID good|bad, with an answer's id")
        return 0
    rows = [
        [
            when(judged["created"]),
            judged["answer"],
            f"{judged['verdict']}, corrected" if judged["correction"] else judged["verdict"],
            "code" if judged["weak"] else "you",
            judged["adapter"] or "base",
            _excerpt(judged["correction"] or judged["text"]),
        ]
        for judged in found
    ]
    console.table(["given", "answer", "verdict", "from", "by", "text"], rows)
    return 0


def _excerpt(text: str) -> str:
    line = " ".join(clean(text).split())
    return line if len(line) <= _EXCERPT else line[: _EXCERPT - 1] + "…"
