"""``search``: hits under headings as in ripgrep, a few lines of each."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from gardenerctl.console import Console, clean
from gardenerd.errors import RefusedError, UsageError
from gardenerd.paths import find_home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Search

_LINES = 4
_KEYS = (
    "project",
    "path",
    "start_line",
    "end_line",
    "symbol",
    "kind",
    "score",
    "state",
    "signature",
    "docstring",
    "text",
)

# A cold worker loads its table first.
_TIMEOUT_S = 120.0


def search(arguments: argparse.Namespace, console: Console) -> int:
    query = _query(arguments)
    with Client(find_home()) as client:
        wanted = Search(
            query=query, k=arguments.k, project=arguments.project, fresh=arguments.fresh
        )
        # How long the index needs to follow, nobody knows; it tells if it cannot.
        body = client.call(wanted, timeout_s=None if arguments.fresh else _TIMEOUT_S)
    hits: list[dict[str, Any]] = body["hits"]
    if console.as_json:
        for hit in hits:
            console.object_line({key: hit.get(key) for key in _KEYS})
    else:
        show_hits(hits, console)
        if not hits:
            console.line("nothing found" if body.get("complete", True) else "nothing found so far")
    if note := body.get("note"):
        console.note(f"note: {clean(note)}")
    return 0


def show_hits(hits: list[dict[str, Any]], console: Console, *, lines: int = _LINES) -> None:
    """Print hits, best first, each with the first ``lines`` lines of its text."""
    several = len({hit["project"] for hit in hits}) > 1
    for hit in hits:
        place = f"{hit['path']}:{hit['start_line']}"
        if several:
            place = f"{hit['project']}/{place}"
        state = hit.get("state", "fresh")
        parts = [
            console.style(clean(place), "cyan"),
            console.style(clean(hit.get("symbol") or ""), "bold"),
            console.style(hit.get("kind") or "", "dim"),
            console.style(f"({state})", "yellow") if state != "fresh" else "",
        ]
        console.line("  ".join(part for part in parts if part))
        for line in clean(hit.get("text") or "").splitlines()[:lines]:
            console.line(f"    {line}"[:120])
        console.line()


def read_text(source: str, name: str) -> str:
    """``source`` itself, or standard input for ``-``."""
    if source != "-":
        return source
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(f"the {name} is not UTF-8: {error}", hint="send text") from error


def _query(arguments: argparse.Namespace) -> str:
    if (arguments.query is None) == (arguments.query_file is None):
        raise UsageError("give a QUERY or --query-file, one of them", hint="gardenerctl search -h")
    if arguments.query_file is None or arguments.query_file == "-":
        return read_text(arguments.query or "-", "query")
    try:
        return Path(arguments.query_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(
            f"cannot read the query from {arguments.query_file}: {error}", hint="check the file"
        ) from error
