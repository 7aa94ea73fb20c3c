"""``forget`` as a shell runs it: what it asks, what it tells, what it sends."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gardenerd.paths import Home
from gardenerd.wire.messages import Forget, Operation, Remember
from gardenerd.wire.server import Exchange
from tests.gardenerctl.serving import gardenerctl, serving

LOOKED: dict[str, Any] = {
    "project": "shop",
    "path": "src/secret.py",
    "files": 1,
    "examples": 12,
    "answers": 2,
    "adapters": ["v2", "v3"],
    "serving": "v3",
    "embeddings": ["v5"],
}
DONE: dict[str, Any] = {
    "project": "shop",
    "path": "src/secret.py",
    "since": 1.0,
    "removed": {
        "files": 1,
        "chunks": 9,
        "examples": 12,
        "answers": 2,
        "feedback": 1,
        "adapters": ["v2", "v3"],
        "embeddings": ["v5"],
        "run_folders": 3,
        "log_lines": 0,
    },
    "ended_run": "r4",
    "serving": None,
    "fresh_run": True,
}
PLACE = {"project": "shop", "path": "src/secret.py", "since": 1.0, "done": 2.0}


async def _answer(operation: Operation, exchange: Exchange) -> dict[str, Any]:
    assert isinstance(operation, Forget)
    if operation.look:
        return LOOKED
    exchange.progress({"step": "writing the index anew", "done": 4, "total": 7})
    return DONE


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_scripts_are_not_asked_and_get_the_counts(home: Path, tmp_path: Path) -> None:
    given = os.path.relpath(tmp_path / "sub" / ".." / "secret.py")
    with serving(Home(home), {"forget": _answer}) as server:
        done = gardenerctl(home, "forget", given, "--json")
        told = gardenerctl(home, "forget", given)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"schema": 1, **DONE}
    assert server.asked == [Forget(path=str(tmp_path / "secret.py"))] * 2
    assert "1 file, 9 chunks, 12 examples, 2 answers, 1 piece of feedback" in told.stdout
    assert "v2, v3" in told.stdout
    assert "the run r4 was ended" in told.stdout
    assert "gardenerctl train" in told.stdout
    assert max(len(line) for line in told.stdout.splitlines()) <= 100


def _on_a_terminal(home: Path, typed: str, *arguments: str) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed.encode())
        done = subprocess.run(
            [sys.executable, "-m", "gardenerctl", "forget", *arguments],
            env={**os.environ, "GARDENER_HOME": str(home), "TERM": "xterm", "NO_COLOR": "1"},
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, os.read(ours, 100_000).decode() + done.stderr
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_person_is_asked_and_may_decline(home: Path, tmp_path: Path) -> None:
    file = str(tmp_path / "secret.py")
    look, act = Forget(path=file, look=True), Forget(path=file)
    with serving(Home(home), {"forget": _answer}) as server:
        status, said = _on_a_terminal(home, "n\n", file)
        assert status == 1
        assert "v3 serves now" in said
        assert "embedding v5" in said
        assert "nothing was forgotten" in said
        assert server.asked == [look]
        assert _on_a_terminal(home, "y\n", file)[0] == 0
        assert server.asked == [look, look, act]
        assert _on_a_terminal(home, "", file, "--yes")[0] == 0
        assert server.asked == [look, look, act, act]


def test_it_can_be_taken_back_and_listed(home: Path, tmp_path: Path) -> None:
    undone = {"project": "shop", "path": "secret.py", "message": "it may be known again"}
    pending = {**PLACE, "path": "old", "done": None}
    answers = {"remember": undone, "forgotten": {"forgotten": [PLACE, pending]}}
    with serving(Home(home), answers) as server:
        back = gardenerctl(home, "forget", "--undo", str(tmp_path / "secret.py"))
        listed = gardenerctl(home, "forget", "--list")
        scripted = gardenerctl(home, "forget", "--list", "--json")
    assert (back.returncode, back.stdout) == (0, "it may be known again\n")
    assert server.asked[0] == Remember(path=str(tmp_path / "secret.py"))
    assert "src/secret.py\n" in listed.stdout
    assert "old  (under way)" in listed.stdout
    assert json.loads(scripted.stdout) == [{"schema": 1, **PLACE}, {"schema": 1, **pending}]


@pytest.mark.parametrize("arguments", [(), ("--undo",), ("--undo", "--list", "x")])
def test_it_must_be_said_what(home: Path, arguments: tuple[str, ...]) -> None:
    assert gardenerctl(home, "forget", *arguments).returncode == 2
