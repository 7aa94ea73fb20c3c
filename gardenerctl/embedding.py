"""The embedding tuned on a project: its versions, a run now, the way back."""

from __future__ import annotations

import argparse
from typing import Any

from gardenerctl.console import Console, clean, moment
from gardenerd.errors import UsageError
from gardenerd.paths import find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Embeddings, RollbackEmbedding, TuneEmbedding


def embedding(arguments: argparse.Namespace, console: Console) -> int:
    if arguments.version is not None and arguments.action != "rollback":
        raise UsageError(
            "a version is given to rollback alone", hint="gardenerctl embedding rollback VERSION"
        )
    project = arguments.project
    with Client(find_home()) as client:
        match arguments.action:
            case "rollback":
                wanted = RollbackEmbedding(version=arguments.version, project=project)
                body = client.call(wanted)
                text = str(body["message"])
            case "tune":
                body = client.call(TuneEmbedding(project=project), timeout_s=None)
                name = f"{body['project']} {body['version']}"
                text = f"{name} {body['outcome']}: {body['reason']}"
            case _:
                return _list(client.call(Embeddings(project=project))["embeddings"], console)
    if console.as_json:
        console.document(body)
    else:
        console.line(clean(text))
    return 0


def _list(found: list[dict[str, Any]], console: Console) -> int:
    if console.as_json:
        console.document(found)
    elif not found:
        console.line("never tuned yet: the packaged embedding serves")
    else:
        rows = [
            [
                "*" if each["serving"] else "",
                clean(str(each["project"])),
                str(each["version"]),
                str(each["state"]),
                moment(each["created"]),
                clean(str(each["reason"])),
            ]
            for each in found
        ]
        console.table(["", "project", "version", "state", "created", "why"], rows)
        if not any(each["serving"] for each in found):
            console.line("  the packaged embedding serves")
    return 0
