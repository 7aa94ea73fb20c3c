"""Starting and stopping the real daemon, by the real command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gardenerd.paths import Home
from tests.gardenerctl.serving import gardenerctl


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "home"
    yield path
    gardenerctl(path, "stop")


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip()[:1] not in ("", "Z")


def test_start_is_idempotent_and_stop_ends_it(home: Path) -> None:
    first = gardenerctl(home, "start", "--json")
    assert first.returncode == 0, first.stderr
    started = json.loads(first.stdout)
    assert started["started"] is True
    again = json.loads(gardenerctl(home, "start", "--json").stdout)
    assert (again["started"], again["pid"]) == (False, started["pid"])
    status = json.loads(gardenerctl(home, "status", "--json").stdout)
    assert status["daemon"]["pid"] == started["pid"]
    assert {"daemon", "workers", "projects", "model", "loop", "schema"} <= status.keys()
    assert gardenerctl(home, "stop").stdout == "gardenerd stopped\n"
    _until(lambda: not _alive(started["pid"]))
    assert gardenerctl(home, "status").returncode == 3
    assert gardenerctl(home, "stop").stdout == "gardenerd was not running\n"


def test_restart_makes_a_new_process(home: Path) -> None:
    first = json.loads(gardenerctl(home, "restart", "--json").stdout)
    second = json.loads(gardenerctl(home, "restart", "--json").stdout)
    assert second["started"] is True
    assert second["pid"] != first["pid"]
    assert not _alive(first["pid"])


def test_killed_daemon_is_noticed_and_can_be_started_again(home: Path) -> None:
    pid = json.loads(gardenerctl(home, "start", "--json").stdout)["pid"]
    os.kill(pid, signal.SIGKILL)
    _until(lambda: not _alive(pid))
    assert Path(Home(home).request_endpoint.removeprefix("ipc://")).exists()
    assert gardenerctl(home, "status").returncode == 3
    again = json.loads(gardenerctl(home, "start", "--json").stdout)
    assert again["started"] is True
    assert again["pid"] != pid


def test_start_that_fails_says_why(home: Path) -> None:
    Home(home).create()
    Home(home).config.write_text("[train]\nrank = 0\n")
    done = gardenerctl(home, "start", "--json")
    assert done.returncode == 1
    error = json.loads(done.stderr)
    assert "rank must be within" in error["message"]
    assert error["hint"]


def test_logs_are_readable_after_the_daemon_has_gone(home: Path) -> None:
    assert gardenerctl(home, "logs").returncode == 1
    gardenerctl(home, "start")
    gardenerctl(home, "stop")
    shown = gardenerctl(home, "logs").stdout
    assert "ready" in shown
    last = gardenerctl(home, "logs", "-n", "1", "--json").stdout
    assert json.loads(last)["schema"] == 1
    assert last.count("\n") == 1
