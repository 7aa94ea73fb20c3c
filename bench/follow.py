"""A daemon follows a real repository through its history; is its index that of a fresh one?

    python -m bench.follow REPOSITORY [--steps N] [--jumps N] [--every N] [--seed N]

The working tree goes through the last commits one by one, then to commits drawn from all of the
history and back, faster than the index follows; now and then the daemon is killed (SIGKILL) and
started again in the middle. Every few steps it may settle and is compared, see
:mod:`bench.fresh_index`. The limit is no difference.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from bench.fresh_index import compare
from bench.history import History, run
from gardenerctl.service import halt, launch
from gardenerd.paths import Home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Add, Wait

STEPS, JUMPS, EVERY = 30, 10, 8
_KILL_SHARE = 0.15
_QUERIES = 20
_SETTLE_S = 600.0


@dataclass
class Followed:
    """What came of one history; sizes are those of the last tree."""

    repository: str
    steps: int = 0
    jumps: int = 0
    kills: int = 0
    comparisons: int = 0
    queries: int = 0
    undecided: int = 0
    files: int = 0
    chunks: int = 0
    seconds: float = 0.0
    differences: list[str] = field(default_factory=list[str])

    @property
    def within(self) -> bool:
        return self.comparisons > 0 and not self.differences


def follow(repository: Path, steps: int, jumps: int, every: int, seed: int) -> Followed:
    """Walk the history of a repository, which is only read, beside a daemon with its own home."""
    draw = random.Random(seed)
    done = Followed(repository.name)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        home = Home(Path(folder) / "home")
        root = (Path(folder) / "tree").resolve()
        history = History(repository, root)
        commits = _log(root, "%H", "--first-parent")
        walk = list(reversed(commits[:steps]))
        walk += [draw.choice(commits) for _ in range(jumps)]
        queries = _log(root, "%s", f"-{_QUERIES}")
        history.checkout(walk[0])
        home.create()
        home.config.write_text('[loop]\nwindow = ""\nidle_minutes = 0\n')
        hello, _ = launch(home)
        with contextlib.ExitStack() as stack:
            stack.callback(halt, home)
            client = stack.enter_context(Client(home))
            project = client.call(Add(path=str(root)), timeout_s=60)["id"]
            for at, commit in enumerate(walk):
                history.checkout(commit)
                done.steps, done.jumps = min(at + 1, steps), max(0, at + 1 - steps)
                if draw.random() < _KILL_SHARE:
                    time.sleep(draw.uniform(0.0, 2.0))
                    _kill(hello["pid"])
                    done.kills += 1
                    hello, _ = launch(home)
                if (at + 1) % every and at + 1 < len(walk):
                    continue
                client.call(Wait(timeout_s=_SETTLE_S), timeout_s=_SETTLE_S)
                found = compare(home, project, root, queries)
                done.comparisons += 1
                done.queries += found.queries
                done.undecided += found.undecided
                done.files, done.chunks = found.files, found.chunks
                done.differences += [f"{commit[:10]}: {each}" for each in found.differences]
    done.seconds = round(time.monotonic() - started, 1)
    return done


def _log(root: Path, form: str, *arguments: str) -> list[str]:
    return run("git", "-C", str(root), "log", f"--format={form}", *arguments).splitlines()


def _kill(pid: int) -> None:
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    process.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.follow")
    parser.add_argument("repository", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS, help="commits, one after the other")
    parser.add_argument("--jumps", type=int, default=JUMPS, help="commits from anywhere, after it")
    parser.add_argument("--every", type=int, default=EVERY, help="steps between comparisons")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    done = follow(given.repository, given.steps, given.jumps, given.every, given.seed)
    print(json.dumps({**asdict(done), "limit_differences": 0, "within": done.within}, indent=2))
    raise SystemExit(0 if done.within else 1)


if __name__ == "__main__":
    main()
