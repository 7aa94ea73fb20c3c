"""``status`` and ``ps``: what the daemon is doing, on one screen of 80 columns."""

from __future__ import annotations

import argparse
from typing import Any

from gardenerctl.console import Console, clean, moment, shorten, size, span
from gardenerd.paths import find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Ps, Status

_WIDTH = 80
_LABEL = 10


def status(arguments: argparse.Namespace, console: Console) -> int:
    del arguments
    with Client(find_home()) as client:
        body = client.call(Status())
    if console.as_json:
        console.document(body)
        return 0
    _daemon(body, console)
    _loop(body.get("loop") or {}, console)
    _model(body.get("model") or {}, console)
    _embedding(body.get("embedding") or {}, console)
    console.line()
    _projects(body.get("projects") or [], console)
    console.line()
    daemon = {"kind": "supervisor", "state": "running", **(body.get("daemon") or {})}
    _processes([daemon, *(body.get("workers") or [])], console)
    for warning in body.get("warnings") or []:
        _labelled(console, "warning", clean(warning), style="yellow")
    _last_error(body.get("last_error"), console)
    return 0


def ps(arguments: argparse.Namespace, console: Console) -> int:
    del arguments
    with Client(find_home()) as client:
        body = client.call(Ps())
    if console.as_json:
        console.document(body)
    elif workers := body.get("workers"):
        _processes(workers, console)
    else:
        console.line("no worker is running; the next question or change starts one")
    return 0


def _daemon(body: dict[str, Any], console: Console) -> None:
    daemon = body.get("daemon") or {}
    text = f"gardenerd {daemon.get('version', '')}, process {daemon.get('pid')}"
    _labelled(console, "daemon", f"{text}, up {span(daemon.get('uptime_s'))}")


def _loop(loop: dict[str, Any], console: Console) -> None:
    state = str(loop.get("state", "unknown"))
    _labelled(console, "now", console.style(state.replace("_", " "), "bold", "green"))
    if loop.get("progress") is not None:
        at = f"{loop['progress']:.0f} % of run {loop.get('run')}, project {loop.get('project')}"
        _labelled(console, "", clean(at))
    if reason := loop.get("reason"):
        _labelled(console, "why", clean(str(reason)))
    _labelled(console, "next", when(loop.get("next_window")))
    new, buffer = loop.get("new_examples", 0), loop.get("buffer", 0)
    _labelled(console, "examples", f"{new:,} new, {buffer:,} in the replay buffer")
    if last := loop.get("last_run"):
        said = f"{when(last.get('finished'))}, {last.get('project')}: {last.get('said')}"
        _labelled(console, "last run", clean(said))


def _model(model: dict[str, Any], console: Console) -> None:
    adapter = model.get("adapter")
    _labelled(
        console,
        "model",
        f"{model.get('base')}, {f'adapter {adapter}' if adapter else 'no adapter yet'}",
    )
    if server := model.get("server"):
        _server(str(model.get("backend")), server, console)
    scores = model.get("scores") or {}
    for project, found in scores.items():
        if text := against_base(found):
            head = f"{clean(project)}: " if len(scores) > 1 else ""
            _labelled(console, "", head + text)
    if problem := model.get("problem"):
        _labelled(console, "", clean(problem))


def _server(backend: str, server: dict[str, Any], console: Console) -> None:
    """Which server answers in the place of the base, and whether it is there."""
    reachable = server.get("reachable")
    there = "not looked at" if reachable is None else "there" if reachable else "not there"
    name = f", {server['model']}" if server.get("model") else ""
    _labelled(console, "server", clean(f"{backend} at {server.get('url')}{name}: {there}"))
    if problem := server.get("problem"):
        _labelled(console, "", clean(str(problem)))


def _embedding(embedding: dict[str, Any], console: Console) -> None:
    for number, each in enumerate(embedding.get("projects") or []):
        last = f"{each['last']['version']} {each['last']['state']}"
        text = f"{each['project']}: {each['version']}; last tuned: {last}"
        _labelled(console, "" if number else "embedding", clean(text))


def _projects(projects: list[dict[str, Any]], console: Console) -> None:
    if not projects:
        console.line("no projects yet: gardenerctl add PATH")
        return
    header = ["project", "files", "chunks", "pending", "state"]
    rows = [
        [
            shorten(clean(str(project.get("name"))), 24),
            f"{project.get('files', 0):,}",
            f"{project.get('chunks', 0):,}",
            f"{project.get('pending', 0):,}",
            state_of(project),
        ]
        for project in projects
    ]
    # The path takes what the other columns leave of the width.
    taken = sum(max(len(row[at]) for row in (header, *rows)) + 2 for at in range(len(header)))
    room = max(10, _WIDTH - taken - 2)
    for row, project in zip(rows, projects, strict=True):
        row.append(shorten(clean(str(project.get("path"))), room))
    console.table([*header, "path"], rows, right="lrrr")
    for project in projects:
        told = [project.get("reason"), *(project.get("notes") or [])]
        for text in dict.fromkeys(told):  # the reason of a frozen one is a note too
            if text:
                console.line(f"  {clean(project['name'])}: {clean(str(text))}")


def _processes(processes: list[dict[str, Any]], console: Console) -> None:
    rows = [
        [
            str(process.get("kind")),
            str(process.get("pid") or "-"),
            size(process.get("rss_bytes")),
            "-" if (used := process.get("cpu_percent")) is None else f"{used:.1f} %",
            str(process.get("state")),
        ]
        for process in processes
    ]
    console.table(["process", "pid", "memory", "processor", "state"], rows, right="lrrr")


def _last_error(error: Any, console: Console) -> None:
    if not error:
        return
    console.line()
    _labelled(console, "error", clean(str(error)), style="red")


def state_of(project: dict[str, Any]) -> str:
    """A project's state in a word; one that is watched is settled, or still being indexed;
    of one that is half blind the notes tell what cannot be seen."""
    state = str(project.get("state") or "ok")
    if state != "ok":
        return state
    if project.get("not_covered"):
        return "half blind"
    return "settled" if project.get("settled") else "indexing"


def against_base(scores: Any) -> str:
    """``recent 1.91 -> 1.72 (-9.9 %), older ...``: incumbent against candidate, bits per byte."""
    if not isinstance(scores, dict):
        return ""
    parts = []
    for name in ("recent", "older"):
        pair = scores.get(name) or {}
        before, after = pair.get("incumbent"), pair.get("candidate")
        if before and after is not None:
            change = f"{100 * (after / before - 1):+.1f} %"
            parts.append(f"{name} {before:.3f} to {after:.3f} ({change})")
    return f"bits per byte: {', '.join(parts)}" if parts else ""


def when(value: Any) -> str:
    """A time of the daemon (seconds, or text) for people."""
    if isinstance(value, (int, float)):
        return moment(value)
    return str(value).replace("T", " ")[:16] if value else "-"


def _labelled(console: Console, label: str, text: str, style: str = "dim") -> None:
    """A label and its text, wrapped by words so that 80 columns hold it."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _WIDTH - _LABEL:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip() if lines[-1] else word
    for number, line in enumerate(lines):
        head = label if number == 0 else ""
        console.line(console.style(head.ljust(_LABEL), style) + line)
