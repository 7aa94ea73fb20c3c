"""Training and what comes of it: train, pause, resume, cancel, rollback, adapters."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from gardenerctl.console import Console, clean, span
from gardenerctl.progress import Progress
from gardenerctl.status import against_base, when
from gardenerd.errors import RefusedError, UsageError
from gardenerd.paths import find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import (
    Adapters,
    Cancel,
    ManageAdapter,
    Operation,
    Pause,
    Projects,
    Reply,
    Resume,
    Rollback,
    Train,
)


def train(arguments: argparse.Namespace, console: Console) -> int:
    with Client(find_home()) as client:
        project = arguments.project or _only_project(client)
        operation = Train(project=project, wait=arguments.wait)
        if not arguments.wait:
            body = client.call(operation)
        else:
            with Progress(console, "preparing") as progress:
                body = client.call(operation, on_update=show_training(progress), timeout_s=None)
    if console.as_json:
        console.document(body)
    elif arguments.wait:
        show_outcome(body, console)
    else:
        console.line(f"run {body.get('run')} {body.get('state')}; gardenerctl watch follows it")
    return 1 if body.get("outcome") == "failed" else 0


def pause(arguments: argparse.Namespace, console: Console) -> int:
    seconds = None
    if arguments.duration is not None:
        from gardenerd.settings import parse_duration

        seconds = parse_duration(arguments.duration)
        if seconds is None or not 0 < seconds < float("inf"):
            raise UsageError(
                f"{arguments.duration!r} is not a duration", hint="such as 90s, 30m or 2h"
            )
    return _say(Pause(seconds=seconds), console, "training is paused")


def resume(arguments: argparse.Namespace, console: Console) -> int:
    del arguments
    return _say(Resume(), console, "training may go on")


def cancel(arguments: argparse.Namespace, console: Console) -> int:
    del arguments
    return _say(Cancel(), console, "the run was cancelled")


def rollback(arguments: argparse.Namespace, console: Console) -> int:
    operation = Rollback(version=arguments.version, project=arguments.project)
    return _say(operation, console, "rolled back")


def adapters(arguments: argparse.Namespace, console: Console) -> int:
    if arguments.action is not None:
        if arguments.version is None:
            raise UsageError(
                f"which version shall be treated with {arguments.action}?",
                hint=f"gardenerctl adapters {arguments.action} VERSION; see gardenerctl adapters",
            )
        operation = ManageAdapter(
            action=arguments.action, version=arguments.version, project=arguments.project
        )
        return _say(operation, console, "done")
    with Client(find_home()) as client:
        found = client.call(Adapters(project=arguments.project))["adapters"]
    if console.as_json:
        console.document(found)
    elif not found:
        console.line("no adapters yet: the base model serves")
    else:
        rows = [
            [
                "*" if adapter.get("serving") else "",
                str(adapter["version"]),
                _state(adapter),
                when(adapter.get("created")),
                str(adapter.get("parent") or "base"),
                against_base(adapter.get("scores")).removeprefix("bits per byte: "),
            ]
            for adapter in found
        ]
        console.table(["", "version", "state", "created", "parent", "bits per byte"], rows)
    return 0


def _state(adapter: dict[str, Any]) -> str:
    shown = {"candidate": "challenger"}.get(str(adapter.get("state")), str(adapter.get("state")))
    if adapter.get("waits"):
        shown = "of another base"
    return f"{shown}, pinned" if adapter.get("pinned") else shown


def show_training(progress: Progress) -> Callable[[Reply], None]:
    """What shows a run's updates on ``progress``."""

    def show(reply: Reply) -> None:
        body = reply.body
        parts: list[str] = []
        if body.get("steps"):
            parts.append(f"step {body.get('step', 0)} of {body['steps']}")
        if body.get("loss") is not None:
            parts.append(f"loss {body['loss']:.3f}")
        if body.get("tokens_per_second"):
            parts.append(f"{body['tokens_per_second']:,.0f} tokens/s")
        if body.get("seconds_left") is not None:
            parts.append(f"{span(body['seconds_left'])} left")
        title = str(body.get("phase") or body.get("state") or "training")
        progress.show(body.get("percent") or 0.0, 100.0, ", ".join(parts), title=title)

    return show


def show_outcome(body: dict[str, Any], console: Console) -> None:
    """The gate's decision and its figures."""
    version = f" as {body['version']}" if body.get("version") else ""
    console.line(f"run {body.get('run')}: {outcome(str(body.get('outcome')), console)}{version}")
    if reason := body.get("reason"):
        console.line(f"  {clean(str(reason))}")
    if text := against_base(body.get("scores")):
        console.line(f"  {text}")


def outcome(name: str, console: Console) -> str:
    """The word for how a run ended, in its colour."""
    colours = {"promoted": "green", "failed": "red"}
    return console.style(name.replace("_", " "), "bold", colours.get(name, "yellow"))


def _only_project(client: Client) -> str:
    projects = [project["name"] for project in client.call(Projects())["projects"]]
    if len(projects) == 1:
        return projects[0]
    if not projects:
        raise RefusedError("there is no project to train on", hint="gardenerctl add PATH")
    raise RefusedError(
        f"there are {len(projects)} projects",
        hint=f"--project {clean('|'.join(projects))}",
    )


def _say(operation: Operation, console: Console, fallback: str) -> int:
    with Client(find_home()) as client:
        body = client.call(operation)
    if console.as_json:
        console.document(body)
    else:
        console.line(clean(body.get("message") or fallback))
    return 0
