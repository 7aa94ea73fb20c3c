"""Base models: list, show, pull, use, rm."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from gardenerctl.console import Console, clean, size, span
from gardenerctl.progress import Progress
from gardenerd.errors import UsageError
from gardenerd.paths import find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import (
    Models,
    PullModel,
    RemoveModel,
    Reply,
    ShowModel,
    UseModel,
)

# Gigabytes are digested the first time that a model is looked at.
_LOOK_S = 600.0


def model(arguments: argparse.Namespace, console: Console) -> int:
    action, name = arguments.action or "list", str(arguments.name or "")
    if not name and action in ("pull", "use", "rm"):
        raise UsageError(f"which model? gardenerctl model {action} NAME", hint="gardenerctl model")
    if name and action == "list":
        raise UsageError("list takes no name", hint=f"gardenerctl model show {clean(name)}")
    if arguments.revision is not None and action != "pull":
        raise UsageError("a revision is given to pull alone", hint="gardenerctl model pull NAME")
    match action:
        case "pull":
            return _pull(name, arguments.revision, console)
        case "show":
            return _show(_named(name) if name else None, console)
        case "use":
            return _say(UseModel(name=_named(name)), console)
        case "rm":
            return _say(RemoveModel(name=name), console)
        case _:
            return _list(console)


def _named(name: str) -> str:
    """A path made absolute: the daemon stands in another folder."""
    if name.startswith((".", "~", "/")):
        return str(Path(name).expanduser().resolve())
    return name


def _say(operation: UseModel | RemoveModel, console: Console) -> int:
    with Client(find_home()) as client:
        body = client.call(operation, timeout_s=_LOOK_S)
    if console.as_json:
        console.document(body)
    else:
        console.line(clean(body["message"]))
    return 0


def _pull(name: str, revision: str | None, console: Console) -> int:
    name, _, at = name.partition("@")
    wanted = PullModel(
        name=name,
        revision=revision or at or "main",
        endpoint=os.environ.get("HF_ENDPOINT", ""),
        token=os.environ.get("HF_TOKEN", ""),
    )
    try:
        with Client(find_home()) as client, Progress(console, "pulling") as progress:

            def show(reply: Reply) -> None:
                body = reply.body
                speed, left = body["bytes_per_second"], body["total"] - body["done"]
                parts = [f"{size(body['done'])} of {size(body['total'])}"]
                if speed:
                    parts += [f"{size(speed)}/s", f"{span(left / speed)} left"]
                progress.show(body["done"], body["total"], ", ".join(parts))

            body = client.call(wanted, on_update=show, timeout_s=None)
    except KeyboardInterrupt:
        console.note("interrupted; what came stays, and the next pull goes on from there")
        raise
    if console.as_json:
        console.document(body)
    else:
        console.line(clean(body["message"]))
    return 0


def _list(console: Console) -> int:
    with Client(find_home()) as client:
        body = client.call(Models(), timeout_s=_LOOK_S)
    if console.as_json:
        console.document(body)
        return 0
    rows = [
        [
            "*" if each["serving"] else "",
            clean(each["name"]),
            size(each["bytes"]),
            size(each["serve_bytes"]),
            _abilities(each),
            _state(each),
        ]
        for each in body["models"]
    ]
    console.table(["", "model", "size", "memory", "can", "state"], rows, right="llrr")
    for each in body["models"]:
        if each["problem"]:
            console.line(f"  {clean(each['name'])}: {clean(each['problem'])}")
    console.line(
        f"  recommended for {size(body['memory_bytes'])} of memory: {clean(body['recommended'])}"
    )
    return 0


def _abilities(each: dict[str, Any]) -> str:
    able = {"chat": each["chat"], "fill in": each["fim"]}
    return ", ".join(name for name, there in able.items() if there) or "-"


def _state(each: dict[str, Any]) -> str:
    if each["problem"]:
        return "cannot be used"
    if each["serving"]:
        return "serves"
    parts = ["here"] if each["here"] else []
    if each["partial_bytes"]:
        parts.append(f"{size(each['partial_bytes'])} pulled")
    if each["fits"] is False:
        parts.append("too large for this machine")
    elif each["allowed"] is False:
        parts.append("needs a higher model.max_memory_mb")
    if each["recommended"]:
        parts.append("recommended")
    if not each["here"] and each["licence"]:
        parts.append(clean(each["licence"]))
    return ", ".join(parts)


def _show(name: str | None, console: Console) -> int:
    with Client(find_home()) as client:
        body = client.call(ShowModel(name=name), timeout_s=_LOOK_S)
    if console.as_json:
        console.document(body)
        return 0
    verified = {True: "as the hub promised", False: "changed since they were pulled", None: ""}
    revision = body["revision"] and f"{body['repository']} at {body['revision'][:12]}"
    adapters = [f"{each['project']} {each['version']}" for each in body["adapters"]]
    rows = [
        ("model", body["name"] + (", serves" if body["serving"] else "")),
        ("from", revision),
        ("licence", body["licence"]),
        ("folder", body["folder"]),
        ("kind", f"{body['architecture']}, {body['parameters']:,} parameters"),
        ("window", f"{body['window']:,} tokens" if body["window"] else ""),
        ("can", _abilities(body)),
        ("files", verified[body["verified"]]),
        ("digest", body["fingerprint"][:16]),
        ("device", f"{body['device']} in {body['precision']}: {body['reason']}"),
        ("memory", f"{size(body['serve_bytes'])} to serve, {size(body['train_bytes'])} to train"),
        ("adapters", ", ".join(adapters) or "none yet"),
        ("warning", body["warning"]),
    ]
    for label, text in rows:
        if text:
            console.line(f"{console.style(label.ljust(10), 'dim')}{clean(text)}")
    return 0
