"""A version written for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from gardenerctl.console import Console, clean, size, span
from gardenerctl.progress import Progress
from gardenerd.paths import find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Export, Reply


def export(arguments: argparse.Namespace, console: Console) -> int:
    operation = Export(
        version=arguments.version,
        format=arguments.format,
        target=str(Path(arguments.folder).expanduser().absolute()),
        project=arguments.project,
        lora=arguments.lora,
    )
    with Client(find_home()) as client, Progress(console, "writing") as progress:

        def show(reply: Reply) -> None:
            body = reply.body
            progress.show(body["done"], body["total"], size(body["total"]), title=body["file"])

        body = client.call(operation, on_update=show, timeout_s=None)
    if console.as_json:
        console.document(body)
        return 0
    for file in body["files"]:
        console.line(f"{clean(body['target'])}/{clean(file['name'])}  {size(file['bytes'])}")
    for note in body["notes"]:
        console.note(f"note: {clean(note)}")
    console.note(console.style(f"{clean(body['name'])} in {span(body['seconds'])}", "dim"))
    return 0
