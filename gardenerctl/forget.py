"""``forget``: a file or folder leaves the index, the examples, the logs and the weights."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from gardenerctl.console import Console, clean, moment, plural
from gardenerctl.progress import Progress
from gardenerd.errors import RefusedError, UsageError
from gardenerd.paths import find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Forget, Forgotten, Remember, Reply


def forget(arguments: argparse.Namespace, console: Console) -> int:
    if arguments.list:
        return _list(arguments.project, console)
    if arguments.path is None:
        raise UsageError("what shall be forgotten?", hint="gardenerctl forget PATH, or --list")
    # Of links only those in the folder's name are followed, by the daemon.
    path = os.path.abspath(Path(arguments.path).expanduser())  # noqa: PTH100 - takes ".." out
    with Client(find_home()) as client:
        if arguments.undo:
            body = client.call(Remember(path=path))
        else:
            if not arguments.yes and not console.as_json and _asks(console):
                _confirm(client.call(Forget(path=path, look=True), timeout_s=None), console)
            with Progress(console, "forgetting") as progress:

                def show(reply: Reply) -> None:
                    step = reply.body
                    progress.show(step["done"], step["total"], title=str(step["step"]))

                body = client.call(Forget(path=path), on_update=show, timeout_s=None)
    if console.as_json:
        console.document(body)
    elif arguments.undo:
        console.line(clean(body["message"]))
    else:
        _tell(body, console)
    return 0


def _asks(console: Console) -> bool:
    return console.terminal and sys.stdin.isatty()


def _confirm(found: dict[str, Any], console: Console) -> None:
    """Ask whether to go on, since learned weights do not come back.

    Raises:
        RefusedError: no.
    """
    console.line(
        f"{clean(found['path'])} in {clean(found['project'])}: {plural(found['files'], 'file')}, "
        f"{plural(found['examples'], 'example')}, {plural(found['answers'], 'answer')} "
        "with the feedback on them"
    )
    if found["adapters"]:
        console.line(
            f"learned from it, and deleted: {_versions(found['adapters'])}"
            + (f"; {found['serving']} serves now, then the base" if found["serving"] else "")
        )
    if found.get("embeddings"):
        console.line(
            f"tuned on the project, and deleted: embedding {_versions(found['embeddings'])}"
        )
    console.write("forget all of it? [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise RefusedError("nothing was forgotten", hint="--yes goes on without asking")


def _tell(body: dict[str, Any], console: Console) -> None:
    removed = body["removed"]
    console.line(
        f"forgotten: {clean(body['path'])} in {clean(body['project'])}; it stays out of all that "
        "comes"
    )
    counts = [
        plural(removed["files"], "file"),
        plural(removed["chunks"], "chunk"),
        plural(removed["examples"], "example"),
        plural(removed["answers"], "answer"),
        plural(removed["feedback"], "piece") + " of feedback",
        plural(removed["run_folders"], "run folder"),
        plural(removed["log_lines"], "log line"),
    ]
    console.line(f"  removed: {', '.join(counts)}")
    if body["ended_run"]:
        console.line(f"  the run {body['ended_run']} was ended")
    if removed["adapters"]:
        console.line(f"  had learned from it, and deleted: {_versions(removed['adapters'])}")
    else:
        console.line("  no adapter had learned from it")
    if removed.get("embeddings"):
        console.line(f"  tuned on the project, and deleted: {_versions(removed['embeddings'])}")
    if body["fresh_run"]:
        console.line("  the base serves until a run from it is done; gardenerctl train starts one")


def _versions(versions: list[str]) -> str:
    return ", ".join(versions)


def _list(project: str | None, console: Console) -> int:
    with Client(find_home()) as client:
        found = client.call(Forgotten(project=project))["forgotten"]
    if console.as_json:
        console.document(found)
    elif not found:
        console.line("nothing was forgotten")
    else:
        rows = [
            [
                moment(place["since"]),
                clean(place["project"]),
                clean(place["path"]) + ("" if place["done"] else "  (under way)"),
            ]
            for place in found
        ]
        console.table(["since", "project", "path"], rows)
    return 0
