"""The folders that gardener tends: add, remove, projects, rescan, why, wait."""

from __future__ import annotations

import argparse
from pathlib import Path

from gardenerctl.console import Console, clean, moment, plural, shorten
from gardenerctl.progress import Progress
from gardenerctl.status import state_of
from gardenerd.paths import find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Add, Projects, Remove, Reply, Rescan, Wait, Why

# The daemon keeps the time that it was given; this much later something is wrong with it.
_GRACE_S = 5.0


def add(arguments: argparse.Namespace, console: Console) -> int:
    path = Path(arguments.path).expanduser().absolute()
    with Client(find_home()) as client:
        body = client.call(Add(path=str(path), name=arguments.name))
    if console.as_json:
        console.document(body)
    else:
        console.line(f"tending {clean(body['name'])} at {clean(body['path'])}")
        console.line("gardenerctl wait shows the indexing")
    return 0


def remove(arguments: argparse.Namespace, console: Console) -> int:
    with Client(find_home()) as client:
        # Its chunks leave the index first; that takes a while for a large project.
        body = client.call(Remove(project=arguments.project), timeout_s=None)
    return _told(body, console, f"{arguments.project} is no longer tended; its files are untouched")


def projects(arguments: argparse.Namespace, console: Console) -> int:
    del arguments
    with Client(find_home()) as client:
        found = client.call(Projects())["projects"]
    if console.as_json:
        console.document(found)
    elif not found:
        console.line("no projects yet: gardenerctl add PATH")
    else:
        rows = [
            [
                clean(project["name"]),
                f"{project.get('files', 0):,}",
                f"{project.get('chunks', 0):,}",
                f"{project.get('pending', 0):,}",
                state_of(project),
                shorten(clean(project["path"]), 60),
            ]
            for project in found
        ]
        header = ["project", "files", "chunks", "pending", "state", "path"]
        console.table(header, rows, right="lrrr")
    return 0


def rescan(arguments: argparse.Namespace, console: Console) -> int:
    with Client(find_home()) as client:
        body = client.call(Rescan(project=arguments.project), timeout_s=None)
    return _told(body, console, "the index is being compared with the files")


def why(arguments: argparse.Namespace, console: Console) -> int:
    path = Path(arguments.file).expanduser().absolute()
    with Client(find_home()) as client:
        body = client.call(Why(path=str(path)))
    if console.as_json:
        console.document(body)
        return 0
    reason = f": {clean(body['reason'])}" if body["reason"] else ""
    console.line(f"{clean(body['path'])} in {clean(body['project'])}: {body['state']}{reason}")
    if body["indexed"] is not None:
        console.line(f"  {plural(body['chunks'], 'chunk')}, indexed {moment(body['indexed'])}")
    if body["held_out"]:
        console.line("  held out: never trained on, adapters are judged by it")
    elif body["examples"]:
        console.line(f"  {plural(body['examples'], 'example')} to learn from")
    return 0


def wait(arguments: argparse.Namespace, console: Console) -> int:
    limit = arguments.timeout
    with Client(find_home()) as client, Progress(console, "indexing") as progress:

        def show(reply: Reply) -> None:
            total = reply.body.get("total") or 0
            progress.show(reply.body.get("indexed") or 0, total, _left(reply.body.get("pending")))

        body = client.call(
            Wait(project=arguments.project, timeout_s=limit),
            on_update=show,
            timeout_s=None if limit is None else limit + _GRACE_S,
        )
    if console.as_json:
        console.document(body)
        return 0
    not_covered = body.get("not_covered") or []
    if not not_covered:
        console.line("settled: every known change is indexed")
        return 0
    console.line("every change that can be seen is indexed; not covered:")
    for text in not_covered:
        console.line(f"  {clean(text)}")
    return 0


def _left(pending: int | None) -> str:
    return f"{plural(pending, 'file')} left" if pending else ""


def _told(body: dict[str, str], console: Console, fallback: str) -> int:
    if console.as_json:
        console.document(body)
    else:
        console.line(clean(body.get("message") or fallback))
    return 0
