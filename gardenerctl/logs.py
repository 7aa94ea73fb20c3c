"""``logs``: the daemon's own log, readable; it works without a daemon too."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from gardenerctl.console import Console, clean
from gardenerd.errors import NotFoundError
from gardenerd.paths import Home, find_home

_KNOWN = ("time", "level", "part", "event", "traceback")
_COLOURS = {"warning": "yellow", "error": "red", "critical": "red"}
_POLL_S = 0.2
# Lines are short; this holds far more of them than anybody asks for.
_TAIL_BYTES = 4_000_000


def logs(arguments: argparse.Namespace, console: Console) -> int:
    home = find_home()
    if not home.log_file.exists():
        raise NotFoundError(
            f"there is no log at {home.log_file}", hint="gardenerctl start writes one"
        )
    lines = _tail(home, arguments.n) if not arguments.follow else _follow(home, arguments.n)
    for line in lines:
        entry = _entry(line)
        if console.as_json:
            console.object_line(entry)
        else:
            console.line(_readable(entry, console))
        if arguments.follow:
            console.write("")
    return 0


def _tail(home: Home, count: int) -> list[bytes]:
    with home.log_file.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - _TAIL_BYTES))
        return file.read().splitlines()[-count:]


def _follow(home: Home, count: int) -> Iterator[bytes]:
    """The last ``count`` lines, then what is added, also after a rotation."""
    yield from _tail(home, count)
    file = home.log_file.open("rb")
    try:
        file.seek(0, 2)
        partial = b""
        while True:
            data = file.read()
            if data:
                *whole, partial = (partial + data).split(b"\n")
                yield from whole
                continue
            time.sleep(_POLL_S)
            rotated = home.log_file.exists() and home.log_file.stat().st_ino
            if rotated and rotated != _inode(file.fileno()):
                file.close()
                file = home.log_file.open("rb")
                partial = b""
    finally:
        file.close()


def _inode(descriptor: int) -> int:
    import os

    return os.fstat(descriptor).st_ino


def _entry(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"event": line.decode("utf-8", "replace")}


def _readable(entry: dict[str, Any], console: Console) -> str:
    level = str(entry.get("level", ""))
    stamp = str(entry.get("time", "")).replace("T", " ")[:19]
    fields = "".join(f" {key}={value}" for key, value in entry.items() if key not in _KNOWN)
    shown = level.ljust(7)
    colour = _COLOURS.get(level)
    text = clean(f"{entry.get('part', '')}: {entry.get('event', '')}{fields}")
    if traceback := entry.get("traceback"):
        text += "\n" + clean(str(traceback))
    head = console.style(stamp, "dim")
    return f"{head} {console.style(shown, colour) if colour else shown} {text}"
