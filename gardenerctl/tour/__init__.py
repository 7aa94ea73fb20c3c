"""``gardenerctl try``: the whole of gardener once, for real, on a private copy of real code."""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from gardenerctl.console import Console
from gardenerctl.tour import scenes
from gardenerctl.tour.material import RICH_QUESTION, question_about
from gardenerctl.tour.screen import Screen
from gardenerctl.tour.stage import Stage
from gardenerd.errors import RefusedError

Result = TypeVar("Result")


class _Clock:
    """Runs each scene and keeps how long it took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, name: str, scene: Callable[[], Result]) -> Result:
        began = time.monotonic()
        try:
            return scene()
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began


def tour(arguments: argparse.Namespace, console: Console) -> int:
    """Run the tour; what it made is gone afterwards, however it ends."""
    given = arguments.path is not None
    source = Path(arguments.path).expanduser().resolve() if given else _source_of_rich()
    screen, clock = Screen(console), _Clock()
    summary: dict[str, Any] = {"source": str(source) if given else "rich"}
    with Stage(source, keep=arguments.keep) as stage:
        if arguments.keep:
            console.note(f"keeping GARDENER_HOME={stage.home.root}")
        _play(stage, screen, console, clock, summary, ask_rich=not given)
        leaving = time.monotonic()
    clock.seconds["stopping, cleaning up"] = time.monotonic() - leaving
    kept = f"kept at {stage.folder}" if arguments.keep else "nothing is left behind"
    screen.say(f"the daemon has stopped; {kept}")
    total = sum(clock.seconds.values())
    screen.scene("Where the time went")
    rows = [
        [name, f"{took:.1f} s", f"{100 * took / total:.0f} %"]
        for name, took in clock.seconds.items()
    ]
    screen.table(["scene", "time", "share"], [*rows, ["all of it", f"{total:.1f} s", ""]])
    if console.as_json:
        summary["seconds"] = {**clock.seconds, "total": total}
        summary["home"] = str(stage.home.root) if arguments.keep else None
        console.document(summary)
    return 1 if summary["train"]["outcome"] == "failed" else 0


def _play(
    stage: Stage,
    screen: Screen,
    console: Console,
    clock: _Clock,
    summary: dict[str, Any],
    *,
    ask_rich: bool,
) -> None:
    screen.scene("A garden of its own")
    files = clock.time("copying the code", stage.copy)
    screen.say(f"a private copy of {stage.project.name}: {files} files")
    client = clock.time("starting the daemon", stage.start)
    version, pid = stage.hello.get("version"), stage.hello.get("pid")
    screen.say(f"gardenerd {version} runs as process {pid}, home {stage.home.root}")

    screen.scene("Indexing")
    found = clock.time("indexing", lambda: scenes.index(stage, client, screen, console))
    summary["index"] = found
    project = found["project"]

    screen.scene("Asking")
    question = RICH_QUESTION if ask_rich else question_about(stage.project)
    summary["ask"] = clock.time("asking", lambda: scenes.ask(client, screen, project, question))

    screen.scene("Editing: does the answer follow?")
    summary["edit"] = clock.time(
        "editing and finding", lambda: scenes.edit(stage, client, screen, project)
    )

    screen.scene("Learning: a night's work, now")
    outcome = clock.time("learning", lambda: scenes.train(client, screen, console, project))
    summary["train"] = outcome

    screen.scene("Completing code that it has never seen")
    summary["complete"] = clock.time(
        "completing and scoring",
        lambda: scenes.complete(stage, client, screen, project, outcome),
    )


def _source_of_rich() -> Path:
    """Where rich was installed; it is found, not imported."""
    spec = importlib.util.find_spec("rich")
    if spec is None or not spec.submodule_search_locations:
        raise RefusedError("rich is not installed", hint="gardenerctl try PATH takes any folder")
    return Path(spec.submodule_search_locations[0])
