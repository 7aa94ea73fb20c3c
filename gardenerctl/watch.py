"""``watch``: the daemon's events as they come."""

from __future__ import annotations

import argparse
import time
from typing import Any

from gardenerctl.console import Console, clean
from gardenerd.errors import UsageError
from gardenerd.paths import find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Event

_TOPICS = ("index", "loop", "train", "adapter", "daemon")


def watch(arguments: argparse.Namespace, console: Console) -> int:
    unknown = [topic for topic in arguments.topics if topic not in _TOPICS]
    if unknown:
        raise UsageError(
            f"unknown topic {', '.join(unknown)}", hint=f"topics: {', '.join(_TOPICS)}"
        )
    with Client(find_home()) as client:
        if not console.as_json:
            console.note("following gardenerd; Ctrl-C ends it")
        for event in client.events(arguments.topics):
            if console.as_json:
                body = {"topic": event.topic, "name": event.name}
                console.object_line({**body, "time": event.time, "body": event.body})
            else:
                console.write(_readable(event, console) + "\n")
    return 0


def _readable(event: Event, console: Console) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(event.time))
    head = f"{console.style(clock, 'dim')} {console.style(event.topic.ljust(7), 'cyan')}"
    fields = "  ".join(f"{key} {_value(value)}" for key, value in event.body.items())
    return f"{head} {console.style(event.name, 'bold')}  {clean(fields)}".rstrip()


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"({len(value)})"
    return str(value)
