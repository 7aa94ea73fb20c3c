"""From saving a file to finding it, against watchfiles' own write-to-event time.

    python -m bench.save_to_search

The daemon and its index worker are real and warm. watchfiles runs with the same step and debounce
in this process, over a folder of its own; the two take turns. Limit: 5 times, by the medians.
"""

from __future__ import annotations

import json
import queue
import shutil
import statistics
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

from watchfiles import watch

_ROUNDS = 25
LIMIT = 5.0


def measure(rounds: int = _ROUNDS) -> dict[str, float | bool]:
    """Medians in milliseconds, and their ratio."""
    from gardenerctl.service import halt, launch
    from gardenerd.paths import Home
    from gardenerd.settings import Watch
    from gardenerd.wire.client import Client
    from gardenerd.wire.messages import Add, Search, Wait

    standard = Path(sysconfig.get_paths()["stdlib"])
    saved: list[float] = []
    heard: list[float] = []
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        home, project, other = (Path(folder) / name for name in ("home", "project", "other"))
        shutil.copytree(standard / "asyncio", project)
        other.mkdir()
        step = Watch().step_ms
        events = _listen(other, step)
        launch(Home(home))
        try:
            with Client(Home(home)) as client:
                client.call(Add(path=str(project)))
                client.call(Wait(timeout_s=120), timeout_s=150)
                client.call(Search(query="warm"))
                for number in range(rounds):
                    word = f"sunflower{number}x"
                    began = time.perf_counter()
                    (project / "fresh.py").write_text(f"def {word}():\n    return {number}\n")
                    while not _is_first(client.call(Search(query=word, k=1)), word):
                        pass
                    saved.append(time.perf_counter() - began)
                    while not events.empty():
                        events.get()
                    began = time.perf_counter()
                    (other / "fresh.py").write_text(word)
                    heard.append(events.get(timeout=30) - began)
        finally:
            halt(Home(home))
    ours, theirs = (1_000 * statistics.median(times) for times in (saved, heard))
    ratio = ours / theirs
    return {
        "saved_to_found_ms": ours,
        "watchfiles_event_ms": theirs,
        "ratio": ratio,
        "limit": LIMIT,
        "within": ratio <= LIMIT,
    }


def _is_first(body: dict[str, list[dict[str, str]]], symbol: str) -> bool:
    return any(hit["symbol"] == symbol for hit in body["hits"])


def _listen(folder: Path, step_ms: int) -> queue.SimpleQueue[float]:
    """The times at which watchfiles tells of changes in ``folder``."""
    events: queue.SimpleQueue[float] = queue.SimpleQueue()
    ready = threading.Event()

    def run() -> None:
        for changes in watch(folder, step=step_ms, debounce=200, rust_timeout=100,
                             yield_on_timeout=True, watch_filter=None):  # fmt: skip
            ready.set()
            if changes:
                events.put(time.perf_counter())

    threading.Thread(target=run, daemon=True).start()
    ready.wait(30)
    return events


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
