"""The scenes of the tour, one function each: shown to the user, and returned as figures."""

from __future__ import annotations

import time
from typing import Any

from gardenerctl.console import Console, plural
from gardenerctl.learning import show_training
from gardenerctl.progress import Progress
from gardenerctl.tour.material import (
    NEW_QUESTION,
    NEW_SYMBOL,
    cut,
    file_to_edit,
    gap_in,
)
from gardenerctl.tour.screen import Screen
from gardenerctl.tour.stage import Stage
from gardenerd.errors import TimedOutError
from gardenerd.wire.client import Client
from gardenerd.wire.messages import (
    Add,
    Ask,
    Complete,
    Projects,
    Reply,
    Score,
    Search,
    Train,
    Wait,
)

# A saved file is found within a fraction of a second; this long means that something is broken.
_FOUND_S = 60.0
_POLL_S = 0.02
_ANSWER_LINES = 14
_SLOW_S = 300.0


def index(stage: Stage, client: Client, screen: Screen, console: Console) -> dict[str, Any]:
    """Add the project and follow its first index."""
    began = time.monotonic()
    name = client.call(Add(path=str(stage.project)))["name"]
    with Progress(console, "indexing") as progress:

        def show(reply: Reply) -> None:
            body = reply.body
            progress.show(body.get("indexed") or 0, body.get("total") or 0)

        client.call(Wait(project=name), on_update=show, timeout_s=None)
    seconds = time.monotonic() - began
    found = client.call(Projects())["projects"]
    project = next(each for each in found if each["name"] == name)
    files, chunks = project["files"], project["chunks"]
    screen.say(f"{plural(files, 'file')}, {plural(chunks, 'piece')} of code in {seconds:.1f} s")
    return {"project": name, "files": files, "chunks": chunks, "seconds": seconds}


def ask(client: Client, screen: Screen, project: str, question: str) -> dict[str, Any]:
    """Ask, and show the answer with its sources."""
    screen.say(f"? {question}", "bold")
    began = time.monotonic()
    body = client.call(Ask(question=question, project=project), timeout_s=_SLOW_S)
    seconds = time.monotonic() - began
    lines = str(body["text"]).strip().splitlines()
    screen.say("\n".join(lines[:_ANSWER_LINES]))
    if len(lines) > _ANSWER_LINES:
        screen.say(f"... {len(lines) - _ANSWER_LINES} more lines", "dim")
    screen.hits(body["sources"])
    screen.say(f"{body['mode']} answer in {seconds:.2f} s", "dim")
    sources = [f"{hit['path']}:{hit['start_line']}" for hit in body["sources"]]
    return {"question": question, "mode": body["mode"], "sources": sources, "seconds": seconds}


def edit(stage: Stage, client: Client, screen: Screen, project: str) -> dict[str, Any] | None:
    """Append a function to a file and show that search and answer follow."""
    chosen = file_to_edit(stage.project)
    if chosen is None:
        screen.say("no file here is of a language that this tour can write", "yellow")
        return None
    path, addition = chosen
    relative = path.relative_to(stage.project).as_posix()
    query = Search(query=NEW_SYMBOL, k=5, project=project)
    if _finds_new(client.call(query, timeout_s=_SLOW_S)):
        raise TimedOutError(f"{NEW_SYMBOL} is in the index before it was written")
    with path.open("a", encoding="utf-8") as file:
        file.write(addition)
    saved = time.monotonic()
    while not _finds_new(client.call(query, timeout_s=_SLOW_S)):
        if time.monotonic() - saved > _FOUND_S:
            raise TimedOutError(
                f"{relative} was saved {_FOUND_S:.0f} s ago and its new function is not found",
                hint="please report it with the log: gardenerctl try --keep",
            )
        time.sleep(_POLL_S)
    seconds = time.monotonic() - saved
    screen.code(f"appended to {relative}", addition.strip())
    screen.say(f"found {1_000 * seconds:.0f} ms after it was saved", "green")
    screen.say("")
    answer = ask(client, screen, project, NEW_QUESTION)
    follows = any(source.startswith(f"{relative}:") for source in answer["sources"])
    screen.say(
        "the answer cites the new function's file" if follows else "the answer does not cite it",
        "green" if follows else "yellow",
    )
    return {"path": relative, "save_to_found_s": seconds, "answer_follows": follows}


def train(client: Client, screen: Screen, console: Console, project: str) -> dict[str, Any]:
    """One run of learning, followed to the gate's decision."""
    began = time.monotonic()
    with Progress(console, "preparing") as progress:
        body = client.call(
            Train(project=project, wait=True), on_update=show_training(progress), timeout_s=None
        )
    seconds = time.monotonic() - began
    promoted = body["outcome"] == "promoted"
    version = f" as {body['version']}" if body.get("version") else ""
    style = "bold green" if promoted else "bold yellow"
    screen.say(f"{str(body['outcome']).replace('_', ' ')}{version}", style)
    screen.say(str(body["reason"]))
    rows: list[list[str]] = []
    for name in ("recent", "older"):
        pair = (body.get("scores") or {}).get(name) or {}
        before, after = pair.get("incumbent"), pair.get("candidate")
        if before and after is not None:
            change = f"{100 * (after / before - 1):+.1f} %"
            rows.append([f"{name} held-out code", f"{before:.4f}", f"{after:.4f}", change])
    if rows:
        screen.table(["bits per byte", "serving before", "candidate", "change"], rows)
    return {**body, "seconds": seconds}


def complete(
    stage: Stage, client: Client, screen: Screen, project: str, outcome: dict[str, Any]
) -> dict[str, Any] | None:
    """Fill in a function that training never saw, by the base and by what serves now."""
    gap = gap_in(stage.project, outcome["held_out"])
    if gap is None:
        screen.say("no held-out file has a short function to complete", "yellow")
        return None
    path = str(stage.project / gap.path)
    serving = {"base": "before: the base model"}
    if outcome["outcome"] == "promoted":
        serving["current"] = "now: with the new adapter"
    bits: dict[str, float] = {}
    for adapter in serving:
        scored = client.call(Score(paths=[path], adapter=adapter, project=project), timeout_s=None)
        bits[adapter] = scored["files"][0]["bits_per_byte"]
    screen.say(f"{gap.path}:{gap.first}, never trained on: {gap.header}")
    cut(stage.project, gap)
    screen.code("as its author wrote it", gap.truth, "green")
    shown: dict[str, str] = {}
    for adapter, title in serving.items():
        body = client.call(
            Complete(path=path, line=gap.first, max_tokens=64, adapter=adapter), timeout_s=_SLOW_S
        )
        # A base model rarely knows where to end: as many lines as there are, and two more.
        lines = (gap.indent + str(body["text"])).splitlines()[: gap.last - gap.first + 3]
        shown[adapter] = "\n".join(lines)
        screen.code(title, shown[adapter])
    row = [f"all of {gap.path}", f"{bits['base']:.4f}"]
    if "current" in bits:
        change = 100 * (bits["current"] / bits["base"] - 1)
        row += [f"{bits['current']:.4f}", f"{change:+.1f} %"]
        screen.table(["bits per byte", "before", "now", "change"], [row])
    else:
        screen.table(["bits per byte", "before and now"], [row])
        screen.say("the candidate was not promoted, so the base model still serves", "yellow")
    return {
        "path": gap.path,
        "symbol": gap.symbol,
        "truth": gap.truth,
        "completions": shown,
        "bits_per_byte": bits,
    }


def _finds_new(body: dict[str, Any]) -> bool:
    return any(NEW_SYMBOL in str(hit.get("symbol")) for hit in body["hits"])
