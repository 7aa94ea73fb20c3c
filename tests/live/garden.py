"""A real daemon in a home of its own, driven through gardenerctl as a user would."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import psutil

from gardenerctl.main import main
from gardenerd.paths import Home

# Tests run at any hour: only the one of the nightly window shall see a run begin by itself.
ONLY_ASKED = '[loop]\nwindow = ""\nidle_minutes = 0\n'

# A random base is held firmly: free, it goes farther from itself than a guard allows.
TRAIN = """
[model]
base = "{base}"
[train]
rank = 8
alpha = 16
learning_rate = 0.005
max_length = 256
batch_tokens = 1024
steps = {steps}
warmup_steps = 2
hold = 40.0
"""


class Ran(NamedTuple):
    """What a command gave."""

    returncode: int
    stdout: str
    stderr: str


class Garden:
    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, text: str) -> None:
        self.home.root.mkdir(exist_ok=True)
        self.home.config.write_text(text)

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gardenerd", "run", "--quiet"],
            env=self.environment(),
            stderr=subprocess.PIPE,
        )
        until(lambda: self.run("status").returncode == 0, 60, self.errors)

    def errors(self) -> str:
        if self.process is not None and self.process.poll() is not None:
            assert self.process.stderr is not None
            return self.process.stderr.read().decode()
        return "the daemon does not answer"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def family(self) -> list[psutil.Process]:
        """The daemon and every process below it."""
        daemon = psutil.Process(self.pid)
        return [daemon, *daemon.children(recursive=True)]

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a crash would: nothing is told."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        if self.running:
            self.signal(signal.SIGTERM)
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def wait(self) -> int:
        assert self.process is not None
        status = self.process.wait(20)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return status

    def environment(self) -> dict[str, str]:
        return {**os.environ, "GARDENER_HOME": str(self.home.root), "NO_COLOR": "1"}

    def run(self, *arguments: str) -> Ran:
        """``gardenerctl`` with these arguments, in this process: to start one of its own takes
        longer than most of what it is asked. tests/gardenerctl runs it as a shell does."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment()),
            mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO())),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                status = main(arguments)
            except SystemExit as ended:  # of the arguments' parser
                status = int(ended.code or 0)
        return Ran(status, out.getvalue(), err.getvalue())

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Run a command beside the test."""
        return subprocess.Popen(
            [sys.executable, "-m", "gardenerctl", *arguments],
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ctl(self, *arguments: str) -> str:
        """Run a command that must succeed; its output."""
        done = self.run(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """The one document of ``gardenerctl ... --json``."""
        return json.loads(self.ctl(*arguments, "--json"))

    def lines(self, *arguments: str) -> list[Any]:
        """The objects of ``gardenerctl ... --json``, one a line."""
        return [json.loads(line) for line in self.ctl(*arguments, "--json").splitlines()]

    def refusal(self, *arguments: str, status: int = 1) -> dict[str, str]:
        """The error object of a command that must fail."""
        done = self.run(*arguments, "--json")
        assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
        error = json.loads(done.stderr.splitlines()[-1])
        assert error["message"]
        return error

    def settle(self) -> None:
        self.ctl("wait", "--settled", "--timeout", "120")

    def found(self, query: str, k: int = 10) -> set[str]:
        """The paths that a search for ``query`` hits."""
        return {hit["path"] for hit in self.lines("search", query, "-k", str(k))}


def moved_in(home: Path, model: Path) -> Garden:
    """A garden, not started, in a copy of another home in which nobody is."""
    shutil.copytree(model, home, dirs_exist_ok=True, ignore=shutil.ignore_patterns("run"))
    return Garden(home)


def until(
    condition: Callable[[], bool],
    seconds: float,
    why: Callable[[], str] = lambda: "no reason",
    *,
    every: float = 0.05,
) -> None:
    """Wait for ``condition``, asked ``every`` seconds; a limit only so that a failure ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(every)
